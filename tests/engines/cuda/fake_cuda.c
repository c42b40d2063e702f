/* A CUDA driver for tests: one GPU whose memory is the host's, streams that do everything at once, and errors on demand.
   FAKE_CUDA_FAIL=cuStreamSynchronize:700 lets one function fail; FAKE_CUDA_NO_GPU=1 knows no GPU. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef int (*launch_fn)(void);
static long allocated, pinned, registered, streams, graphs, launches;

static int fails(const char *name) {
    const char *wish = getenv("FAKE_CUDA_FAIL");
    size_t length = strlen(name);
    return wish && !strncmp(wish, name, length) && wish[length] == ':' ? atoi(wish + length + 1) : 0;
}
#define CHECK() do { int error = fails(__func__); if (error) return error; } while (0)

/* As in the real driver, what works on a context needs one that is current on the calling thread. */
static __thread void *current;
#define NEEDS_CONTEXT() do { CHECK(); if (!current) return 201; } while (0)

/* What a test asks for at the end, as one line. */
const char *fake_cuda_report(void) {
    static char text[256];
    snprintf(text, sizeof text, "allocated=%ld pinned=%ld registered=%ld streams=%ld graphs=%ld launches=%ld",
             allocated, pinned, registered, streams, graphs, launches);
    return text;
}

int cuInit(unsigned flags) { CHECK(); return 0; }
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { *count = getenv("FAKE_CUDA_NO_GPU") ? 0 : 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int device) { snprintf(name, length, "Fake GPU"); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)8 << 30; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 16 ? 16 : attribute == 75 ? 8 : attribute == 76 ? 7 : 0;
    return 0;
}
int cuGetErrorName(int error, const char **name) { *name = "CUDA_ERROR_FAKE"; return 0; }
int cuGetErrorString(int error, const char **text) { *text = "a fake error"; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { CHECK(); *context = (void *)0x1000; return 0; }
int cuDevicePrimaryCtxRelease_v2(int device) { return 0; }
int cuCtxSetCurrent(void *context) { CHECK(); current = context; return 0; }
int cuCtxGetStreamPriorityRange(int *least, int *greatest) { *least = 0; *greatest = -5; return 0; }
int cuMemGetInfo_v2(size_t *free_bytes, size_t *total) { *free_bytes = (size_t)6 << 30; *total = (size_t)8 << 30; return 0; }
int cuMemAlloc_v2(uint64_t *address, size_t size) { NEEDS_CONTEXT(); *address = (uint64_t)(uintptr_t)calloc(1, size); allocated++; return 0; }
int cuMemFree_v2(uint64_t address) { free((void *)(uintptr_t)address); allocated--; return 0; }
int cuMemHostAlloc(void **address, size_t size, unsigned flags) { NEEDS_CONTEXT(); *address = malloc(size); pinned++; return 0; }
int cuMemFreeHost(void *address) { free(address); pinned--; return 0; }
int cuMemHostRegister_v2(void *address, size_t size, unsigned flags) { NEEDS_CONTEXT(); registered++; return 0; }
int cuMemHostUnregister(void *address) { registered--; return 0; }
int cuStreamCreateWithPriority(void **stream, unsigned flags, int priority) {
    NEEDS_CONTEXT();
    *stream = (void *)(uintptr_t)(0x2000 - priority);
    streams++;
    return 0;
}
int cuStreamDestroy_v2(void *stream) { streams--; return 0; }
int cuStreamSynchronize(void *stream) { CHECK(); return 0; }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) { NEEDS_CONTEXT(); memcpy((void *)(uintptr_t)to, from, size); return 0; }
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) { NEEDS_CONTEXT(); memcpy(to, (void *)(uintptr_t)from, size); return 0; }
int cuStreamBeginCapture_v2(void *stream, int mode) { NEEDS_CONTEXT(); return 0; }
int cuStreamEndCapture(void *stream, void **graph) { CHECK(); *graph = (void *)0x3000; return 0; }
int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long flags) { NEEDS_CONTEXT(); *exec = (void *)0x4000; graphs++; return 0; }
int cuGraphDestroy(void *graph) { return 0; }
int cuGraphExecDestroy(void *exec) { graphs--; return 0; }
int cuGraphLaunch(void *exec, void *stream) { NEEDS_CONTEXT(); launches++; return 0; }
int cuEventCreate(void **event, unsigned flags) { *event = (void *)0x5000; return 0; }
int cuEventRecord(void *event, void *stream) { NEEDS_CONTEXT(); return 0; }
int cuEventElapsedTime_v2(float *ms, void *begin, void *end) { *ms = 1.5f; return 0; }
int cuEventElapsedTime(float *ms, void *begin, void *end) { *ms = 1.5f; return 0; }

/* cuda-bindings asks for every function here; the newest version of a name comes first. */
int cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, int *status) {
    static const char *suffixes[] = {"_v3", "_v2", "", "WithFlags"};
    char name[128];
    Dl_info info;
    if (!dladdr((void *)cuInit, &info)) return 999;
    void *self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    *function = NULL;
    for (int i = 0; i < 4 && !*function; i++) {
        snprintf(name, sizeof name, "%s%s", symbol, suffixes[i]);
        *function = dlsym(self, name);
    }
    if (status) *status = *function ? 0 : 1;
    return *function ? 0 : 500;
}
int cuGetProcAddress(const char *symbol, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(symbol, function, version, flags, NULL);
}
