"""People who write and read while boxes come and go, and remember everything they were told."""

import random
import threading
import time

from harness import Chat, ChatClosed, ChatRefused, Person
from harness.chat import new_cid


class Writer(threading.Thread):
    """One person: connects to some box, writes, reads, moves on to another when the box goes away or by whim.

    What a client of the contract does (PRODUCT.md §3): connect, catch up with `sync` from the cursor, take messages once by `mid`. What was
    not acknowledged is sent again with the same `cid`, at whatever box.
    """

    def __init__(self, index: int, person: Person, boxes: list, conversation: str, seed: int, pause: float):
        super().__init__(daemon=True, name=f"writer{index}")
        self.index = index
        self.person = person
        self.boxes = boxes
        self.conversation = conversation
        self.rng = random.Random(seed)
        self.pause = pause
        self.ending = threading.Event()
        self.cursor: str | None = None
        self.sent: dict[str, str] = {}  # cid → text
        self.acked: dict[str, dict] = {}  # cid → the acknowledgement
        self.replicated: set[str] = set()  # mids
        self.shown: dict[str, str] = {}  # mid → order under which it was shown last
        self.problems: list[str] = []
        self.resets = 0
        self.connections = 0
        self.outstanding: tuple[str, str] | None = None
        self.latencies: list[float] = []

    # MARK: what comes in

    def take(self, frame: dict) -> None:
        t, d = frame.get("t"), frame.get("d") or {}
        if t == "msg":
            self.shown[d["mid"]] = d["order"]
            if d.get("replicated"):
                self.replicated.add(d["mid"])
        elif t == "replicated":
            self.replicated.update(d["mids"])
        if frame.get("cursor"):
            self.cursor = frame["cursor"]

    def drain(self, chat: Chat) -> None:
        with chat._changed:
            frames, chat.pushes = chat.pushes, []
        for frame in frames:
            self.take(frame)

    def catch_up(self, chat: Chat) -> None:
        """Everything since the cursor; within the pages nothing may come twice."""
        seen: set[str] = set()
        deadline = time.monotonic() + 60
        while True:
            page = chat.request("sync", **({"since": self.cursor} if self.cursor else {}))
            if page["status"] == "reset":
                self.resets += 1
                for message in chat.history(self.conversation):
                    self.shown[message["mid"]] = message["order"]
                self.cursor = page["cursor"]
                return
            for item in page["items"]:
                if item["t"] == "msg":
                    mid = item["d"]["mid"]
                    if mid in seen:
                        self.problems.append(f"sync gave message {mid} twice")
                    seen.add(mid)
                self.take(item)
            self.cursor = page["cursor"]
            if page["done"]:
                return
            if page["status"] == "syncing":
                self.ending.wait(0.2)
            if time.monotonic() > deadline:
                raise AssertionError("sync does not end")

    # MARK: what goes out

    def write(self, chat: Chat) -> None:
        if self.outstanding is None:
            cid = new_cid()
            text = f"{self.index}:{len(self.sent)}"
            self.sent[cid] = text
            self.outstanding = (cid, text)
        cid, text = self.outstanding
        started = time.monotonic()
        try:
            self.acked[cid] = chat.text(self.conversation, text, cid)
            self.latencies.append(time.monotonic() - started)
            self.outstanding = None
        except ChatRefused as refusal:
            if refusal.code not in ("busy", "storage_low", "unavailable", "rate_limited", "not_found", "forbidden"):
                self.problems.append(f"a message was refused: {refusal}")
                self.outstanding = None
            self.ending.wait(0.3)

    def visit(self, box) -> None:
        token = self.person.token
        with Chat(box.ws_url, open_timeout=5) as chat:
            chat.hello(token)
            self.connections += 1
            self.catch_up(chat)
            self.drain(chat)
            stay = time.monotonic() + self.rng.uniform(2, 15)
            while not self.ending.is_set() and time.monotonic() < stay and chat.is_open:
                self.write(chat)
                self.drain(chat)
                self.ending.wait(self.rng.uniform(0, 2 * self.pause))
            self.drain(chat)

    def run(self) -> None:
        while not self.ending.is_set():
            box = self.rng.choice(self.boxes)
            try:
                self.visit(box)
            except (ChatClosed, OSError, TimeoutError, KeyError):
                self.ending.wait(self.rng.uniform(0.1, 0.5))
            except ChatRefused:
                self.ending.wait(0.5)  # the box does not know the account yet, or starts
            except AssertionError as problem:
                if "no reply" not in str(problem):
                    self.problems.append(f"{problem}")
            except Exception as problem:  # noqa: BLE001 - InvalidStatus, InvalidMessage and the like: a box in between
                if type(problem).__name__ not in ("InvalidMessage", "InvalidStatus", "InvalidHandshake", "ConnectionClosedError"):
                    self.problems.append(f"{type(problem).__name__}: {problem}")
                self.ending.wait(0.3)

    def finish(self, box) -> None:
        """After everything has healed: reads what is left, from the cursor it has, at whatever box."""
        with Chat(box.ws_url) as chat:
            chat.hello(self.person.token)
            self.catch_up(chat)
            self.drain(chat)
