"""Network namespaces, one a box, on one bridge: partitions by nftables, delay by a forwarder in user space, clocks by faketime, small disks by tmpfs."""

import os
import pathlib
import random
import shutil
import subprocess
import time

from harness import Box
from harness.clock import wrong_clock
from harness.federation import invite, join

from .delay import Wire, tap

PROGRAMS = ["ip", "nft"]


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess:
    result = subprocess.run(command, capture_output=True, text=True)
    if check and result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}")
    return result


def why_not() -> str | None:
    """Why namespaces cannot be made here; nil when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in PROGRAMS:
        if not shutil.which(program):
            return f"{program} is missing"
    name = f"sk-try-{os.getpid()}"
    try:
        run("ip", "netns", "add", name)
        run("ip", "link", "add", f"{name}"[:15], "type", "bridge")
    except RuntimeError as error:
        return f"network namespaces are not allowed here: {error}"
    finally:
        run("ip", "netns", "del", name, check=False)
        run("ip", "link", "del", f"{name}"[:15], check=False)
    return None


class World:
    """A bridge with the driver's own address on it, a namespace for each box, and a table of who hears whom."""

    def __init__(self, directory: pathlib.Path, rng: random.Random, delay: float = 0, loss: float = 0):
        """`delay`: milliseconds that every frame takes on each box's wire; `loss`: the share of frames that do not arrive."""
        self.directory = directory
        self.delay, self.loss = delay, loss
        self.wires: list[Wire] = []
        self.rng = rng
        self.tag = f"{os.getpid() % 10_000}"
        self.bridge = f"skb{self.tag}"
        self.table = f"skerry{self.tag}"
        # A network of its own, so that worlds beside each other do not meet.
        self.net = f"10.{rng.randint(64, 127)}.{rng.randint(0, 255)}"
        self.boxes: list["NetBox"] = []
        self.namespaces: list[str] = []
        self.mounts: list[str] = []

    def __enter__(self) -> "World":
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.net}.254/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        self._hear({})
        return self

    def __exit__(self, *_) -> None:
        for box in self.boxes:
            box.wake()
            box.kill()
        for wire in self.wires:
            wire.stop()
        run("nft", "delete", "table", "bridge", self.table, check=False)
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)
        run("ip", "link", "del", self.bridge, check=False)
        for mount in self.mounts:
            run("umount", "-l", mount, check=False)

    def namespace(self) -> tuple[str, str]:
        """A new namespace on the bridge: its name and its address."""
        index = len(self.namespaces) + 1
        name, outside, address = f"sk{self.tag}n{index}", f"sk{self.tag}v{index}", f"{self.net}.{index}"
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        if self.delay or self.loss:
            inside = f"sk{self.tag}i{index}"
            wire = Wire(tap(outside), tap(inside), self.delay, self.loss, self.rng.getrandbits(32))
            self.wires.append(wire)
            run("ip", "link", "set", inside, "netns", name, "name", "eth0")
            wire.start()
        else:
            run("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "link", "set", outside, "master", self.bridge, "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", name, "route", "add", "default", "via", f"{self.net}.254", check=False)
        return name, address

    def box(self, *options: str, disk: str | None = None) -> "NetBox":
        """A box that does not run yet. `disk`: the size of the file system it has to itself, as tmpfs writes it."""
        name, address = self.namespace()
        directory = self.directory / f"box{len(self.boxes) + 1}"
        if disk:
            directory.mkdir(parents=True)
            run("mount", "-t", "tmpfs", "-o", f"size={disk}", "tmpfs", str(directory))
            self.mounts.append(str(directory))
        box = NetBox(directory, name, address, *options)
        self.boxes.append(box)
        return box

    # MARK: the network

    def partition(self, *cuts: tuple[str, str]) -> None:
        """Nothing goes from the first to the second address of each pair from now on; everything else does."""
        self._hear(dict.fromkeys(cuts))

    def heal(self) -> None:
        self._hear({})

    def _hear(self, cuts) -> None:
        lines = [f"add table bridge {self.table}", f"delete table bridge {self.table}", f"table bridge {self.table} {{ chain forward {{",
                 "type filter hook forward priority 0; policy accept;"]
        lines += [f"ip saddr {source} ip daddr {target} drop" for source, target in cuts]
        lines += ["}", "}"]
        result = subprocess.run(["nft", "-f", "-"], input="\n".join(lines), capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"nft: {result.stderr}")


class NetBox(Box):
    """A box in a namespace of its own, reachable from here by its address."""

    def __init__(self, directory: pathlib.Path, namespace: str, address: str, *options: str):
        super().__init__(
            directory, "--http-port", "8080", "--https-port", "8443", "--mqtt-port", "1883", "--mqtts-port", "8883", "--federation-port", "7883",
            *options)
        self.namespace = namespace
        self.host = address
        self.bind = "0.0.0.0"
        self.prefix = ["ip", "netns", "exec", namespace]
        self.is_stopped = False

    @property
    def name(self) -> str:
        return self.directory.name

    def set_clock(self, offset: str | None) -> None:
        """From its next start on the box's calendar is wrong by so much, such as `-10y` or `+3d`; nil: right."""
        self.variables = {} if offset is None else wrong_clock(offset)

    def sleep(self) -> None:
        """SIGSTOP."""
        if self.process and not self.is_stopped:
            os.kill(self.pid, 19)
            self.is_stopped = True

    def wake(self) -> None:
        if self.process and self.is_stopped:
            os.kill(self.pid, 18)
        self.is_stopped = False

    @property
    def pid(self) -> int:
        return self.process.pid  # `ip netns exec` becomes the program itself

    def kill(self) -> None:
        self.wake()
        super().kill()

    def copy_to(self, target: pathlib.Path) -> None:
        """The data directory of a box that does not run, as a backup or a copied card has it."""
        assert self.process is None
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.directory, target, ignore=shutil.ignore_patterns("run"))

    def restore_from(self, source: pathlib.Path) -> None:
        assert self.process is None
        for entry in self.directory.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(source, self.directory, dirs_exist_ok=True)

    def fill_disk(self) -> None:
        """Leaves no room on the file system it has to itself."""
        with open(self.directory / "ballast", "ab") as ballast:
            chunk = b"\0" * 65_536
            try:
                while True:
                    ballast.write(chunk)
                    ballast.flush()
            except OSError:
                pass

    def free_disk(self) -> None:
        (self.directory / "ballast").unlink(missing_ok=True)


def federate(boxes: list[NetBox]) -> None:
    """Starts the boxes; the first founds a federation, the others join it."""
    for box in boxes:
        box.start()
    founder = boxes[0]
    founder.admin
    for other in boxes[1:]:
        join(other, invite(founder))
    for other in boxes[1:]:
        other._admin = founder.admin
