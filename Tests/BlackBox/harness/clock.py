"""Boxes whose calendar is wrong: libfaketime in front of the system's."""

import atexit
import glob
import os
import struct


def library() -> str | None:
    """Where libfaketime is; None when the package faketime is not installed."""
    found = sorted(glob.glob("/usr/lib/*/faketime/libfaketime.so.1") + glob.glob("/usr/lib/faketime/libfaketime.so.1"))
    return found[0] if found else None


def wrong_clock(offset: str) -> dict[str, str]:
    """The environment of a process whose calendar is off by `offset`, such as `-10y` or `+3d`; its other clocks are right."""
    return {
        "LD_PRELOAD": library() or "", "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", "FAKETIME_SHARED": _shared()}


def _shared() -> str:
    """The semaphore and the shared memory that the program `faketime` makes for its child.

    Without them the library makes its own and writes their names into the environment, which moves; a Swift program finds its arguments
    beside the environment and would have none.
    """
    name = f"skerry_tests_{os.getpid()}"
    semaphore, memory = f"/dev/shm/sem.{name}_sem", f"/dev/shm/{name}_shm"
    if not os.path.exists(semaphore):
        with open(semaphore, "wb") as file:
            file.write(struct.pack("<QIIQQ", 1, 128, 0, 0, 0))  # glibc's sem_t: free, for several processes
        with open(memory, "wb") as file:
            file.write(struct.pack("<qq", 0, 0) + struct.pack("<qq", 0, -1) * 8)  # no ticks; the start times are not set
        atexit.register(lambda: [os.path.exists(path) and os.unlink(path) for path in (semaphore, memory)])
    return f"/{name}_sem /{name}_shm"
