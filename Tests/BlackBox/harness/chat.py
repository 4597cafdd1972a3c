"""A WebSocket client of the chat: hello, requests, pushes, sync and the de-duplication that the contract asks of clients."""

import itertools
import json
import threading
import time
import uuid

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .wait import DEADLINE_SECONDS

SUBPROTOCOL = "skerry.v1.json"


class ChatRefused(Exception):
    """The box answered with an error."""

    def __init__(self, error: dict):
        self.error = error
        self.code: str = error["code"]
        super().__init__(f"{error['code']}: {error.get('detail')}")


class ChatClosed(Exception):
    """The connection is closed; `code` is that of the close frame, 1006 when there was none."""

    def __init__(self, code: int, reason: str):
        self.code = code
        self.reason = reason
        super().__init__(f"closed with {code} {reason}")


class Chat:
    """One connection. A thread reads; `request` waits for the reply with its id, everything else lands in `pushes`."""

    def __init__(self, url: str, address: str | None = None, ssl=None, **options):
        if address:
            options["source_address"] = (address, 0)
        if ssl is not None:
            options["ssl"] = ssl
        options.setdefault("subprotocols", [SUBPROTOCOL])
        options.setdefault("compression", None)
        # `ping_interval`: the chat has its own heartbeat. `max_size`: a page of sync is larger than what a client may send.
        options.setdefault("open_timeout", 20)
        self.socket = connect(url, close_timeout=5, ping_interval=None, proxy=None, max_size=16 << 20, max_queue=None, legacy=True, **options)
        self.greeting: dict = {}
        self.pushes: list[dict] = []
        self.cursor: str | None = None
        self._ids = itertools.count(1)
        self._replies: dict[int, dict] = {}
        self._abandoned: set[int] = set()
        self._changed = threading.Condition()
        self._closed: ChatClosed | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # MARK: frames

    def _read(self) -> None:
        try:
            while True:
                frame = json.loads(self.socket.recv())
                with self._changed:
                    if "id" in frame:
                        self._replies[frame["id"]] = frame
                    else:
                        self.pushes.append(frame)
                        if "cursor" in frame:
                            self.cursor = frame["cursor"]
                    self._changed.notify_all()
        except ConnectionClosed as closed:
            received = closed.rcvd
            self._close(ChatClosed(received.code if received else 1006, received.reason if received else ""))
        except Exception as error:  # a frame that is not JSON must fail the test that waits, not vanish with this thread
            self._close(ChatClosed(1006, f"{type(error).__name__}: {error}"))

    def _close(self, closed: ChatClosed) -> None:
        with self._changed:
            self._closed = closed
            self._changed.notify_all()

    def send_text(self, text: str) -> None:
        try:
            self.socket.send(text)
        except ConnectionClosed:
            raise self._closed or ChatClosed(1006, "")

    def send_bytes(self, data: bytes) -> None:
        self.socket.send(data)

    def start(self, t: str, **d) -> int:
        """Sends a request without waiting; its id, for `reply`."""
        id = next(self._ids)
        self.send_text(json.dumps({"t": t, "id": id, "d": d}, ensure_ascii=False))
        return id

    def reply(self, id: int, seconds: float = DEADLINE_SECONDS) -> dict:
        """The `d` of the reply to request `id`; raises `ChatRefused` for an error, `ChatClosed` when it will not come any more."""
        with self._changed:
            if not self._changed.wait_for(lambda: id in self._replies or self._closed, seconds):
                raise AssertionError(f"no reply to request {id} within {seconds:g} s")
            if id not in self._replies:
                raise self._closed  # type: ignore[misc]
            frame = self._replies.pop(id)
        if "error" in frame:
            raise ChatRefused(frame["error"])
        return frame["d"]

    def request(self, t: str, **d) -> dict:
        return self.reply(self.start(t, **d))

    def refused(self, t: str, **d) -> dict:
        """The error that this request must be answered with."""
        try:
            answer = self.request(t, **d)
        except ChatRefused as refusal:
            return refusal.error
        raise AssertionError(f"{t} was not refused but answered {answer}")

    def closed(self, seconds: float = DEADLINE_SECONDS) -> ChatClosed:
        """Waits until the box closes the connection."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed, seconds):
                raise AssertionError(f"the connection is still open after {seconds:g} s")
            return self._closed  # type: ignore[return-value]

    @property
    def is_open(self) -> bool:
        return self._closed is None

    def close(self) -> None:
        self.socket.close()
        self._reader.join(5)

    def __enter__(self) -> "Chat":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    # MARK: pushes

    def push(self, t: str, match=lambda d: True, seconds: float = DEADLINE_SECONDS) -> dict:
        """The `d` of the first push of this kind that matches; taken out of `pushes`."""
        found: dict = {}

        def look() -> bool:
            for index, frame in enumerate(self.pushes):
                if frame.get("t") == t and match(frame["d"]):
                    found.update(self.pushes.pop(index))
                    return True
            return False

        with self._changed:
            if not self._changed.wait_for(lambda: look() or self._closed, seconds) or not found:
                raise self._closed or AssertionError(f"no push {t} within {seconds:g} s; there were {self.pushes}")
        return found["d"]

    def message(self, mid: str, seconds: float = DEADLINE_SECONDS) -> dict:
        return self.push("msg", lambda d: d["mid"] == mid, seconds)

    def error_push(self, seconds: float = DEADLINE_SECONDS) -> dict:
        """The next error that answers no request."""
        found: list[dict] = []

        def look() -> bool:
            for index, frame in enumerate(self.pushes):
                if "error" in frame:
                    found.append(self.pushes.pop(index)["error"])
                    return True
            return False

        with self._changed:
            if not self._changed.wait_for(lambda: look() or self._closed, seconds) or not found:
                raise self._closed or AssertionError(f"no error within {seconds:g} s")
        return found[0]

    def barrier(self) -> None:
        """When this returns, every push that was on its way to this connection is in `pushes`; one that another client has just caused may still follow."""
        self.request("ping")

    # MARK: verbs

    def hello(self, token: str, cursor: str | None = None, **more) -> dict:
        d = {"token": token, **more}
        if cursor is not None:
            d["cursor"] = cursor
        self.greeting = self.request("hello", **d)
        self.cursor = self.greeting["live"]
        return self.greeting

    def text(self, conv: str, text: str, cid: str | None = None, **more) -> dict:
        """Sends a text message; its acknowledgement."""
        return self.request("send", conv=conv, cid=cid or new_cid(), kind="text", text=text, **more)

    def sync(self, since: str | None, limit: int | None = None) -> tuple[list[dict], str, list[str]]:
        """Pages `sync` until done: the items, the cursor and the statuses seen."""
        items: list[dict] = []
        statuses: list[str] = []
        deadline = time.monotonic() + 120
        while True:
            d: dict = {} if since is None else {"since": since}
            if limit is not None:
                d["limit"] = limit
            page = self.request("sync", **d)
            items += page["items"]
            statuses.append(page["status"])
            assert page["done"] or page["cursor"] != since or page["items"], f"sync makes no progress: {page}"
            since = page["cursor"]
            if page["done"]:
                return items, since, statuses
            assert time.monotonic() < deadline, "sync does not end"

    def history(self, conv: str, limit: int | None = None) -> list[dict]:
        """Every message of a conversation that I may see, oldest first, paged backwards as a client does."""
        messages: list[dict] = []
        before = None
        while True:
            d = {"conv": conv}
            if before:
                d["before"] = before
            if limit is not None:
                d["limit"] = limit
            page = self.request("history", **d)
            assert page["items"] == sorted(page["items"], key=lambda m: m["order"]), "a page of history is not in order"
            messages = page["items"] + messages
            if not page["more"]:
                return messages
            assert page["items"], "history has more but gives none"
            before = page["items"][0]["order"]


def new_cid() -> str:
    return uuid.uuid4().hex
