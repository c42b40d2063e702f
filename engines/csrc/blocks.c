/* The module cardan.engines._native: the mean of each block of pixels, in one pass over the picture, one row of blocks at a
   time, so that what lies between the picture and the answer stays in the nearest cache. See block_means.py. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Where the compiler can, the loops are compiled for twice as wide registers too, and the processor decides. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

enum { CHANNELS = 3, LARGEST_BLOCK = 16, RECIPROCAL_BITS = 24, SPARE = 8 };

typedef struct {
    const uint8_t *picture;
    Py_ssize_t pitch; /* bytes from one row of the picture to the next */
    uint8_t *out;
    Py_ssize_t rows, columns, block; /* rows and columns of `out` */
} Job;

/* Room for two rows of sums and the sums of one row of `out`, each with numbers to spare: they are moved in fours. */
static size_t room(const Job *job) {
    size_t across = (size_t)(job->columns * job->block * CHANNELS), out = (size_t)(job->columns * CHANNELS);
    return (2 * (across + SPARE) + out + SPARE) * sizeof(uint16_t);
}

WIDE static void shrink_rows(const Job *job, uint16_t *restrict sums) {
    const Py_ssize_t block = job->block, columns = job->columns, pixel = block * CHANNELS, length = columns * pixel;
    const uint32_t size = (uint32_t)(block * block), half = size / 2;
    /* (x * factor) >> 24 is x / size, and the product stays within 32 bits, while x <= 255.5 * size <= 2^16. */
    const uint32_t factor = ((1u << RECIPROCAL_BITS) + size - 1) / size;
    uint16_t *restrict across = sums + length + SPARE, *restrict picked = across + length + SPARE;
    for (Py_ssize_t row = 0; row < job->rows; row++) {
        const uint8_t *line = job->picture + row * block * job->pitch;
        for (Py_ssize_t at = 0; at < length; at++)
            sums[at] = line[at];
        for (Py_ssize_t below = 1; below < block; below++) {
            line += job->pitch;
            for (Py_ssize_t at = 0; at < length; at++)
                sums[at] = (uint16_t)(sums[at] + line[at]);
        }
        /* Sums across begin at every number, though one of `block` is used: that needs no steps through memory. */
        memcpy(across, sums, (size_t)length * sizeof *sums);
        for (Py_ssize_t beside = 1; beside < block; beside++)
            for (Py_ssize_t at = 0; at < length - beside * CHANNELS; at++)
                across[at] = (uint16_t)(across[at] + sums[at + beside * CHANNELS]);
        for (Py_ssize_t column = 0; column < columns; column++)
            memcpy(picked + column * CHANNELS, across + column * pixel, 4 * sizeof *sums);
        uint8_t *out = job->out + row * columns * CHANNELS;
        for (Py_ssize_t at = 0; at < columns * CHANNELS; at++)
            out[at] = (uint8_t)(((picked[at] + half) * factor) >> RECIPROCAL_BITS);
    }
}

static int fits(const Py_buffer *picture, const Py_buffer *out, Py_ssize_t block) {
    return block >= 1 && block <= LARGEST_BLOCK && picture->ndim == 3 && out->ndim == 3 && picture->itemsize == 1 &&
           out->itemsize == 1 && picture->shape[2] == CHANNELS && out->shape[2] == CHANNELS &&
           picture->strides[2] == 1 && picture->strides[1] == CHANNELS && picture->shape[0] == out->shape[0] * block &&
           picture->shape[1] == out->shape[1] * block;
}

static PyObject *shrink(const Py_buffer *picture, const Py_buffer *out, Py_ssize_t block) {
    if (!fits(picture, out, block)) {
        PyErr_SetString(PyExc_ValueError, "expected a picture of whole blocks, and an array with a pixel for each");
        return NULL;
    }
    Job job = {picture->buf, picture->strides[0], out->buf, out->shape[0], out->shape[1], block};
    uint16_t *sums = PyMem_Malloc(room(&job));
    if (sums == NULL)
        return PyErr_NoMemory();
    shrink_rows(&job, sums);
    PyMem_Free(sums);
    Py_RETURN_NONE;
}

static PyObject *block_means(PyObject *Py_UNUSED(module), PyObject *const *arguments, Py_ssize_t given) {
    Py_buffer picture, out;
    if (given != 3) {
        PyErr_SetString(PyExc_TypeError, "block_means takes a picture, an array for the means, and the size of a block");
        return NULL;
    }
    Py_ssize_t block = PyLong_AsSsize_t(arguments[2]);
    if (block == -1 && PyErr_Occurred())
        return NULL;
    if (PyObject_GetBuffer(arguments[0], &picture, PyBUF_STRIDES) < 0)
        return NULL;
    if (PyObject_GetBuffer(arguments[1], &out, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) < 0) {
        PyBuffer_Release(&picture);
        return NULL;
    }
    PyObject *answer = shrink(&picture, &out, block);
    PyBuffer_Release(&out);
    PyBuffer_Release(&picture);
    return answer;
}

static PyMethodDef functions[] = {
    {"block_means", (PyCFunction)(void (*)(void))block_means, METH_FASTCALL, NULL},
    {NULL},
};

/* As in native.py, which takes no other. */
enum { EDITION = 1 };

static int begin(PyObject *module) { return PyModule_AddIntConstant(module, "EDITION", EDITION); }

static PyModuleDef_Slot slots[] = {{Py_mod_exec, begin}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, functions, slots, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
