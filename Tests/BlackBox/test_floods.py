"""Clients that mean no good or are just broken: garbage, slowness at every stage, floods. What is cut, when, and that others go on."""

import errno
import os
import resource
import signal
import socket
import ssl
import statistics
import threading
import time

import pytest

from harness import MQTTClient, eventually, free_address
from harness.certificates import client_context
from harness.raw import Raw, WebSocketRaw
from harness.raw_mqtt import RawMQTT, connect, publish

PING = b"\xc0\x00"


@pytest.fixture(scope="module", autouse=True)
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    from harness import Box
    box = Box(tmp_path_factory.mktemp("floods") / "data", "--mqtt-anonymous", "#").start()
    yield box
    box.stop()


def memory(box, field: str = "RssAnon") -> int:
    """Bytes of the process that belong to it alone."""
    with open(f"/proc/{box.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field + ":"))


def cut(raw: Raw, least: float, most: float, trickle: bytes = b"") -> float:
    """Waits for the box to close; when it did. With `trickle` a byte is sent each half second meanwhile."""
    began = time.monotonic()
    raw.socket.settimeout(0.5)
    rest = bytearray(trickle)
    while True:
        elapsed = time.monotonic() - began
        assert elapsed < most, f"still open after {most:g} s"
        try:
            if not raw.socket.recv(65_536):
                break
        except (TimeoutError, ssl.SSLWantReadError):
            if rest:
                raw.write(bytes([rest.pop(0)]))
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            break
    elapsed = time.monotonic() - began
    assert elapsed >= least, f"cut after {elapsed:.1f} s already"
    return elapsed


# MARK: garbage

def pour(raw: Raw, data: bytes, total: int) -> int:
    """Sends `data` again and again until `total` bytes are out or the box closes; how many it took."""
    sent = 0
    raw.socket.settimeout(5)
    while sent < total:
        try:
            sent += raw.socket.send(data)
        except (OSError, ssl.SSLError):
            break
    return sent


GARBAGE = [
    ("mqtt", "text", b"A" * 65_536), ("mqtt", "zeros", bytes(65_536)), ("mqtt", "a connect that never ends", b"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05" + b"\xff" * 65_536),
    ("mqtt", "a connect within the limit, then more", b"\x10\x80\x80\x04\x00\x04MQTT\x05\x02\x00\x3c\x00" + b"\xff" * 65_536),
    ("mqtts", "text", b"A" * 65_536), ("mqtts", "records", b"\x16\x03\x01\x40\x00" + b"\x01" * 65_536),
    ("http", "text", b"A" * 65_536), ("http", "an endless header", b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_536), ("http", "header lines", b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000),
    ("https", "text", b"A" * 65_536),
]


@pytest.mark.parametrize("kind, what, data", GARBAGE, ids=[f"{kind}, {what}" for kind, what, _ in GARBAGE])
def test_a_hundred_megabytes_of_garbage_are_never_buffered(box, kind, what, data):
    before = memory(box)
    peak = before
    done = threading.Event()

    def watch():
        nonlocal peak
        while not done.is_set():
            peak = max(peak, memory(box))
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(4):
            with Raw(box.port(kind), address=free_address()) as raw:
                pour(raw, data, 25 << 20)
                raw.close()
    finally:
        done.set()
        watcher.join()
    assert peak - before < 6 << 20, f"{what}: {(peak - before) >> 10} KiB more"
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        c.barrier()


@pytest.mark.parametrize("what", ["one frame", "frames", "pings"])
def test_a_hundred_megabytes_over_a_websocket_before_connect_are_never_buffered(box, what):
    before = memory(box)
    raw = WebSocketRaw(box.port("http"), path="/mqtt", subprotocol="mqtt", address=free_address())
    chunk = os.urandom(60_000)
    if what == "one frame":
        raw.write(raw.encode(0x2, b"\x10\xff\xff\xff\x7f", length=100 << 20))
        taken = pour(raw, chunk, 100 << 20)
    elif what == "frames":
        taken = pour(raw, raw.encode(0x2, chunk), 100 << 20)
    else:
        taken = pour(raw, raw.encode(0x9, chunk[:120]) * 400, 100 << 20)
    grown = memory(box) - before
    raw.close()
    assert grown < 6 << 20, f"{grown >> 10} KiB more after {taken >> 20} MiB"


def test_many_strangers_with_large_connects_that_never_end_fill_no_memory(box):
    """Each may have one CONNECT under way, and no more of it than the limit of a CONNECT."""
    before = memory(box)
    strangers = []
    for _ in range(100):
        raw = Raw(box.port("mqtt"), address=free_address())
        raw.write(b"\x10\x80\x80\x02" + b"\x00\x04MQTT\x05\x02\x00\x3c\x00" + bytes(30_000))
        strangers.append(raw)
    grown = memory(box) - before
    for raw in strangers:
        raw.close()
    assert grown < 100 * 96 * 1024, f"{grown >> 10} KiB"


# MARK: slowness

def all_cut(*cases: tuple) -> None:
    """Waits for the box to close every one of (what, connection, least seconds, most seconds, trickle), all at the same time."""
    failures: list[str] = []

    def one(what, raw, least, most, trickle=b""):
        try:
            cut(raw, least, most, trickle)
        except AssertionError as failure:
            failures.append(f"{what}: {failure}")
        finally:
            raw.close()

    threads = [threading.Thread(target=one, args=case) for case in cases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def said(box, kind: str, data: bytes, **options) -> Raw:
    raw = Raw(box.port(kind), address=free_address(), **options)
    raw.write(data)
    return raw


def test_silence_is_cut(box):
    all_cut(*[(kind, said(box, kind, b""), 4, 15) for kind in ("mqtt", "mqtts", "http", "https")])


def test_a_tls_handshake_that_does_not_end_is_cut_however_busily_it_trickles(box):
    hello = _client_hello()
    cases = [(f"{kind} {count}", said(box, kind, hello[:count]), 4, 15) for kind in ("mqtts", "https") for count in (1, 5, len(hello) // 2, len(hello))]
    all_cut(*cases, *[(f"{kind} trickling", said(box, kind, b""), 4, 15, hello) for kind in ("mqtts", "https")])


def _client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def test_half_a_connect_is_cut_however_busily_it_trickles(box):
    data = connect("t" * 60)
    cases = [(f"{kind} {count}", said(box, kind, data[:count], tls=kind == "mqtts"), 3, 15) for kind in ("mqtt", "mqtts") for count in (1, 2, 9, 15)]
    all_cut(*cases, ("trickling", said(box, "mqtt", b""), 4, 15, data), ("trickling in TLS", said(box, "mqtts", b"", tls=True), 3, 15, data))


UPGRADE = (b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")


def test_half_an_upgrade_is_cut_however_busily_it_trickles(box):
    all_cut(*[(str(count), said(box, "http", UPGRADE[:count]), 8, 20) for count in (1, 20, len(UPGRADE) - 1)], ("trickling", said(box, "http", b""), 8, 20, UPGRADE))


def test_an_upgraded_connection_without_a_connect_is_cut(box):
    half = WebSocketRaw.encode(0x2, connect("half")[:9])
    cases = []
    for data in (b"", b"\x82", b"\x82\xfe\x00", half):
        raw = WebSocketRaw(box.port("http"), path="/mqtt", subprotocol="mqtt", address=free_address())
        raw.write(data)
        cases.append((repr(data), raw, 4, 16))
    all_cut(*cases)


def connected(box, client_id: str, keepalive: int, data: bytes) -> RawMQTT:
    raw = RawMQTT(box.port("mqtt"), address=free_address())
    raw.connect(client_id=client_id, keepalive=keepalive)
    raw.write(data)
    return raw


HALF = publish("a", b"x" * 500)


def test_a_client_that_vanished_or_sends_half_a_packet_is_cut_by_its_keep_alive(box):
    all_cut(("vanished", connected(box, "vanished", 2, b""), 2.5, 7), ("half a packet", connected(box, "half", 2, HALF[:50]), 2.5, 7),
            ("trickling", connected(box, "trickling", 2, HALF[:50]), 2.5, 7, HALF[50:200]))


@pytest.mark.long
def test_half_a_packet_is_cut_without_a_keep_alive_too_and_silence_is_not(box):
    quiet = connected(box, "quiet", 0, HALF)
    all_cut(("half a packet", connected(box, "stalled", 0, HALF[:50]), 25, 45), ("trickling", connected(box, "slow", 0, HALF[:50]), 25, 45, HALF[50:200]))
    quiet.write(PING)
    assert quiet.packet()[0] == 0xD0
    figures = dict(line.rsplit(" ", 1) for line in box.admin.rest.get("/metrics").text.splitlines() if line.startswith("skerry_mqtt_stalled"))
    assert int(figures["skerry_mqtt_stalled_packets_total"]) == 2


# MARK: floods

class Pair(threading.Thread):
    """Two clients that send each other a message back and forth, and how long each took."""

    def __init__(self, box):
        super().__init__(daemon=True)
        self.a = MQTTClient(port=box.port("mqtt")).connect()
        self.b = MQTTClient(port=box.port("mqtt")).connect()
        self.topic = "pair/" + self.a.client_id
        self.b.subscribe(self.topic, qos=1)
        self.times: list[tuple[float, float]] = []
        self.failure: Exception | None = None
        self.ends = threading.Event()

    def run(self):
        try:
            while not self.ends.is_set():
                began = time.monotonic()
                self.a.publish(self.topic, str(began), qos=1)
                assert self.b.message(self.topic).text == str(began)
                self.times.append((began, time.monotonic() - began))
        except Exception as error:  # told by the test, not by a thread that vanishes
            self.failure = error

    def end(self):
        self.ends.set()
        self.join(30)
        assert self.failure is None, self.failure
        self.a.disconnect()
        self.b.disconnect()


def open_many(port: int, count: int, said: bytes = b"") -> list[socket.socket]:
    sockets = []
    for n in range(count):
        s = socket.socket()
        s.settimeout(20)
        s.bind((f"127.3.{n % 200 + 1}.{n // 200 + 2}", 0))
        try:
            s.connect(("127.0.0.1", port))
            if said:
                s.send(said)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                s.close()
                pytest.skip("this system lets the test open too few sockets")
        sockets.append(s)
    return sockets


@pytest.mark.parametrize("kind, said", [("mqtt", b""), ("mqtt", b"garbage"), ("mqtts", b"\x16\x03\x01"), ("http", b"GET")], ids=["silent", "garbage", "half a handshake", "half a request"])
def test_a_flood_of_connections_does_not_stop_who_is_there(box, kind, said):
    pair = Pair(box)
    pair.start()
    eventually(lambda: len(pair.times) > 50 or pair.failure, "the pair talks")
    began = time.monotonic()
    sockets = open_many(box.port(kind), 2_500, said)
    for s in sockets:
        s.close()
    sockets = open_many(box.port(kind), 2_500, said)
    ended = time.monotonic()
    eventually(lambda: pair.failure or pair.times and pair.times[-1][0] > ended, "the pair talks after the flood")
    pair.end()
    for s in sockets:
        s.close()
    during = [took for at, took in pair.times if began <= at <= ended]
    assert len(during) >= 20, f"{len(during)} messages in {ended - began:.1f} s"
    assert max(during) < 2 and statistics.median(during) < 0.25, f"slowest {max(during):.2f} s, median {statistics.median(during):.3f} s"


def test_over_the_limit_of_connections_who_is_there_goes_on(new_box):
    box = new_box("--mqtt-anonymous", "#", config="connections.max = 300\nconnections.per_address_max = 250\n")
    pair = Pair(box)
    pair.start()
    one = [socket.create_connection(("127.0.0.1", box.port("mqtt")), source_address=("127.9.9.9", 0)) for _ in range(400)]
    eventually(lambda: f"address=127.9.9.9" in box.log(), "the refusal names the address")
    many = open_many(box.port("mqtt"), 600)
    said = len(pair.times)
    eventually(lambda: pair.failure or len(pair.times) > said + 50, "the pair goes on")
    pair.end()
    for s in one + many:
        s.close()
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        c.barrier()


# MARK: the end

@pytest.mark.parametrize("kind", ["mqtt", "mqtts"])
def test_sigterm_with_a_thousand_clients_is_quick_and_each_hears_why(new_box, kind):
    box = new_box("--mqtt-anonymous", "#")
    clients = []
    # First: paho waits with select, which knows no descriptor above 1,023.
    with MQTTClient(port=box.port("mqtt"), client_id="kept", clean=False, expiry=600).connect() as kept:
        for n in range(1_000 if kind == "mqtt" else 200):
            raw = RawMQTT(box.port(kind), tls=kind == "mqtts", address=free_address())
            raw.write(connect(f"c{n}", version=4 if n % 10 == 0 else 5))
            clients.append(raw)
        for raw in clients:
            assert raw.packet()[0] == 0x20
        kept.subscribe("kept", qos=1)
        assert kept.publish("kept", "before the end", qos=1).value == 0
        began = time.monotonic()
        box.process.send_signal(signal.SIGTERM)
        assert box.process.wait(20) == 0
        elapsed = time.monotonic() - began
    assert elapsed < 8, f"{elapsed:.1f} s"
    for n, raw in enumerate(clients):
        assert raw.goodbye() == (None if n % 10 == 0 else 0x8B), n
        raw.close()
    box.process = None
    box.start()
    with MQTTClient(port=box.port("mqtt"), client_id="kept", clean=False, expiry=600).connect() as kept:
        assert kept.session_present


def test_sigterm_does_not_wait_for_clients_that_do_not_read(new_box):
    box = new_box("--mqtt-anonymous", "#")
    deaf = [RawMQTT(box.port("mqtt"), receive_buffer=4_096, address=free_address()) for _ in range(50)]
    for n, raw in enumerate(deaf):
        raw.connect(client_id=f"deaf{n}")
        raw.subscribe("#")
    half = [Raw(box.port(kind), address=free_address()) for kind in ("mqtt", "mqtts", "http", "https") for _ in range(20)]
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        for _ in range(40):
            c.publish("noise", b"x" * 50_000, qos=1)
    began = time.monotonic()
    box.process.send_signal(signal.SIGTERM)
    assert box.process.wait(20) == 0
    assert time.monotonic() - began < 8
    box.process = None
    for raw in deaf + half:
        raw.close()
