"""Malformed frames, packets, requests and clients that never finish: the documented answer, and the box keeps serving everybody else."""

import json
import random
import socket
import time

import pytest

from harness import eventually
from harness.chat import new_cid
from harness.raw import Raw, WebSocketRaw, http_exchange
from harness.raw_mqtt import RawMQTT, connect, packet, publish, string, subscribe, varint


@pytest.fixture(scope="module")
def witness(box):
    """Two people whose round trip, over every protocol, is tried after each attack."""
    ann, bob = box.people("ann", "bob")

    class Witness:
        def __init__(self):
            self.a = ann.chat()
            self.m = bob.mqtt(keepalive=600)
            self.m.subscribe("v1/me/in", qos=1)
            self.conv = self.a.text("@" + bob.name, "start")["conv"]
            self.ann, self.bob = ann, bob

        def check(self):
            began = time.monotonic()
            if not self.a.is_open:
                self.a = self.ann.chat()
            ack = self.a.text(self.conv, "still there?")
            self.m.message(lambda m: m.json["d"].get("mid") == ack["mid"])
            self.m.messages.clear()
            self.a.pushes.clear()
            assert box.rest().get("/healthz").status_code == 200
            assert box.is_running
            assert time.monotonic() - began < 5, "another client was kept waiting"

    return Witness()


@pytest.fixture(autouse=True)
def others_are_served(box, witness):
    pid = box.process.pid
    yield
    witness.check()
    assert box.process.pid == pid and "Fatal error" not in box.log()


def logged_in(box, person) -> WebSocketRaw:
    raw = WebSocketRaw(box.port("http"))
    raw.text(json.dumps({"t": "hello", "id": 1, "d": {"token": person.token}}))
    assert raw.frame()[0] == 1
    return raw


# MARK: WebSocket frames

E = WebSocketRaw.encode
FRAMES = {
    "not masked": (E(1, b"{}", masked=False), 1002),
    "reserved bit 1": (E(1, b"{}", rsv=4), 1002),
    "reserved bit 3": (E(1, b"{}", rsv=1), 1002),
    "unknown data opcode": (E(3, b"x"), 1002),
    "unknown control opcode": (E(0xB, b"x"), 1002),
    "continuation of nothing": (E(0, b"x"), 1002),
    "a new message inside another": (E(1, b"{", fin=False) + E(1, b"}"), 1002),
    "fragmented ping": (E(9, b"x", fin=False), 1002),
    "ping over 125 bytes": (E(9, b"x" * 126), 1002),
    "close with one byte": (E(8, b"\x03"), 1002),
    "close with a code that must not be sent": (E(8, (1005).to_bytes(2, "big")), 1002),
    "close with code 0": (E(8, (0).to_bytes(2, "big")), 1002),
    "close with a reason that is not UTF-8": (E(8, (1000).to_bytes(2, "big") + b"\xff"), 1007),
    "text that is not UTF-8": (E(1, b"\xff\xfe"), 1007),
    "half a character": (E(1, "汐".encode()[:2]), 1007),
    "a surrogate": (E(1, b"\xed\xa0\x80"), 1007),
    "an overlong form": (E(1, b"\xc0\x80"), 1007),
    "beyond Unicode": (E(1, b"\xf4\x90\x80\x80"), 1007),
    "length over the limit": (E(1, b"", length=10_000_000), 1009),
    "length of 2^63": (E(1, b"", length=1 << 63), (1002, 1009)),
    "length of 2^63 - 1": (E(1, b"", length=(1 << 63) - 1), 1009),
    "length not in its shortest form": (bytes([0x81, 0xFE, 0, 5]) + bytes(4) + b"hello", 1002),
    "length of 8 bytes where 2 are enough": (bytes([0x81, 0xFF, 0, 0, 0, 0, 0, 0, 1, 0]) + bytes(4) + b"x" * 256, 1002),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_malformed_frame_closes_with_its_code(box, witness, name):
    data, codes = FRAMES[name]
    for raw in (WebSocketRaw(box.port("http")), logged_in(box, witness.ann)):
        raw.write(data)
        code = raw.close_code()
        assert code == codes or (isinstance(codes, tuple) and code in codes), f"{name}: {code}"
        raw.close()


def test_bad_utf8_in_fragments_is_seen_before_the_message_is_complete(box, witness):
    raw = logged_in(box, witness.ann)
    raw.send(1, "潮".encode()[:1], fin=False)
    raw.send(0, b"\x28", fin=False)
    assert raw.close_code() == 1007


def test_a_message_of_endless_fragments_is_bounded(box, witness):
    raw = logged_in(box, witness.ann)
    for _ in range(200):
        if not raw.send(0 if _ else 1, b"x" * 1_000, fin=False):
            break
    assert raw.close_code() == 1009


def test_a_million_empty_fragments_cost_nothing_that_grows(box, witness):
    raw = logged_in(box, witness.ann)
    raw.send(1, b"", fin=False)
    block = E(0, b"", fin=False) * 1_000
    for _ in range(200):
        if not raw.write(block):
            break
    raw.close()


def test_random_frames_never_bring_it_down(box, witness, rng):
    for _ in range(60):
        raw = WebSocketRaw(box.port("http"))
        raw.write(rng.randbytes(rng.randint(1, 400)))
        raw.half_close()
        raw.drain(15)


def test_mutated_envelopes_never_bring_it_down(box, witness, rng):
    good = json.dumps({"t": "send", "id": 3, "d": {"conv": witness.conv, "cid": "x", "kind": "text", "text": "潮汐", "replyTo": None}}, ensure_ascii=False).encode()
    raw = logged_in(box, witness.bob)
    for _ in range(400):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            where = rng.randrange(len(data))
            choice = rng.randrange(3)
            if choice == 0:
                data[where] = rng.randrange(256)
            elif choice == 1:
                del data[where:where + rng.randint(1, 5)]
            else:
                data[where:where] = rng.choice([b"[", b"{", b'"', b"\\u0000", b"\\", b"1e999", b"-", b"null", b"\xf0"])
            if not data:
                data = bytearray(b"x")
        if not raw.send(1, bytes(data)):
            raw = logged_in(box, witness.bob)
    raw.close()


# MARK: HTTP

REQUESTS = {
    "not HTTP": b"\x00\x01\x02\x03\r\n\r\n", "no version": b"GET /\r\n\r\n", "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", "no host": b"GET / HTTP/1.1\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n", "control byte in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", "folded header": b"GET / HTTP/1.1\r\nHost: x\r\n y: z\r\n\r\n",
    "header without a name": b"GET / HTTP/1.1\r\nHost: x\r\n: z\r\n\r\n", "space before the colon": b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
    "method of 10 kB": b"G" * 10_000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n", "path of 100 kB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT example:443 HTTP/1.1\r\nHost: x\r\n\r\n", "TRACE": b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", "an absolute target": b"GET http://elsewhere/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    "a bad chunk": b"POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "a chunk of 2^64": b"POST /v1/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_malformed_request_gets_an_error_or_a_close(box, name):
    raw = Raw(box.port("http"))
    raw.write(REQUESTS[name])
    raw.half_close()
    answer = raw.drain(35)
    assert answer == b"" or answer[:12].split(b" ")[1][:1] in (b"2", b"3", b"4", b"5"), answer[:80]
    if name not in ("no host", "an absolute target", "folded header"):
        assert not answer.startswith(b"HTTP/1.1 200"), answer[:80]
    assert b"HTTP/1.1 500" not in answer


def test_random_bytes_on_the_http_port_never_bring_it_down(box, rng):
    for _ in range(60):
        raw = Raw(box.port("http"))
        raw.write(rng.choice([b"", b"GET / HTTP/1.1\r\n", b"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n"]) + rng.randbytes(rng.randint(1, 300)))
        raw.half_close()
        raw.drain(35)


@pytest.mark.parametrize("path", ["/v1/conversations/%s/messages", "/v1/conversations/%s", "/v1/messages/%s", "/v1/me/devices/%s", "/v1/blocks/%s", "/v1/admin/users/%s"])
def test_ids_of_every_shape_are_refused_alike(box, witness, path):
    for id in ("x", "%00", "%ff%fe", "a" * 25 + "0", "A" * 26, "a" * 27, "a" * 5_000, "@", "@%00", "@" + "a" * 300, "%2e%2e%2f", "1", "-1", "%F0%9F%8C%8A", "a%20b", "'; DROP TABLE users; --"):
        for method in ("GET", "DELETE", "PATCH", "PUT", "POST"):
            answer = witness.ann.rest.request(method, path % id, json={} if method not in ("GET", "DELETE") else None)
            assert answer.status_code < 500 or answer.status_code == 503, f"{method} {path % id}: {answer.status_code} {answer.text}"
            if answer.status_code >= 400:
                assert answer.headers.get("Content-Type", "").startswith("application/problem+json"), f"{method} {path % id}"


# MARK: MQTT packets

GOOD = connect("x", "name", "password")
BEFORE_CONNECT = {
    "nothing like it": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "packet type 0": packet(0x00), "publish first": publish("a", b"b"), "ping first": packet(0xC0),
    "wrong flags of CONNECT": packet(0x11, GOOD[2:]), "protocol name": connect(name="MQTX"), "protocol version 7": connect(version=7), "reserved connect flag": connect(flags=0x03),
    "will QoS 3": connect(flags=0x1E), "will flags without a will": connect(flags=0x22), "user name announced but missing": connect(flags=0x82),
    "client id not UTF-8": connect(b"\xff\xff"), "client id with U+0000": connect("a\x00b"), "body cut short": packet(0x10, GOOD[2:-4]), "body too long": packet(0x10, GOOD[2:] + b"xx"),
    "length of five bytes": b"\x10\xff\xff\xff\xff\xff", "length of 256 MB": b"\x10\xff\xff\xff\x7f", "unknown property": connect(properties=b"\xfe\x00"),
    "property twice": connect(properties=b"\x21\x00\x05\x21\x00\x06"), "receive maximum 0": connect(properties=b"\x21\x00\x00"), "maximum packet size 0": connect(properties=b"\x27" + bytes(4)),
    "properties longer than the packet": connect(properties=b"")[:12] + b"\x7f" + connect(properties=b"")[13:],
    "authentication method nobody knows": connect(properties=b"\x15" + string("NONSENSE")), "empty": b"",
}


@pytest.mark.parametrize("name", BEFORE_CONNECT)
def test_a_malformed_first_packet_is_closed(box, name):
    raw = RawMQTT(box.port("mqtt"))
    raw.write(BEFORE_CONNECT[name])
    raw.half_close()
    reason = raw.goodbye(15)
    assert reason is None or reason >= 0x80


AFTER_CONNECT = {
    "second CONNECT": (GOOD, 0x82), "publish with QoS 3": (publish("a", first=0x36), 0x81), "publish with a wildcard": (publish("a/#"), (0x81, 0x90)), "publish with +": (publish("a/+/b"), (0x81, 0x90)),
    "topic with U+0000": (publish("a\x00b"), (0x81, 0x90)), "topic not UTF-8": (publish(b"a\xff"), (0x81, 0x90)), "topic with a surrogate": (publish(b"a\xed\xa0\x80"), (0x81, 0x90)),
    "no topic and no alias": (publish(""), (0x82, 0x90)), "packet id 0": (publish("a", qos=1, id=0), (0x81, 0x82)), "QoS 0 with DUP": (publish("a", first=0x38), (0x81, 0x82)),
    "alias 0": (publish("", properties=b"\x23\x00\x00"), 0x94), "alias beyond the maximum": (publish("a", properties=b"\x23\xff\xff"), 0x94), "unknown alias": (publish("", properties=b"\x23\x00\x01"), (0x82, 0x94)),
    "a subscription identifier from a client": (publish("a", properties=b"\x0b\x01"), 0x82), "payload format twice": (publish("a", properties=b"\x01\x00\x01\x00"), (0x82, 0x81)),
    "subscribe with wrong flags": (subscribe("a", first=0x80), 0x81), "subscribe with packet id 0": (subscribe("a", id=0), (0x81, 0x82)), "subscribe to nothing": (packet(0x82, b"\x00\x01\x00"), (0x82, 0x81)),
    "subscribe with QoS 3": (subscribe("a", 3), (0x81, 0x82)), "subscribe with reserved bits": (subscribe("a", 0xC1), (0x81, 0x82)), "retain handling 3": (subscribe("a", 0x31), (0x81, 0x82)),
    "filter not UTF-8": (subscribe(b"\xff"), (0x81, 0x8F)), "subscription identifier 0": (subscribe("a", properties=b"\x0b\x00"), (0x82, 0x81)),
    "unsubscribe from nothing": (packet(0xA2, b"\x00\x01\x00"), (0x82, 0x81)), "unsubscribe with wrong flags": (packet(0xA0, b"\x00\x01\x00" + string("a")), 0x81),
    "ping with a body": (packet(0xC0, b"x"), 0x81), "ping with flags": (packet(0xC1), 0x81), "CONNACK from a client": (packet(0x20, b"\x00\x00\x00"), (0x81, 0x82)), "SUBACK from a client": (packet(0x90, b"\x00\x01\x00\x00"), (0x81, 0x82)),
    "PUBREL with wrong flags": (packet(0x60, b"\x00\x01"), 0x81), "packet type 0": (packet(0x00), 0x81), "AUTH without a method": (packet(0xF0, b"\x18\x00"), (0x81, 0x82)),
    "length of five bytes": (b"\x30\xff\xff\xff\xff\x01", 0x81), "length of 256 MB": (b"\x30\xff\xff\xff\x7f" + b"x" * 1_000, 0x95), "DISCONNECT with flags": (packet(0xE1), 0x81),
    "user property cut short": (publish("a", properties=b"\x26\x00\x05ab"), (0x81, 0x82)), "more session expiry at the end than at the start": (packet(0xE0, b"\x00\x05\x11\x00\x00\x00\x05"), 0x82),
}


@pytest.mark.parametrize("name", AFTER_CONNECT)
def test_a_malformed_packet_is_closed_with_its_reason(box, witness, name):
    data, reasons = AFTER_CONNECT[name]
    raw = RawMQTT(box.port("mqtt"))
    assert raw.connect(username=witness.ann.name, password=witness.ann.token)[1] == 0
    raw.write(data)
    reason = raw.goodbye(15)
    assert reason == reasons or (isinstance(reasons, tuple) and reason in reasons), f"{name}: {reason and hex(reason)}"


@pytest.mark.parametrize("name, filter, reason", [("# not at the end", "a/#/b", 0x8F), ("# beside text", "a#", 0x8F), ("+ beside text", "a+", 0x8F), ("empty share name", "$share//a", 0x8F),
                                                 ("share without filter", "$share/g", 0x8F)])
def test_a_filter_that_is_none_is_refused_in_the_suback_or_closed(box, witness, name, filter, reason):
    raw = RawMQTT(box.port("mqtt"))
    raw.connect(username=witness.ann.name, password=witness.ann.token)
    raw.write(subscribe(filter, 1))
    first, body = raw.packet()
    assert (first, body[-1]) == (0x90, reason) or (first == 0xE0 and body[0] in (0x8F, 0x81, 0x82)), f"{name}: {first:#x} {body.hex()}"


def test_a_topic_of_more_levels_than_allowed_closes(box, witness):
    raw = RawMQTT(box.port("mqtt"))
    raw.connect(username=witness.ann.name, password=witness.ann.token)
    raw.write(publish("/".join("a" * 500), qos=1))
    assert raw.goodbye() in (0x90, 0x82, 0x97)


def test_a_client_that_has_more_under_way_than_allowed_is_closed_or_held(box, witness):
    raw = RawMQTT(box.port("mqtt"))
    body = raw.connect(username=witness.ann.name, password=witness.ann.token)
    assert body[1] == 0
    data = b"".join(publish("t/receive-maximum", b"x", qos=2, id=n + 1) for n in range(2_000))
    raw.write(data)
    assert raw.goodbye() == 0x93


def test_random_and_mutated_packets_never_bring_it_down(box, witness, rng):
    seeds = [GOOD, publish("a/b", b"payload", qos=1), subscribe("a/#", 1), packet(0xE0, b"\x00\x00"), packet(0x62, b"\x00\x01"), packet(0xC0)]
    for round in range(150):
        raw = RawMQTT(box.port("mqtt"))
        if round % 3:
            raw.connect(username=witness.ann.name, password=witness.ann.token)
        data = bytearray(b"".join(rng.choice(seeds) for _ in range(rng.randint(1, 6))))
        for _ in range(rng.randint(0, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            data = bytearray(rng.randbytes(rng.randint(1, 300)))
        raw.write(bytes(data))
        raw.half_close()
        raw.drain(15)


def test_mqtt_over_websocket_refuses_what_is_no_mqtt(box):
    raw = WebSocketRaw(box.port("http"), path="/mqtt", subprotocol="mqtt")
    raw.send(1, b"text instead of bytes")
    assert raw.close_code() in (1002, 1003)
    raw = WebSocketRaw(box.port("http"), path="/mqtt", subprotocol="mqtt")
    raw.send(2, b"\x00\x00nonsense")
    raw.drain(15)


def test_packets_may_be_cut_anywhere_over_websocket(box, witness):
    raw = WebSocketRaw(box.port("http"), path="/mqtt", subprotocol="mqtt")
    data = connect("", witness.ann.name, witness.ann.token) + packet(0xC0)
    for position in range(0, len(data), 3):
        raw.send(2, data[position:position + 3])
    answer = b""
    while not answer.endswith(b"\xd0\x00"):
        opcode, payload = raw.frame()
        assert opcode == 2
        answer += payload
    assert answer[0] == 0x20


# MARK: clients that never finish

def test_a_client_that_never_says_connect_is_cut(box):
    raw = RawMQTT(box.port("mqtt"))
    began = time.monotonic()
    raw.drain(60)
    assert time.monotonic() - began < 50


def test_a_connect_that_trickles_in_is_cut(box):
    raw = RawMQTT(box.port("mqtt"))
    data = connect("x" * 2_000, "name", "password")
    began = time.monotonic()
    for byte in data:
        if not raw.write(bytes([byte])):
            break
        raw.socket.settimeout(0.5)
        try:
            if raw.socket.recv(10) == b"":
                break
        except TimeoutError:
            pass
        except ConnectionResetError:
            break
        assert time.monotonic() - began < 60, "still listening to a CONNECT that trickles"


def test_a_request_that_trickles_in_is_cut(box):
    raw = Raw(box.port("http"))
    began = time.monotonic()
    raw.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
    while True:
        if not raw.write(b"X-Slow: y\r\n"):
            break
        raw.socket.settimeout(1)
        try:
            if raw.socket.recv(1_000) == b"":
                break
        except TimeoutError:
            pass
        except ConnectionResetError:
            break
        assert time.monotonic() - began < 100, "still listening to headers that trickle"


def test_hundreds_of_connections_that_say_nothing_keep_nobody_out(box, witness):
    sockets = []
    for kind in ("http", "mqtt", "https", "mqtts"):
        for _ in range(60):
            s = socket.socket()
            s.connect(("127.0.0.1", box.port(kind)))
            sockets.append(s)
    witness.check()
    for s in sockets:
        s.close()


def test_connections_that_are_reset_at_every_moment_leave_nothing_behind(box, witness, rng):
    before = box.admin.rest.get("/v1/admin/overview").json()["sessions"]
    hello = json.dumps({"t": "hello", "id": 1, "d": {"token": witness.bob.token}})
    streams = [connect("", witness.bob.name, witness.bob.token) + subscribe("x/#", 1) + publish("x/y", b"z", qos=1)]
    for _ in range(80):
        raw = Raw(box.port("mqtt"))
        data = rng.choice(streams)
        raw.write(data[:rng.randint(1, len(data))])
        raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        raw.close()
        web = WebSocketRaw(box.port("http"))
        frame = WebSocketRaw.encode(1, hello.encode())
        web.write(frame[:rng.randint(1, len(frame))])
        web.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        web.close()
    eventually(lambda: box.admin.rest.get("/v1/admin/overview").json()["sessions"] == before, "the sessions of those that went are gone")


def test_a_client_that_asks_and_never_reads_is_bounded(box, witness):
    """Requests without reading answers: the box stops reading from this client instead of growing."""
    def resident():
        return int(next(line.split()[1] for line in open(f"/proc/{box.process.pid}/status") if line.startswith("VmRSS")))

    raw = WebSocketRaw(box.port("http"), receive_buffer=4_096)
    raw.text(json.dumps({"t": "hello", "id": 1, "d": {"token": witness.ann.token}}))
    assert raw.frame()[0] == 1
    before = resident()
    ask = WebSocketRaw.encode(1, json.dumps({"t": "history", "id": 5, "d": {"conv": witness.conv, "limit": 200}}).encode())
    raw.socket.settimeout(3)
    sent = 0
    try:
        while sent < 40_000:
            raw.socket.sendall(ask * 50)
            sent += 50
    except (TimeoutError, OSError):
        pass
    assert resident() - before < 64_000, f"{resident() - before} kB more for one client"
    raw.close()


def test_a_half_applied_write_is_never_seen(box, witness):
    """A group with one wrong member, an invitation with one wrong user: all or nothing."""
    chat = witness.ann.chat()
    count = len(chat.request("conversations")["items"])
    assert chat.refused("create", type="group", title="half", members=[witness.bob.id, "@nobody-at-all"], cid=new_cid())["code"] == "not_found"
    assert len(chat.request("conversations")["items"]) == count
    conv = chat.request("create", type="group", title="whole", members=[], cid=new_cid())["conversation"]["id"]
    assert chat.refused("invite", conv=conv, users=[witness.bob.id, "@nobody-at-all"])["code"] == "not_found"
    assert [m["user"] for m in chat.request("conversation", conv=conv)["conversation"]["members"]] == [witness.ann.id]
    chat.close()
