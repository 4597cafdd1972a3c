#ifndef SKERRY_CLINUX_SHIM_H
#define SKERRY_CLINUX_SHIM_H
#include <elf.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <unistd.h>

// The kernel's opinion of the clock: 1 = kept in step by NTP or a receiver, 0 = not, -1 = it does not say. Asking changes nothing.
static inline int skerry_clock_synced(void) {
    struct timex state;
    memset(&state, 0, sizeof state);
    int result = adjtimex(&state);
    if (result < 0) return -1;
    return result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

// How many processors this process may run on (taskset, systemd's CPUAffinity=); 0 = the kernel does not say. The system call itself: the C library
// shows its wrapper to GNU sources only, and a module that were one would see other types than Swift's does.
static inline int skerry_allowed_processors(void) {
    unsigned long allowed[128];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof allowed, allowed);
    int count = 0;
    for (long word = 0; word < bytes / (long)sizeof *allowed; word++) count += __builtin_popcountl(allowed[word]);
    return count;
}

// Whether any user of the machine may put other files in the place of those in a directory. In C, because Swift finds the members of `struct stat`
// in one module or another, depending on what else a build happens to import.
static inline int skerry_is_writable_by_anybody(const char *directory) {
    struct stat status;
    return stat(directory, &status) == 0 && (status.st_mode & S_IWOTH) != 0;
}

// Gives memory that is free inside the process back to the system. A password check takes 16 MiB, which glibc would otherwise keep.
static inline void skerry_trim_memory(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

// Takes the program's code out of the process's page tables; what still runs comes back from the page cache as it is touched. Starting runs
// through code that a running box never needs again, and the kernel maps its neighbours along with every page: about 18 MB on a board where
// that counts. Only code that was never written to is let go, so nothing can be lost.
static inline void skerry_release_code(void) {
    const Elf64_Phdr *parts = (const Elf64_Phdr *)getauxval(AT_PHDR);
    unsigned long count = getauxval(AT_PHNUM);
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), base = 0;
    if (!parts) return;
    for (unsigned long i = 0; i < count; i++) {
        if (parts[i].p_type == PT_PHDR) base = (uintptr_t)parts - parts[i].p_vaddr;
    }
    if (!base) return;
    for (unsigned long i = 0; i < count; i++) {
        if (parts[i].p_type != PT_LOAD || !(parts[i].p_flags & PF_X) || (parts[i].p_flags & PF_W)) continue;
        uintptr_t start = (base + parts[i].p_vaddr) & ~(page - 1);
        uintptr_t end = (base + parts[i].p_vaddr + parts[i].p_memsz + page - 1) & ~(page - 1);
        madvise((void *)start, end - start, MADV_DONTNEED);
    }
}
#endif
