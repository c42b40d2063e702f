/* The module cardan.runtime.bus._native: see native.h. */

#include "native.h"

Memory *memory_new(PyTypeObject *type, PyObject *owner, int flags) {
    Memory *self = (Memory *)type->tp_alloc(type, 0);
    if (self != NULL && PyObject_GetBuffer(owner, &self->whole, flags) < 0)
        Py_CLEAR(self);
    return self;
}

int memory_is_open(Memory *self) {
    if (self->whole.obj != NULL)
        return 1;
    PyErr_SetString(PyExc_ValueError, "the memory of this part was released");
    return 0;
}

static void let_go(Memory *self) {
    if (self->whole.obj != NULL)
        PyBuffer_Release(&self->whole);
}

PyObject *memory_release(Memory *self, PyObject *Py_UNUSED(ignored)) {
    let_go(self);
    Py_RETURN_NONE;
}

void memory_dealloc(Memory *self) {
    PyTypeObject *type = Py_TYPE(self);
    let_go(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

PyTypeObject *add_type(PyObject *module, const char *name, PyType_Spec *spec) {
    PyObject *type = PyType_FromSpec(spec);
    if (type != NULL && PyModule_AddObjectRef(module, name, type) < 0)
        Py_CLEAR(type);
    Py_XDECREF(type);
    return (PyTypeObject *)type;
}

/* As in native.py, which takes no other. */
enum { EDITION = 4 };

static PyObject *fence(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored)) {
    atomic_thread_fence(memory_order_seq_cst);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"fence", fence, METH_NOARGS, NULL}, {NULL}};

static int begin(PyObject *module) {
    if (PyModule_AddIntConstant(module, "EDITION", EDITION) < 0)
        return -1;
    return add_records(module) < 0 || add_bell(module) < 0 || add_copy(module) < 0 ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, begin}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, functions, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
