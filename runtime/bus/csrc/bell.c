/* The bell of a node: what bells.py says, compiled. A node that is awake need not be rung.

   Publisher: stores its message, a fence, loads the word. Node: stores the word, a fence, looks for messages. Whichever
   fence comes second, its side sees what the other has stored: no message comes while a node falls asleep unnoticed.
   A node that was rung before the message was stored, and sleeps the same sleep behind the fence, has yet to look. */

#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { WORD = 8, UNKNOWN = 0, AWAKE = 1, AT_ONCE = 64 };
static const double LONGEST_S = 86400.0;

typedef struct {
    Memory memory;
    _Atomic uint64_t *word, *processor;
    int eventfd;
} Bell;

static PyTypeObject *bell_type;

static uint64_t this_processor(void) { return (uint64_t)sched_getcpu(); }

static PyObject *Bell_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    PyObject *memory;
    Py_ssize_t at;
    int eventfd;
    if (!PyArg_ParseTuple(arguments, "Oni", &memory, &at, &eventfd))
        return NULL;
    Bell *self = (Bell *)memory_new(type, memory, PyBUF_WRITABLE);
    if (self == NULL)
        return NULL;
    if (at < 0 || at > self->memory.whole.len - 2 * WORD || ((uintptr_t)self->memory.whole.buf + (uintptr_t)at) % WORD != 0) {
        PyErr_SetString(PyExc_ValueError, "there is no bell at that place");
        Py_DECREF(self);
        return NULL;
    }
    self->word = (_Atomic uint64_t *)((uint8_t *)self->memory.whole.buf + at);
    self->processor = self->word + 1;
    self->eventfd = eventfd;
    return (PyObject *)self;
}

static int wake_up(const Bell *self) {
    static const uint64_t once = 1;
    if (write(self->eventfd, &once, sizeof once) >= 0 || errno == EAGAIN)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

int is_open_bell(PyObject *object) {
    if (Py_TYPE(object) == bell_type)
        return memory_is_open(&((Bell *)object)->memory);
    PyErr_SetString(PyExc_TypeError, "expected a bell");
    return 0;
}

int bell_announce(PyObject *bell, uint64_t *announced) {
    const Bell *self = (Bell *)bell;
    uint64_t word = load(self->word);
    *announced = word == UNKNOWN || word & AWAKE || load(self->processor) == this_processor() ? 0 : word;
    return *announced ? wake_up(self) : 0;
}

int bell_ring(PyObject *bell, uint64_t announced) {
    const Bell *self = (Bell *)bell;
    uint64_t word = load(self->word);
    int will_look = word & AWAKE || (word == announced && word != UNKNOWN);
    return will_look ? 0 : wake_up(self);
}

static PyObject *Bell_announce(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    uint64_t announced;
    if (!is_open_bell(self) || bell_announce(self, &announced) < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(announced);
}

static PyObject *Bell_ring(PyObject *self, PyObject *number) {
    uint64_t announced = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred() || !is_open_bell(self))
        return NULL;
    atomic_thread_fence(memory_order_seq_cst);
    if (bell_ring(self, announced) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *Bell_fall_asleep(Bell *self, PyObject *Py_UNUSED(ignored)) {
    if (!memory_is_open(&self->memory))
        return NULL;
    store(self->processor, this_processor());
    store(self->word, (load(self->word) | AWAKE) + 1);
    atomic_thread_fence(memory_order_seq_cst);
    Py_RETURN_NONE;
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As select.epoll.poll does it: a signal whose handler raises nothing does not end the sleep. */
static int wait_for(int epoll, struct epoll_event *events, double seconds) {
    int64_t left_ms = seconds > 0 ? (int64_t)(seconds < LONGEST_S ? seconds * 1e3 + 0.999 : LONGEST_S * 1e3) : 0;
    int64_t until_ms = left_ms > 0 ? now_ms() + left_ms : 0;
    for (;;) {
        int found, why;
        Py_BEGIN_ALLOW_THREADS;
        found = epoll_wait(epoll, events, AT_ONCE, (int)left_ms);
        why = errno;
        Py_END_ALLOW_THREADS;
        if (found >= 0)
            return found;
        if (why != EINTR) {
            errno = why;
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (PyErr_CheckSignals() < 0)
            return -1;
        left_ms = until_ms > now_ms() ? until_ms - now_ms() : 0;
    }
}

static PyObject *Bell_sleep(Bell *self, PyObject *const *arguments, Py_ssize_t given) {
    struct epoll_event events[AT_ONCE];
    if (given != 2) {
        PyErr_SetString(PyExc_TypeError, "sleep takes an epoll and seconds");
        return NULL;
    }
    int epoll = PyObject_AsFileDescriptor(arguments[0]);
    double seconds = PyFloat_AsDouble(arguments[1]);
    if (epoll < 0 || PyErr_Occurred() || !memory_is_open(&self->memory))
        return NULL;
    int found = wait_for(epoll, events, seconds);
    if (self->memory.whole.obj != NULL)
        store(self->word, load(self->word) | AWAKE);
    PyObject *ready = found < 0 ? NULL : PyList_New(found);
    for (int number = 0; ready != NULL && number < found; number++) {
        PyObject *descriptor = PyLong_FromLong(events[number].data.fd);
        if (descriptor == NULL)
            Py_CLEAR(ready);
        else
            PyList_SET_ITEM(ready, number, descriptor);
    }
    return ready;
}

static PyMethodDef methods[] = {
    {"announce", Bell_announce, METH_NOARGS, NULL},
    {"ring", Bell_ring, METH_O, NULL},
    {"fall_asleep", (PyCFunction)Bell_fall_asleep, METH_NOARGS, NULL},
    {"sleep", (PyCFunction)(void (*)(void))Bell_sleep, METH_FASTCALL, NULL},
    {"release", (PyCFunction)memory_release, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, Bell_new}, {Py_tp_dealloc, memory_dealloc}, {Py_tp_methods, methods}, {0, NULL}};

static PyType_Spec spec = {"cardan.runtime.bus._native.Bell", sizeof(Bell), 0, Py_TPFLAGS_DEFAULT, slots};

int add_bell(PyObject *module) {
    bell_type = add_type(module, "Bell", &spec);
    return bell_type == NULL ? -1 : 0;
}
