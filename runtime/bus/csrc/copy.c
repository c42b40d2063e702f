/* A copy of a frame past the caches: a frame does not fit into the near ones anyway, and a plain copy first reads what it
   then overwrites. Where the processor has no such stores, the copy of the C library. */

#include "native.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>

enum { LINE = 64, AHEAD = 16 * LINE };

static void copy_past_caches(uint8_t *to, const uint8_t *from, size_t bytes) {
    size_t before = (size_t)(-(uintptr_t)to % LINE), done = before < bytes ? before : bytes;
    memcpy(to, from, done);
    for (; done + LINE <= bytes; done += LINE) {
        const __m128i *source = (const __m128i *)(from + done);
        __m128i *target = (__m128i *)(to + done);
        _mm_prefetch((const char *)source + AHEAD, _MM_HINT_NTA);
        __m128i a = _mm_loadu_si128(source), b = _mm_loadu_si128(source + 1);
        __m128i c = _mm_loadu_si128(source + 2), d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
    memcpy(to + done, from + done, bytes - done);
    _mm_sfence(); /* these stores keep no order with those that follow, which call the frame whole */
}
#else
static void copy_past_caches(uint8_t *to, const uint8_t *from, size_t bytes) { memcpy(to, from, bytes); }
#endif

static PyObject *copy(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given) {
    Py_buffer to, from;
    if (given != 2) {
        PyErr_SetString(PyExc_TypeError, "copy takes a target and a source");
        return NULL;
    }
    if (PyObject_GetBuffer(arguments[0], &to, PyBUF_WRITABLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(arguments[1], &from, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&to);
        return NULL;
    }
    int fits = to.len == from.len;
    if (fits) {
        Py_BEGIN_ALLOW_THREADS;
        copy_past_caches(to.buf, from.buf, (size_t)to.len);
        Py_END_ALLOW_THREADS;
    } else {
        PyErr_Format(PyExc_ValueError, "%zd bytes do not fit into %zd", from.len, to.len);
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    if (!fits)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {{"copy", (PyCFunction)(void (*)(void))copy, METH_FASTCALL, NULL}, {NULL}};

int add_copy(PyObject *module) { return PyModule_AddFunctions(module, functions); }
