/* The bell of a node: what bells.py says, compiled. A node that is awake need not be rung.

   Publisher: stores its message, a fence, loads the word. Node: stores the word, a fence, looks for messages. Whichever
   fence comes second, its side sees what the other has stored: no message comes while a node falls asleep unnoticed. */

#include "native.h"

enum { WORD = 8, ASLEEP = 0, AWAKE = 1 };

typedef struct {
    Memory memory;
    _Atomic uint64_t *word;
} Bell;

static PyObject *Bell_new(PyTypeObject *type, PyObject *arguments, PyObject *named) {
    PyObject *memory;
    Py_ssize_t at;
    if (!PyArg_ParseTuple(arguments, "On", &memory, &at))
        return NULL;
    Bell *self = (Bell *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (PyObject_GetBuffer(memory, &self->memory.whole, PyBUF_WRITABLE) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (at < 0 || at > self->memory.whole.len - WORD || ((uintptr_t)self->memory.whole.buf + (uintptr_t)at) % WORD != 0) {
        PyErr_SetString(PyExc_ValueError, "there is no bell at that place");
        Py_DECREF(self);
        return NULL;
    }
    self->word = (_Atomic uint64_t *)((uint8_t *)self->memory.whole.buf + at);
    return (PyObject *)self;
}

static PyObject *Bell_must_ring(Bell *self, PyObject *Py_UNUSED(ignored)) {
    if (!memory_is_open(&self->memory))
        return NULL;
    atomic_thread_fence(memory_order_seq_cst);
    return PyBool_FromLong(load(self->word) != AWAKE);
}

static PyObject *Bell_fall_asleep(Bell *self, PyObject *Py_UNUSED(ignored)) {
    if (!memory_is_open(&self->memory))
        return NULL;
    store(self->word, ASLEEP);
    atomic_thread_fence(memory_order_seq_cst);
    Py_RETURN_NONE;
}

static PyObject *Bell_wake_up(Bell *self, PyObject *Py_UNUSED(ignored)) {
    if (!memory_is_open(&self->memory))
        return NULL;
    store(self->word, AWAKE);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"must_ring", (PyCFunction)Bell_must_ring, METH_NOARGS, NULL},
    {"fall_asleep", (PyCFunction)Bell_fall_asleep, METH_NOARGS, NULL},
    {"wake_up", (PyCFunction)Bell_wake_up, METH_NOARGS, NULL},
    {"release", (PyCFunction)memory_release, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, Bell_new}, {Py_tp_dealloc, memory_dealloc}, {Py_tp_methods, methods}, {0, NULL}};

static PyType_Spec spec = {"cardan.runtime.bus._native.Bell", sizeof(Bell), 0, Py_TPFLAGS_DEFAULT, slots};

int add_bell(PyObject *module) { return add_type(module, "Bell", &spec); }
