"""`python -m federation.soak --seconds 600 --boxes 5 --seed 1`: faults at random against a federation under load, then the checker.

The last line is `N checks passed, M failed`. Without the right to make network namespaces it says so and ends with 77.
"""

import argparse
import pathlib
import random
import sys
import tempfile
import time

from . import checker
from .load import Writer
from .world import NetBox, World, federate, why_not

FAULTS = ["kill", "sleep", "cut", "one_way", "chain", "clock", "restore", "clone", "full"]


class Soak:
    def __init__(self, world: World, count: int, writers: int, seed: int, pause: float, say):
        self.world = world
        self.rng = random.Random(seed)
        self.say = say
        # Every box has a small disk of its own, so that filling it harms nobody else.
        self.boxes = [world.box("--set", "chat.send_burst=100000", "--set", "chat.send_per_second=100000", disk="192m") for _ in range(count)]
        federate(self.boxes)
        founder = self.boxes[0]
        people = [founder.person(f"p{index}", exact=True) for index in range(writers)]
        self.reader = founder.admin
        self.conversation = self.make_group(founder, people)
        self.writers = [Writer(i, person, self.boxes, self.conversation, seed * 1000 + i, pause) for i, person in enumerate(people)]
        self.down: dict = {}
        self.clones: list = []
        self.faults: dict[str, int] = {}

    def make_group(self, founder, people) -> str:
        with founder.admin.chat() as chat:
            answer = chat.request("create", type="group", title="soak", members=[person.id for person in people], cid="soak-group")
        return answer["conversation"]["id"]

    # MARK: faults, each with its end

    def kill(self):
        box = self.pick()
        box.kill()
        return 1 + self.rng.random() * 5, lambda: box.start()

    def sleep(self):
        box = self.pick()
        box.sleep()
        return 1 + self.rng.random() * 20, lambda: box.wake()

    def cut(self):
        box = self.rng.choice(self.boxes)
        others = [other for other in self.boxes if other is not box]
        self.world.partition(*[(box.host, other.host) for other in others], *[(other.host, box.host) for other in others])
        return 3 + self.rng.random() * 20, self.world.heal

    def one_way(self):
        first, second = self.rng.sample(self.boxes, 2)
        self.world.partition((first.host, second.host))
        return 3 + self.rng.random() * 20, self.world.heal

    def chain(self):
        first, second = self.rng.sample(self.boxes, 2)
        self.world.partition((first.host, second.host), (second.host, first.host))
        return 5 + self.rng.random() * 20, self.world.heal

    def clock(self):
        box = self.pick()
        box.kill()
        box.set_clock(self.rng.choice(["-10y", "-1d", "+1h", "+2y"]))
        box.start()

        def right():
            box.kill()
            box.set_clock(None)
            box.start()

        return 5 + self.rng.random() * 10, right

    def restore(self):
        box = self.pick()
        box.kill()
        backup = self.world.directory / f"{box.name}.backup"
        if backup.exists():
            self.say(f"    restored from an older backup: {box.name}")
            box.restore_from(backup)
        else:
            box.copy_to(backup)
        box.start()
        return 1, lambda: None

    def clone(self):
        box = self.pick()
        box.kill()
        name, address = self.world.namespace()
        twin = NetBox(self.world.directory / f"{box.name}.twin{len(self.clones)}", name, address)
        box.copy_to(twin.directory)
        self.clones.append(twin)
        box.start()
        twin.start()
        return 3 + self.rng.random() * 8, twin.kill

    def full(self):
        box = self.pick()
        box.fill_disk()
        return 2 + self.rng.random() * 10, box.free_disk

    def pick(self):
        return self.rng.choice([box for box in self.boxes if box.is_running and not box.is_stopped])

    # MARK: the run

    def run(self, seconds: float, faults: list[str]) -> list[str]:
        for writer in self.writers:
            writer.start()
        started = time.monotonic()
        round: list[str] = []
        time.sleep(1)
        while time.monotonic() - started < seconds:
            # In rounds, so that a short run has each of them.
            round = round or self.rng.sample(faults, len(faults))
            name = round.pop()
            self.faults[name] = self.faults.get(name, 0) + 1
            length, end = getattr(self, name)()
            self.say(f"  {time.monotonic() - started:6.1f} s {name} for {length:.1f} s; {sum(len(w.acked) for w in self.writers)} acknowledged")
            time.sleep(min(length, max(1, seconds - (time.monotonic() - started))))
            end()
            time.sleep(self.rng.random() * 2)
        self.world.heal()
        for box in self.boxes:
            box.wake()
            box.free_disk()
            if not box.is_running:
                box.process = None
                box.start()
        for writer in self.writers:
            writer.ending.set()
        for writer in self.writers:
            writer.join(90)
        return self.check()

    def check(self) -> list[str]:
        token = self.reader.token
        histories, trouble = checker.converged(self.boxes, token, self.conversation, 120)
        found = [trouble] if trouble else []
        for writer in self.writers:
            try:
                writer.finish(self.rng.choice(self.boxes))
            except Exception as error:  # noqa: BLE001
                found.append(f"writer {writer.index} cannot finish: {error!r}")
        found += checker.problems(self.writers, histories)
        acked = sum(len(writer.acked) for writer in self.writers)
        replicated = sum(len(writer.replicated & {ack['mid'] for ack in writer.acked.values()}) for writer in self.writers)
        self.say(
            f"  {acked} acknowledged, {replicated} of them replicated, {checker.lost_unreplicated(self.writers, histories)} acknowledged and gone, "
            f"{sum(w.connections for w in self.writers)} connections, {sum(w.resets for w in self.writers)} resets, faults {self.faults}")
        for box in self.boxes:
            if "Fatal" in box.log() or "Crash" in box.log():
                found.append(f"{box.name} crashed: {box.log(5)}")
        if acked < 50:
            found.append(f"only {acked} messages were acknowledged: the load did not run")
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--boxes", type=int, default=3)
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two messages of one person, on average")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(24))
    parser.add_argument("--faults", default=",".join(FAULTS), help="which of " + ", ".join(FAULTS))
    parser.add_argument("--delay", type=float, default=0, help="milliseconds that a frame takes on each box's wire, give or take half of it")
    parser.add_argument("--loss", type=float, default=0, help="the share of frames that are lost, such as 0.02")
    parser.add_argument("--keep", help="a directory to keep the boxes' data and logs in")
    options = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        return 77
    print(f"seed {options.seed}")
    directory = pathlib.Path(options.keep or tempfile.mkdtemp(prefix="skerry-soak-"))
    with World(directory, random.Random(options.seed), options.delay, options.loss) as world:
        soak = Soak(world, options.boxes, options.writers, options.seed, options.pause, lambda text: print(text, flush=True))
        found = soak.run(options.seconds, options.faults.split(","))
    for problem in found:
        print(f"FAILED: {problem}")
    print(f"{1 if not found else 0} checks passed, {len(found)} failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
