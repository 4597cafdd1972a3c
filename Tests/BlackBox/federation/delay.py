"""A slow and lossy wire in user space: two tap devices, and a thread that holds every frame back for a while. Needs no netem in the kernel."""

import fcntl
import heapq
import os
import random
import select
import struct
import threading
import time

_TUNSETIFF = 0x400454CA
_TAP_WITHOUT_HEADER = 0x0002 | 0x1000


def why_not_delayed() -> str | None:
    """Why no such wire can be made here; nil when it can."""
    try:
        os.close(tap(f"sktry{os.getpid() % 10_000}"))
    except OSError as error:
        return f"tap devices are not allowed here: {error}"
    return None


def tap(name: str) -> int:
    """A new tap device; it is there as long as the descriptor is open, whatever namespace it is moved to."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_WITHOUT_HEADER))
    return descriptor


class Wire(threading.Thread):
    """Carries frames between two taps, each `milliseconds` late, give or take half of it (so that frames overtake each other), and loses a share."""

    # Frames on their way; beyond it a frame is lost, as in any router.
    FRAMES_MAX = 20_000

    def __init__(self, one: int, other: int, milliseconds: float, loss: float, seed: int):
        super().__init__(daemon=True, name="wire")
        self.ends = {one: other, other: one}
        self.seconds = milliseconds / 1000
        self.loss = loss
        self.rng = random.Random(seed)
        self.ending = threading.Event()
        self.carried = 0
        self.lost = 0

    def run(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        number = 0
        while not self.ending.is_set():
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, end, frame = heapq.heappop(waiting)
                try:
                    os.write(end, frame)
                    self.carried += 1
                except OSError:
                    self.lost += 1  # the device is down: its box is gone
            pause = min(0.1, max(0, waiting[0][0] - time.monotonic())) if waiting else 0.1
            for end in select.select(list(self.ends), [], [], pause)[0]:
                try:
                    frame = os.read(end, 65_536)
                except OSError:
                    continue
                if self.rng.random() < self.loss or len(waiting) >= self.FRAMES_MAX:
                    self.lost += 1
                    continue
                number += 1
                late = self.seconds * self.rng.uniform(0.5, 1.5)
                heapq.heappush(waiting, (time.monotonic() + late, number, self.ends[end], frame))

    def stop(self) -> None:
        self.ending.set()
        self.join(2)
        for end in self.ends:
            os.close(end)
