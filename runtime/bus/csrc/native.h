/* What Python has no words for on the bus: the order of loads and stores, and a copy past the caches. Each part does what
   a class of the same name in Python does, or does without; see docs/adr/0040. */

#ifndef CARDAN_NATIVE_H
#define CARDAN_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdint.h>

/* A 64-bit word of shared memory, in no particular order: the fences around it say which. */
static inline uint64_t load(_Atomic uint64_t *word) { return atomic_load_explicit(word, memory_order_relaxed); }

static inline void store(_Atomic uint64_t *word, uint64_t value) {
    atomic_store_explicit(word, value, memory_order_relaxed);
}

/* What a type begins with that works on memory somebody else has mapped. */
typedef struct {
    PyObject_HEAD
    Py_buffer whole; /* .obj is NULL when it is released */
} Memory;

/* A new object of `type` on the memory of `owner`; NULL with an error set when that is not to be had so. */
Memory *memory_new(PyTypeObject *type, PyObject *owner, int flags);

/* Zero, with an error set, when it is released. */
int memory_is_open(Memory *self);
PyObject *memory_release(Memory *self, PyObject *ignored);
void memory_dealloc(Memory *self);

/* Whether it is a bell that was not released; zero with an error set. What follows asks for one. */
int is_open_bell(PyObject *object);

/* Ring before the message is there, where that pays: which sleep that ends, or 0. -1 with an error set. */
int bell_announce(PyObject *bell, uint64_t *announced);

/* Ring unless the node will look by itself. Behind the message and a fence; -1 with an error set. */
int bell_ring(PyObject *bell, uint64_t announced);

/* Make a type and add it to the module, which keeps it; NULL with an error set. */
PyTypeObject *add_type(PyObject *module, const char *name, PyType_Spec *spec);

int add_records(PyObject *module);
int add_bell(PyObject *module);
int add_copy(PyObject *module);

#endif
