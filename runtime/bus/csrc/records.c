/* The records of a ring: what records.py does, compiled; ring_layout.py says where things lie.

   RESERVED is stored before the data that it guards, COUNT behind the data that it counts, and a reader loads RESERVED
   behind its copy, on every processor. Nothing outside the memory that was handed over is touched, whatever stands in it. */

#include "native.h"

#include <string.h>

enum { PAGE = 4096, WORD = 8, RECORD_HEAD = 16, ALIGNMENT = 16, RESERVED = 3, COUNT = 4, LINE = 64, MOST_FETCHED = 8192 };
static const uint32_t SALT = 0x5EA11234u;

typedef struct {
    Memory memory;
    _Atomic uint64_t *words, *index;
    uint8_t *data;
    uint64_t data_bytes, entries, largest;
    uint64_t read_end, read_bytes; /* where the message that was read last ended, and its size */
} Records;

static PyObject *crc32; /* of zlib-ng */

/* CRC-32 of `bytes`, begun with `seed`; negative when zlib-ng refuses. */
static int64_t crc_of(PyObject *bytes, uint32_t seed) {
    PyObject *number = PyLong_FromUnsignedLong(seed);
    if (number == NULL)
        return -1;
    PyObject *arguments[] = {bytes, number};
    PyObject *found = PyObject_Vectorcall(crc32, arguments, 2, NULL);
    Py_DECREF(number);
    if (found == NULL)
        return -1;
    int64_t value = (int64_t)(PyLong_AsUnsignedLongMask(found) & 0xFFFFFFFFu);
    Py_DECREF(found);
    return value;
}

static PyObject *Records_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    PyObject *memory;
    unsigned long long data_bytes, entries;
    if (!PyArg_ParseTuple(arguments, "OKK", &memory, &data_bytes, &entries))
        return NULL;
    Records *self = (Records *)memory_new(type, memory, PyBUF_SIMPLE);
    if (self == NULL)
        return NULL;
    uint64_t bytes = (uint64_t)self->memory.whole.len;
    int sound = data_bytes >= PAGE && data_bytes <= bytes && (data_bytes & (data_bytes - 1)) == 0 && entries > 0 &&
                entries <= bytes / WORD && bytes == PAGE + entries * WORD + data_bytes &&
                (uintptr_t)self->memory.whole.buf % ALIGNMENT == 0 && entries * WORD % ALIGNMENT == 0;
    if (!sound) {
        PyErr_SetString(PyExc_ValueError, "this memory is no ring of that size");
        Py_DECREF(self);
        return NULL;
    }
    self->words = self->memory.whole.buf;
    self->index = self->words + PAGE / WORD;
    self->data = (uint8_t *)(self->index + entries);
    self->data_bytes = data_bytes;
    self->entries = entries;
    self->largest = data_bytes / 8 - RECORD_HEAD;
    return (PyObject *)self;
}

static PyObject *Records_count(Records *self, void *Py_UNUSED(ignored)) {
    if (!memory_is_open(&self->memory))
        return NULL;
    return PyLong_FromUnsignedLongLong(atomic_load_explicit(&self->words[COUNT], memory_order_acquire));
}

/* Let lines come from the processors that have written or read them last; takes no time. */
static inline void fetch(const Records *self, uint64_t offset, uint64_t bytes, int to_write) {
    uint64_t end = offset + (bytes < MOST_FETCHED ? bytes : MOST_FETCHED);
    for (; offset < end && offset < self->data_bytes; offset += LINE)
        if (to_write)
            __builtin_prefetch(self->data + offset, 1);
        else
            __builtin_prefetch(self->data + offset, 0);
}

/* Add one message; zero with an error set. */
static int add(Records *self, PyObject *envelope, PyObject *payload) {
    uint64_t first = (uint64_t)PyBytes_GET_SIZE(envelope), second = (uint64_t)PyBytes_GET_SIZE(payload);
    uint64_t length = first + second, size = RECORD_HEAD + length;
    uint64_t number = load(&self->words[COUNT]);
    uint64_t place = (load(&self->words[RESERVED]) + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
    int64_t seal = crc_of(envelope, (uint32_t)number ^ SALT);
    if (seal >= 0)
        seal = crc_of(payload, (uint32_t)seal);
    if (seal < 0)
        return 0;
    uint64_t offset = place & (self->data_bytes - 1);
    if (offset + size > self->data_bytes) {
        place += self->data_bytes - offset;
        offset = 0;
    }
    store(&self->words[RESERVED], (place + size + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1));
    atomic_thread_fence(memory_order_release);
    store(&self->index[number % self->entries], place);
    _Atomic uint64_t *head = (_Atomic uint64_t *)(self->data + offset);
    store(head, (uint64_t)seal | length << 32);
    store(head + 1, number);
    memcpy(self->data + offset + RECORD_HEAD, PyBytes_AS_STRING(envelope), first);
    memcpy(self->data + offset + RECORD_HEAD + first, PyBytes_AS_STRING(payload), second);
    atomic_store_explicit(&self->words[COUNT], number + 1, memory_order_release);
    return 1;
}

static int are_bells(PyObject *bells) {
    if (!PyTuple_Check(bells)) {
        PyErr_SetString(PyExc_TypeError, "expected a tuple of bells");
        return 0;
    }
    for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(bells); number++)
        if (!is_open_bell(PyTuple_GET_ITEM(bells, number)))
            return 0;
    return 1;
}

/* Add one message between the two rings of the first bell, and ring the others behind it; zero with an error set. */
static int add_and_ring(Records *self, PyObject *envelope, PyObject *payload, PyObject *bells) {
    uint64_t announced;
    if (bell_announce(PyTuple_GET_ITEM(bells, 0), &announced) < 0 || !add(self, envelope, payload))
        return 0;
    atomic_thread_fence(memory_order_seq_cst);
    for (Py_ssize_t number = 0; number < PyTuple_GET_SIZE(bells); number++)
        if (bell_ring(PyTuple_GET_ITEM(bells, number), number == 0 ? announced : 0) < 0)
            return 0;
    return 1;
}

static PyObject *Records_append(Records *self, PyObject *const *arguments, Py_ssize_t given) {
    if (given < 2 || given > 3 || !PyBytes_Check(arguments[0]) || !PyBytes_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "append takes two objects of bytes, and bells");
        return NULL;
    }
    if (!memory_is_open(&self->memory) || (given == 3 && !are_bells(arguments[2])))
        return NULL;
    if (self->memory.whole.readonly) {
        PyErr_SetString(PyExc_TypeError, "the ring was opened for reading");
        return NULL;
    }
    uint64_t length = (uint64_t)PyBytes_GET_SIZE(arguments[0]) + (uint64_t)PyBytes_GET_SIZE(arguments[1]);
    if (length > self->largest)
        Py_RETURN_FALSE;
    int is_rung = given == 3 && PyTuple_GET_SIZE(arguments[2]) > 0;
    if (!(is_rung ? add_and_ring(self, arguments[0], arguments[1], arguments[2]) : add(self, arguments[0], arguments[1])))
        return NULL;
    /* This one is on its way: the lines of the next one, as long as it, come from those who have read them last. */
    fetch(self, load(&self->words[RESERVED]) & (self->data_bytes - ALIGNMENT), RECORD_HEAD + length, 1);
    Py_RETURN_TRUE;
}

/* A copy of message `number`; NULL without an error set when it is overwritten, not complete, or damaged. Most messages lie
   behind the one that was read last, and are as long: all lines of theirs are on their way before it is known where it is. */
static PyObject *copy_of(Records *self, uint64_t number) {
    fetch(self, self->read_end, self->read_bytes, 0);
    uint64_t place = load(&self->index[number % self->entries]);
    uint64_t offset = place & (self->data_bytes - ALIGNMENT);
    _Atomic uint64_t *head = (_Atomic uint64_t *)(self->data + offset);
    uint64_t seal = load(head), length = seal >> 32;
    if (load(head + 1) != number || length > self->largest || offset + RECORD_HEAD + length > self->data_bytes)
        return NULL;
    PyObject *message = PyBytes_FromStringAndSize((char *)head + RECORD_HEAD, (Py_ssize_t)length);
    if (message == NULL)
        return NULL;
    atomic_thread_fence(memory_order_acquire);
    uint64_t reserved = load(&self->words[RESERVED]);
    int is_kept = reserved <= place || reserved - place <= self->data_bytes;
    if (is_kept && crc_of(message, (uint32_t)number ^ SALT) == (int64_t)(seal & 0xFFFFFFFFu)) {
        self->read_bytes = RECORD_HEAD + length;
        self->read_end = (offset + self->read_bytes + ALIGNMENT - 1) & (self->data_bytes - ALIGNMENT);
        return message;
    }
    Py_DECREF(message);
    return NULL;
}

static PyObject *Records_read(Records *self, PyObject *which) {
    uint64_t number = PyLong_AsUnsignedLongLong(which);
    if ((number == UINT64_MAX && PyErr_Occurred()) || !memory_is_open(&self->memory))
        return NULL;
    PyObject *message = copy_of(self, number);
    if (message != NULL || PyErr_Occurred())
        return message;
    Py_RETURN_NONE;
}

/* The usual case of a reader that was just woken up: its lines are on their way from the other processor at once. */
static PyObject *Records_read_newest(Records *self, PyObject *which) {
    uint64_t number = PyLong_AsUnsignedLongLong(which);
    if ((number == UINT64_MAX && PyErr_Occurred()) || !memory_is_open(&self->memory))
        return NULL;
    __builtin_prefetch(&self->index[number % self->entries]);
    if (atomic_load_explicit(&self->words[COUNT], memory_order_acquire) == number + 1) {
        PyObject *message = copy_of(self, number);
        if (message != NULL || PyErr_Occurred())
            return message;
    }
    Py_RETURN_NONE;
}

static PyObject *Records_read_run(Records *self, PyObject *const *arguments, Py_ssize_t given) {
    if (given != 2) {
        PyErr_SetString(PyExc_TypeError, "read_run takes two numbers");
        return NULL;
    }
    uint64_t first = PyLong_AsUnsignedLongLong(arguments[0]), end = PyLong_AsUnsignedLongLong(arguments[1]);
    if (PyErr_Occurred() || !memory_is_open(&self->memory))
        return NULL;
    PyObject *run = PyList_New(0);
    for (uint64_t number = first; run != NULL && number < end; number++) {
        PyObject *message = copy_of(self, number);
        if (message == NULL && !PyErr_Occurred())
            break;
        if (message == NULL || PyList_Append(run, message) < 0)
            Py_CLEAR(run);
        Py_XDECREF(message);
    }
    return run;
}

static PyMethodDef Records_methods[] = {
    {"append", (PyCFunction)(void (*)(void))Records_append, METH_FASTCALL, NULL},
    {"read", (PyCFunction)Records_read, METH_O, NULL},
    {"read_newest", (PyCFunction)Records_read_newest, METH_O, NULL},
    {"read_run", (PyCFunction)(void (*)(void))Records_read_run, METH_FASTCALL, NULL},
    {"release", (PyCFunction)memory_release, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef Records_properties[] = {{"count", (getter)Records_count, NULL, NULL, NULL}, {NULL}};

static PyType_Slot Records_slots[] = {
    {Py_tp_new, Records_new},         {Py_tp_dealloc, memory_dealloc}, {Py_tp_methods, Records_methods},
    {Py_tp_getset, Records_properties}, {0, NULL},
};

static PyType_Spec spec = {
    "cardan.runtime.bus._native.Records", sizeof(Records), 0, Py_TPFLAGS_DEFAULT, Records_slots,
};

int add_records(PyObject *module) {
    PyObject *library = PyImport_ImportModule("zlib_ng.zlib_ng");
    if (library == NULL)
        return -1;
    Py_XSETREF(crc32, PyObject_GetAttrString(library, "crc32"));
    Py_DECREF(library);
    return crc32 == NULL || add_type(module, "Records", &spec) == NULL ? -1 : 0;
}
