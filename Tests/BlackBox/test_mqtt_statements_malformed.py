"""Bad input: every kind closes with the specification's reason, is counted, and disturbs nobody else; MQTT over WebSocket; transports."""

import secrets

import pytest

from harness.raw import WebSocketRaw
from harness.raw_mqtt import packet, string
from harness.statements import ALL, BOTH, statements
from harness.wire import V5, Wire, properties


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """A box whose counters only these tests move."""
    from harness import Box
    box = Box(tmp_path_factory.mktemp("counted") / "data", "--mqtt-anonymous", "#").start()
    yield box
    box.stop()


def counter(box, name: str) -> int:
    text = box.rest(address="127.0.0.1").get("/metrics").text
    return int(float(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"skerry_mqtt_{name}_total"))))


def joined(box, version: int = V5, **options) -> Wire:
    wire = Wire(box, version)
    wire.connect(**options)
    return wire


def publish(topic: bytes | str, tail: bytes = b"x", props: bytes = b"", first: int = 0x30, id: bytes = b"") -> bytes:
    return packet(first, string(topic) + id + bytes([len(props)]) + props + tail)


def subscribe(filter: bytes | str, options: int = 0, id: bytes = b"\x00\x01", props: bytes = b"") -> bytes:
    return packet(0x82, id + bytes([len(props)]) + props + string(filter) + bytes([options]))


USER = b"\x26" + string("k") + string("v")
TWICE = {"payload_format": 1, "message_expiry": 1, "content_type": "c", "response_topic": "r", "correlation_data": b"d", "topic_alias": 1}

# What a client of version 5 says, and the reason it hears.
KINDS = {
    "packet type 0": (packet(0x00), 0x81), "flags of PUBACK": (packet(0x41, b"\x00\x01"), 0x81), "flags of PUBREC": (packet(0x54, b"\x00\x01"), 0x81),
    "PUBREL with flags 0": (packet(0x60, b"\x00\x01"), 0x81), "PUBREL with flags 3": (packet(0x63, b"\x00\x01"), 0x81), "flags of PUBCOMP": (packet(0x78, b"\x00\x01"), 0x81),
    "flags of PINGREQ": (packet(0xC1), 0x81), "flags of AUTH": (packet(0xF2, b"\x18\x00"), 0x81),
    "a length of five bytes": (b"\x30\xff\xff\xff\xff\x01", 0x81), "a length that is longer than it must be": (b"\xc0\x80\x00", 0x81),
    "a property length that is longer than it must be": (packet(0x30, string("a") + b"\x80\x00x"), 0x81), "a length over the limit": (b"\x30\xff\xff\xff\x7f", 0x95),
    "QoS 3": (publish("a", first=0x36, id=b"\x00\x01"), 0x81), "DUP with QoS 0": (publish("a", first=0x38), 0x81),
    "a topic with a wildcard": (publish("a/#"), 0x81), "a topic that is not UTF-8": (publish(b"a\xff"), 0x81), "a topic with a surrogate": (publish(b"\xed\xa0\x80"), 0x81),
    "a topic with U+0000": (publish(b"a\x00"), 0x81), "a topic in an overlong form": (publish(b"\xc0\xaf"), 0x81), "no topic and no alias": (publish(""), 0x82),
    "identifier 0 of PUBLISH": (publish("a", first=0x32, id=b"\x00\x00"), 0x81), "identifier 0 of SUBSCRIBE": (subscribe("a", id=b"\x00\x00"), 0x81),
    "identifier 0 of UNSUBSCRIBE": (packet(0xA2, b"\x00\x00\x00" + string("a")), 0x81), "identifier 0 of PUBREL": (packet(0x62, b"\x00\x00"), 0x81),
    "an empty PUBLISH": (packet(0x30), 0x81), "a PUBLISH cut in its topic": (packet(0x30, b"\x00\x05ab"), 0x81), "a PUBLISH cut in its identifier": (packet(0x32, string("a") + b"\x00"), 0x81),
    "a PUBLISH cut in its properties": (packet(0x30, string("a") + b"\x09" + USER), 0x81), "a SUBSCRIBE cut before its options": (packet(0x82, b"\x00\x01\x00" + string("a")), 0x81),
    "a SUBACK cut short and from a client": (packet(0x90, b"\x00"), 0x82), "PINGREQ with a body": (packet(0xC0, b"x"), 0x81), "a byte behind PUBACK": (packet(0x40, b"\x00\x01\x00\x00x"), 0x81),
    "an unknown property": (publish("a", props=b"\x04\x00"), 0x81), "a property of another packet": (publish("a", props=b"\x11\x00\x00\x00\x01"), 0x81),
    "a property of servers": (packet(0xE0, b"\x00\x04" + properties(server_reference="x")), 0x82), "a user property without value": (publish("a", props=b"\x26" + string("k")), 0x81),
    **{f"{name} twice": (publish("a", props=properties(**{name: [value, value]})), 0x82) for name, value in TWICE.items()},
    "subscription identifier twice": (subscribe("a", props=b"\x0b\x01\x0b\x02"), 0x82), "subscription identifier 0": (subscribe("a", props=b"\x0b\x00"), 0x82),
    "session expiry twice": (packet(0xE0, b"\x00\x0a" + properties(session_expiry=[1, 1])), 0x82), "reason string twice": (packet(0x40, b"\x00\x01\x00\x08" + properties(reason_string=["a", "a"])), 0x82),
    "alias 0": (publish("a", props=properties(topic_alias=0)), 0x94), "payload format 2": (publish("a", props=properties(payload_format=2)), 0x82),
    "a reason that PUBACK does not have": (packet(0x40, b"\x00\x01\x92"), 0x82), "a reason that PUBREC does not have": (packet(0x50, b"\x00\x01\x11"), 0x82),
    "a reason that PUBREL does not have": (packet(0x62, b"\x00\x01\x10"), 0x82), "a reason that PUBCOMP does not have": (packet(0x70, b"\x00\x01\x91"), 0x82),
    "a CONNACK": (packet(0x20, b"\x00\x00\x00"), 0x82), "an UNSUBACK": (packet(0xB0, b"\x00\x01\x00\x00"), 0x82), "a PINGRESP": (packet(0xD0), 0x82),
    "a second CONNECT": (packet(0x10, string("MQTT") + b"\x05\x02\x00\x00\x00" + string("x")), 0x82),
}


@statements("MQTT-4.13.1-1", "MQTT-4.13.2-1", "MQTT-2.1.3-1", "MQTT-1.5.4-1", "MQTT-1.5.4-2", "MQTT-1.5.5-1", "MQTT-1.5.7-1", "MQTT-3.6.1-1", "MQTT-3.15.1-1", "MQTT-3.3.1-4",
            "MQTT-2.2.1-3", "MQTT-3.3.1-2", "MQTT-3.6.2-1", "MQTT-3.7.2-1")
@pytest.mark.parametrize("name", KINDS)
def test_bad_input_closes_with_its_reason_and_is_counted_once(counted, name):
    data, reason = KINDS[name]
    witness, wire = joined(counted), joined(counted)
    before = counter(counted, "protocol_errors")
    wire.write(data)
    wire.closed_with(reason)
    assert counter(counted, "protocol_errors") == before + 1
    witness.nothing()


EARLIER_KINDS = {
    "packet type 15": packet(0xF0), "PUBREL with flags 0": packet(0x60, b"\x00\x01"), "flags of PINGREQ": packet(0xC1), "a length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "QoS 3": packet(0x36, string("a") + b"\x00\x01"), "a topic with a wildcard": packet(0x30, string("a/+")), "a topic that is not UTF-8": packet(0x30, string(b"\xff")),
    "a topic with a surrogate": packet(0x30, string(b"\xed\xa0\x80")), "a topic with U+0000": packet(0x30, string(b"a\x00")), "identifier 0": packet(0x32, string("a") + b"\x00\x00"),
    "a PUBLISH cut in its topic": packet(0x30, b"\x00\x05ab"), "PINGREQ with a body": packet(0xC0, b"x"), "a byte behind PUBACK": packet(0x40, b"\x00\x01\x00"),
    "a CONNACK": packet(0x20, b"\x00\x00"), "a body in DISCONNECT": packet(0xE0, b"\x00"), "identifier 0 of SUBSCRIBE": packet(0x82, b"\x00\x00" + string("a") + b"\x00"),
    "identifier 0 of UNSUBSCRIBE": packet(0xA2, b"\x00\x00" + string("a")),
}


@statements("MQTT311-4.8.0-1", "MQTT311-1.5.3-1", "MQTT311-1.5.3-2", "MQTT311-2.2.2-1", "MQTT311-2.2.2-2", "MQTT311-2.3.1-1", "MQTT311-3.3.1-4", "MQTT311-3.6.1-1")
@pytest.mark.parametrize("version", [3, 4], ids=["3.1", "3.1.1"])
@pytest.mark.parametrize("name", EARLIER_KINDS)
def test_bad_input_of_an_earlier_client_closes_without_a_word_and_is_counted_once(counted, version, name):
    witness, wire = joined(counted, version), joined(counted, version)
    before = counter(counted, "protocol_errors")
    wire.write(EARLIER_KINDS[name])
    wire.closed_with(None)
    assert counter(counted, "protocol_errors") == before + 1
    witness.nothing()


CONNECTS = {
    "an unknown property": b"\x04\x00", "a property of a will": properties(will_delay=1), "receive maximum 0": properties(receive_maximum=0),
    "maximum packet size 0": properties(maximum_packet_size=0), "request problem information 2": properties(request_problem=2), "authentication data alone": properties(auth_data=b"x"),
    **{f"{name} twice": properties(**{name: [value, value]}) for name, value in {
        "session_expiry": 1, "receive_maximum": 1, "maximum_packet_size": 100, "topic_alias_maximum": 1, "request_response": 0, "request_problem": 1, "auth_method": "m"}.items()},
}


@statements("MQTT-3.1.4-1", "MQTT-3.2.2-7")
@pytest.mark.parametrize("name", CONNECTS)
def test_bad_properties_of_connect_are_answered_with_their_reason_and_counted(counted, name):
    wire = Wire(counted)
    before = counter(counted, "protocol_errors")
    props = CONNECTS[name]
    wire.write(packet(0x10, string("MQTT") + b"\x05\x02\x00\x3c" + bytes([len(props)]) + props + string("x")))
    last = wire.last_word()
    assert (last.type, last.reason) == ("CONNACK", 0x81 if name in ("an unknown property", "a property of a will") else 0x82)
    assert counter(counted, "protocol_errors") == before + 1


STRANGERS = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH": b"SSH-2.0-OpenSSH_9.2\r\n", "zeros": bytes(100),
    "another protocol name": packet(0x10, string("MQTX") + b"\x05\x02\x00\x3c\x00" + string("x")), "a CONNECT of 256 MB": b"\x10\xff\xff\xff\x7f" + string("MQTT") + b"\x05",
    "a CONNECT with flags": b"\x11\x10" + string("MQTT"), "a PUBLISH": publish("a"), "a client id that is not UTF-8": packet(0x10, string("MQTT") + b"\x04\x02\x00\x3c" + string(b"\xff")),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_who_does_not_begin_like_a_client_is_closed_at_once_and_counted(counted, name):
    wire = Wire(counted, 4)
    before = counter(counted, "protocol_errors")
    wire.write(STRANGERS[name])
    assert wire.last_word(5) is None
    assert counter(counted, "protocol_errors") == before + 1


@pytest.mark.parametrize("start", [b"", b"\x10\xff\xff\xff\x7f" + string("MQTT") + b"\x04\x02\x00\x3c\xff\xff", b"\x10\xff\xff\x03" + string("MQTT") + b"\x05\x02\x00\x3c\x00\xff\xff"],
                         ids=["no packet", "a CONNECT of 256 MB", "a CONNECT of 64 kB"])
def test_a_hundred_megabytes_before_connect_are_never_kept(counted, start):
    def resident() -> int:
        return int(next(line.split()[1] for line in open(f"/proc/{counted.process.pid}/status") if line.startswith("VmRSS")))

    witness = joined(counted)
    before, most = resident(), 0
    for _ in range(4):
        wire = Wire(counted, 4)
        wire.write(start)
        for _ in range(25):
            if not wire.write(b"x" * 1_000_000):
                break
        most = max(most, resident())
        wire.close()
    witness.nothing()
    assert most - before < 16_000, f"{most - before} kB more"


@BOTH
def test_refusals_keep_alives_take_overs_and_denials_are_counted(counted, version):
    names = ("refused", "keep_alive_timeouts", "takeovers", "denied")
    before = {name: counter(counted, name) for name in names}
    refused = Wire(counted, version)
    refused.connect("r", reason=0x86 if version == V5 else 4, username="nobody-here", password="wrong password")
    silent = joined(counted, version, keepalive=1)
    silent.closed_with(0x8D)
    first = Wire(counted, version)
    first.connect("c1")
    second = Wire(counted, version)
    second.connect("c1")
    first.closed_with(0x8E)
    second.publish("$SYS/x")
    assert {name: counter(counted, name) - before[name] for name in names} == dict.fromkeys(names, 1)


@pytest.mark.parametrize("expiry", [0, 600], ids=["in memory", "durable"])
@pytest.mark.parametrize("qos", [0, 1])
def test_what_is_too_large_for_its_receiver_is_counted_as_dropped(counted, qos, expiry):
    topic = "d/" + secrets.token_hex(6)
    sub, pub = Wire(counted), joined(counted)
    sub.connect("w" + secrets.token_hex(6), expiry=expiry, maximum_packet_size=60)
    sub.subscribe(topic, qos=1)
    before = counter(counted, "publish_dropped")
    pub.give(topic, "x" * 100, qos=qos)
    pub.give(topic, "fits", qos=1)
    assert [m.text for m in sub.messages(1)] == ["fits"]
    assert counter(counted, "publish_dropped") == before + 1


# MARK: WebSocket

class Web:
    """MQTT over WebSocket, with frames of one's own making."""

    def __init__(self, box, version: int):
        self.raw = WebSocketRaw(box.port("http"), path="/mqtt", subprotocol="mqtt")
        self.wire = Wire(box, version)
        self.buffer = b""

    def read(self, count: int) -> bytes:
        while len(self.buffer) < count:
            opcode, payload = self.raw.frame()
            assert opcode == 2, f"the box sent a frame of kind {opcode}"
            self.buffer += payload
        result, self.buffer = self.buffer[:count], self.buffer[count:]
        return result


@BOTH
@statements("MQTT-6.0.0-1", "MQTT311-6.0.0-1")
def test_packets_come_in_binary_frames_and_text_closes(open_box, version):
    web = Web(open_box, version)
    web.raw.send(2, web.wire.connect_bytes("w" + secrets.token_hex(6)))
    assert web.read(4)[0] == 0x20
    # A PUBLISH whose bytes are text as well.
    web.raw.send(1, packet(0x30, string("a") + b"x"))
    assert web.raw.close_code() == 1003


@BOTH
@statements("MQTT-6.0.0-2", "MQTT311-6.0.0-2")
def test_frames_and_packets_need_not_begin_together(open_box, version):
    for size in (1, 3, 7, 10_000):
        web = Web(open_box, version)
        data = web.wire.connect_bytes("w" + secrets.token_hex(6)) + packet(0xC0) * 3
        for start in range(0, len(data), size):
            web.raw.send(2, data[start:start + size])
        answer = b""
        while not answer.endswith(b"\xd0\x00" * 3):
            answer += web.read(1)
        assert answer[0] == 0x20


@statements("MQTT-6.0.0-4", "MQTT311-6.0.0-4", "MQTT-6.0.0-3", "MQTT311-6.0.0-3")
@pytest.mark.parametrize("offered, chosen", [("mqtt", "mqtt"), ("other, mqtt", "mqtt"), ("mqtt, mqttv3.1", "mqtt"), (None, None), ("other", None)])
def test_the_box_chooses_the_subprotocol_mqtt_and_lets_nobody_in_without_it(open_box, offered, chosen):
    from harness.raw import http_exchange
    offer = f"Sec-WebSocket-Protocol: {offered}\r\n" if offered else ""
    head = http_exchange(open_box.port("http"), f"GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                         f"Sec-WebSocket-Version: 13\r\n{offer}\r\n", until_headers=True).decode("latin-1").lower()
    if chosen:
        assert head.startswith("http/1.1 101") and f"sec-websocket-protocol: {chosen}\r\n" in head
    else:
        assert not head.startswith("http/1.1 101"), head


# MARK: conformance

@ALL
@statements("MQTT-4.2.0-1", "MQTT311-7.1.1-1")
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_stream_of_bytes_arrives_whole_and_in_order_over_every_transport(open_box, version, transport):
    topic = "c/" + secrets.token_hex(6)

    class Over(Wire):
        def __init__(self, box):
            from harness.raw import Raw
            Raw.__init__(self, box.port("mqtt" if transport == "tcp" else "mqtts"), tls=transport == "tls")
            self.version, self._last_id = version, 0

    sub, pub = Over(open_box), Over(open_box)
    sub.connect()
    pub.connect()
    sub.subscribe(topic, qos=1)
    payloads = [bytes([n]) * (n * 997 % 40_000) for n in range(1, 60)]
    for payload in payloads:
        pub.publish(topic, payload)
    assert [m.payload for m in sub.messages(59)] == payloads


@statements("MQTT311-7.0.0-2")
@pytest.mark.parametrize("version", ["31", "311", "5"])
def test_a_client_that_knows_nothing_but_the_specification_is_served(open_box, version):
    """mosquitto_sub waits for what mosquitto_pub sends, with the default options of both."""
    from harness import Subscriber, mosquitto_pub
    topic = "c/" + secrets.token_hex(6)
    where = ["-h", "127.0.0.1", "-p", str(open_box.port("mqtt")), "-V", version]
    with Subscriber(*where, "-t", topic, "-q", "2").subscribed() as sub:
        result = mosquitto_pub(*where, "-t", topic, "-m", "plain", "-q", "2")
        assert result.returncode == 0, result.stderr
        assert sub.message()["payload"] == "plain"
