#ifndef SKERRY_CLINUX_SHIM_H
#define SKERRY_CLINUX_SHIM_H
#include <malloc.h>
#include <string.h>
#include <sys/timex.h>

// The kernel's opinion of the clock: 1 = kept in step by NTP or a receiver, 0 = not, -1 = it does not say. Asking changes nothing.
static inline int skerry_clock_synced(void) {
    struct timex state;
    memset(&state, 0, sizeof state);
    int result = adjtimex(&state);
    if (result < 0) return -1;
    return result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

// Gives memory that is free inside the process back to the system. A password check takes 16 MiB, which glibc would otherwise keep.
static inline void skerry_trim_memory(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}
#endif
