"""A client of MQTT that says exactly what a test wants and shows exactly what the box answered: for the statements of the specifications.

It acknowledges nothing on its own. `Wire` reads packets as they are on the wire, so a test sees identifiers, flags and the order of properties.
"""

import secrets
import struct
import time
from dataclasses import dataclass, field

from .box import Box, free_address
from .raw import Raw
from .raw_mqtt import packet, string, varint

V3, V4, V5 = 3, 4, 5

_NAMES = {1: "CONNECT", 2: "CONNACK", 3: "PUBLISH", 4: "PUBACK", 5: "PUBREC", 6: "PUBREL", 7: "PUBCOMP", 8: "SUBSCRIBE", 9: "SUBACK", 10: "UNSUBSCRIBE",
          11: "UNSUBACK", 12: "PINGREQ", 13: "PINGRESP", 14: "DISCONNECT", 15: "AUTH"}

# Name, form: byte, two, four, varint, text, binary, pair.
PROPERTIES = {
    0x01: ("payload_format", "byte"), 0x02: ("message_expiry", "four"), 0x03: ("content_type", "text"), 0x08: ("response_topic", "text"),
    0x09: ("correlation_data", "binary"), 0x0B: ("subscription_id", "varint"), 0x11: ("session_expiry", "four"), 0x12: ("assigned_client_id", "text"),
    0x13: ("server_keep_alive", "two"), 0x15: ("auth_method", "text"), 0x16: ("auth_data", "binary"), 0x17: ("request_problem", "byte"),
    0x18: ("will_delay", "four"), 0x19: ("request_response", "byte"), 0x1A: ("response_information", "text"), 0x1C: ("server_reference", "text"),
    0x1F: ("reason_string", "text"), 0x21: ("receive_maximum", "two"), 0x22: ("topic_alias_maximum", "two"), 0x23: ("topic_alias", "two"),
    0x24: ("maximum_qos", "byte"), 0x25: ("retain_available", "byte"), 0x26: ("user", "pair"), 0x27: ("maximum_packet_size", "four"),
    0x28: ("wildcards_available", "byte"), 0x29: ("subscription_ids_available", "byte"), 0x2A: ("shared_available", "byte"),
}
_IDS = {name: (id, form) for id, (name, form) in PROPERTIES.items()}


def properties(**values) -> bytes:
    """Encoded properties without their length: `properties(topic_alias=3, user=[("a", "1")])`. A list repeats the property."""
    result = b""
    for name, given in values.items():
        if given is None:
            continue
        id, form = _IDS[name]
        for value in given if isinstance(given, list) else [given]:
            result += bytes([id])
            if form == "pair":
                result += string(value[0]) + string(value[1])
            elif form in ("text", "binary"):
                result += string(value)
            elif form == "varint":
                result += varint(value)
            else:
                result += value.to_bytes({"byte": 1, "two": 2, "four": 4}[form], "big")
    return result


@dataclass
class Will:
    topic: str
    payload: bytes = b"gone"
    qos: int = 0
    retain: bool = False
    properties: dict = field(default_factory=dict)


@dataclass
class Packet:
    """One packet of the box. `raw` is all of it; `properties` are in their order."""

    type: str
    flags: int
    raw: bytes
    id: int | None = None
    reason: int = 0
    reasons: list[int] = field(default_factory=list)
    present: bool = False
    topic: str | None = None
    payload: bytes = b""
    properties: list[tuple] = field(default_factory=list)

    @property
    def qos(self) -> int:
        return self.flags >> 1 & 3

    @property
    def dup(self) -> bool:
        return bool(self.flags & 8)

    @property
    def retain(self) -> bool:
        return bool(self.flags & 1)

    def get(self, name: str):
        """The value of a property; None when it is not there."""
        return next((value for key, value in self.properties if key == name), None)

    def all(self, name: str) -> list:
        return [value for key, value in self.properties if key == name]

    @property
    def text(self) -> str:
        return self.payload.decode()


class Wire(Raw):
    """A connection to the MQTT port, at an address of its own."""

    def __init__(self, box: Box, version: int = V5, **options):
        options.setdefault("address", free_address())
        super().__init__(box.port("mqtt"), **options)
        self.version = version
        self.client_id = ""
        self._last_id = 0

    # MARK: saying

    def connect_bytes(self, id: str | bytes, clean: bool = True, expiry: int | None = None, keepalive: int = 60, will: Will | None = None, username=None,
                      password=None, version: int | None = None, name: str | None = None, will_properties: bytes | None = None, **props) -> bytes:
        version = self.version if version is None else version
        flags = (2 if clean else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
        if will:
            flags |= 4 | will.qos << 3 | (0x20 if will.retain else 0)
        body = string(name or ("MQIsdp" if version == V3 else "MQTT")) + bytes([version, flags]) + struct.pack(">H", keepalive)
        if version == V5:
            if expiry is not None:
                props["session_expiry"] = expiry
            encoded = properties(**props)
            body += varint(len(encoded)) + encoded
        body += string(id)
        if will:
            if version == V5:
                encoded = properties(**will.properties)
                body += varint(len(encoded)) + encoded
            body += string(will.topic) + string(will.payload)
        for value in (username, password):
            if value is not None:
                body += string(value)
        return packet(0x10, body)

    def connect(self, id: str | None = None, reason: int = 0, **options) -> Packet:
        """CONNECT; the CONNACK, which must have this `reason`. `expiry` before version 5 only says whether the session is kept."""
        self.client_id = id if id is not None else "w" + secrets.token_hex(8)
        self.write(self.connect_bytes(self.client_id, **options))
        connack = self.expect("CONNACK")
        assert connack.reason == reason, f"{connack}"
        return connack

    def next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _props(self, props: dict) -> bytes:
        if self.version != V5:
            assert not props
            return b""
        encoded = properties(**props)
        return varint(len(encoded)) + encoded

    def send_publish(self, topic: str | bytes, payload: bytes | str = b"", qos: int = 0, id: int | None = None, retain: bool = False, dup: bool = False, **props) -> int:
        """PUBLISH, whatever follows; its identifier."""
        payload = payload.encode() if isinstance(payload, str) else payload
        id = id if id is not None else self.next_id() if qos else 0
        first = 0x30 | (8 if dup else 0) | qos << 1 | (1 if retain else 0)
        self.write(packet(first, string(topic) + (struct.pack(">H", id) if qos else b"") + self._props(props) + payload))
        return id

    def publish(self, topic: str, payload: bytes | str = b"", qos: int = 1, id: int | None = None, retain: bool = False, dup: bool = False, **props) -> Packet:
        """A whole exchange of QoS 1 or 2; the PUBACK or PUBREC."""
        id = self.send_publish(topic, payload, qos, id, retain, dup, **props)
        answer = self.expect("PUBACK" if qos == 1 else "PUBREC", id=id)
        if qos == 2 and answer.reason < 0x80:
            self.ack("PUBREL", id)
            self.expect("PUBCOMP", id=id)
        return answer

    def give(self, topic: str, payload: bytes | str = b"", qos: int = 0, **options) -> None:
        """A message of any QoS, and every answer to it."""
        if qos:
            assert self.publish(topic, payload, qos, **options).reason in (0, 0x10)
        else:
            self.send_publish(topic, payload, **options)

    def ack(self, type: str, id: int, reason: int | None = None) -> None:
        first = {"PUBACK": 0x40, "PUBREC": 0x50, "PUBREL": 0x62, "PUBCOMP": 0x70}[type]
        self.write(packet(first, struct.pack(">H", id) + (bytes([reason]) if reason is not None else b"")))

    def send_subscribe(self, *filters, id: int | None = None, **props) -> int:
        """Filters are names (with QoS 0) or pairs of name and options."""
        id = id if id is not None else self.next_id()
        pairs = [(f, 0) if isinstance(f, (str, bytes)) else f for f in filters]
        self.write(packet(0x82, struct.pack(">H", id) + self._props(props) + b"".join(string(f) + bytes([options]) for f, options in pairs)))
        return id

    def subscribe(self, *filters, qos: int | None = None, id: int | None = None, **props) -> Packet:
        if qos is not None:
            filters = tuple((f, qos) for f in filters)
        return self.expect("SUBACK", id=self.send_subscribe(*filters, id=id, **props))

    def send_unsubscribe(self, *filters, id: int | None = None, **props) -> int:
        id = id if id is not None else self.next_id()
        self.write(packet(0xA2, struct.pack(">H", id) + self._props(props) + b"".join(string(f) for f in filters)))
        return id

    def unsubscribe(self, *filters, id: int | None = None) -> Packet:
        return self.expect("UNSUBACK", id=self.send_unsubscribe(*filters, id=id))

    def ping(self) -> None:
        self.write(packet(0xC0))

    def disconnect(self, reason: int | None = None, **props) -> None:
        """DISCONNECT, and waits until the box has closed."""
        if self.version == V5 and (reason is not None or props):
            encoded = properties(**props)
            self.write(packet(0xE0, bytes([reason or 0]) + varint(len(encoded)) + encoded))
        else:
            self.write(packet(0xE0))
        self.drain()
        self.close()

    def drop(self) -> None:
        """The connection goes without a word, and the box has seen it."""
        self.half_close()
        self.drain()
        self.close()

    # MARK: hearing

    def receive(self) -> Packet:
        head = self.read(1)
        size = shift = 0
        while True:
            byte = self.read(1)
            head += byte
            size |= (byte[0] & 0x7F) << shift
            shift += 7
            if not byte[0] & 0x80:
                break
        return self._parse(head[0], self.read(size), head)

    def _parse(self, first: int, body: bytes, head: bytes) -> Packet:
        result = Packet(_NAMES[first >> 4], first & 15, head + body)
        reader = _Reader(body)
        v5 = self.version == V5
        match result.type:
            case "CONNACK":
                flags, result.reason = reader.byte(), reader.byte()
                assert flags & 0xFE == 0, "a reserved bit of the acknowledge flags"
                result.present = flags == 1
                if v5 and not reader.ended:
                    result.properties = reader.properties()
            case "PUBLISH":
                result.topic = reader.text()
                if result.qos:
                    result.id = reader.two()
                if v5:
                    result.properties = reader.properties()
                result.payload = reader.rest()
            case "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP":
                result.id = reader.two()
                if not reader.ended:
                    result.reason = reader.byte()
                if not reader.ended:
                    result.properties = reader.properties()
            case "SUBACK" | "UNSUBACK":
                result.id = reader.two()
                if v5:
                    result.properties = reader.properties()
                result.reasons = list(reader.rest())
            case "DISCONNECT" | "AUTH":
                if not reader.ended:
                    result.reason = reader.byte()
                if not reader.ended:
                    result.properties = reader.properties()
        assert reader.ended, f"bytes after the last field: {result}"
        return result

    def expect(self, type: str, id: int | None = None) -> Packet:
        """The next packet, which must be this one."""
        packet = self.receive()
        assert packet.type == type and (id is None or packet.id == id), f"{type} {id if id is not None else ''} was awaited, not {packet}"
        return packet

    def message(self, ack: bool = True) -> Packet:
        """The next packet, a PUBLISH, acknowledged by its QoS."""
        message = self.expect("PUBLISH")
        if ack and message.qos == 1:
            self.ack("PUBACK", message.id)
        elif ack and message.qos == 2:
            self.ack("PUBREC", message.id)
            self.expect("PUBREL", message.id)
            self.ack("PUBCOMP", message.id)
        return message

    def messages(self, count: int) -> list[Packet]:
        """So many PUBLISH packets in the order they come, each acknowledged to its end, however the exchanges mix."""
        found: list[Packet] = []
        open = set()
        while len(found) < count or open:
            packet = self.receive()
            match packet.type:
                case "PUBLISH":
                    found.append(packet)
                    if packet.qos == 1:
                        self.ack("PUBACK", packet.id)
                    elif packet.qos == 2:
                        open.add(packet.id)
                        self.ack("PUBREC", packet.id)
                case "PUBREL":
                    assert packet.id in open, packet
                    open.remove(packet.id)
                    self.ack("PUBCOMP", packet.id)
                case _:
                    raise AssertionError(f"messages were awaited, not {packet}")
        assert len(found) == count, found
        return found

    def pending(self) -> list[Packet]:
        """Everything that was on its way to this client: what comes before the answer to a ping."""
        self.ping()
        found = []
        while (packet := self.receive()).type != "PINGRESP":
            found.append(packet)
        return found

    def nothing(self) -> None:
        """Nothing was on its way to this client."""
        found = self.pending()
        assert found == [], found

    def retained(self) -> list[Packet]:
        """Every retained message that was on its way: they are read from the disk behind SUBACK, so a ping does not wait for them, but the
        retained message of a later subscription does."""
        marker, found, open = "marker/" + secrets.token_hex(8), [], set()
        marked = self.send_publish(marker, "marker", qos=1, retain=True)
        while marked is not None or open:
            packet = self.receive()
            match packet.type:
                case "PUBACK":
                    assert packet.id == marked, packet
                    self.send_subscribe((marker, 1))
                case "PUBLISH" if packet.topic == marker:
                    self.ack("PUBACK", packet.id)
                    marked = None
                case "PUBLISH":
                    found.append(packet)
                    if packet.qos == 2:
                        open.add(packet.id)
                    if packet.qos:
                        self.ack("PUBACK" if packet.qos == 1 else "PUBREC", packet.id)
                case "PUBREL":
                    open.remove(packet.id)
                    self.ack("PUBCOMP", packet.id)
                case _:
                    assert packet.type == "SUBACK", packet
        self.unsubscribe(marker)
        self.publish(marker, retain=True)
        return found

    def last_word(self, seconds: float = 20) -> Packet | None:
        """Reads until the box closes; the last packet, None when there was none. Fails when the box does not close."""
        deadline, last = time.monotonic() + seconds, None
        self.socket.settimeout(seconds)
        try:
            while time.monotonic() < deadline:
                last = self.receive()
        except (EOFError, ConnectionResetError):
            assert self.buffer == b"", f"half a packet: {self.buffer!r}"
            return last
        except TimeoutError:
            pass
        raise AssertionError(f"the box did not close within {seconds:g} s; its last word was {last}")

    def closed_with(self, reason: int | None, seconds: float = 20) -> None:
        """The box closes: a client of version 5 hears the reason in DISCONNECT, an earlier one nothing."""
        last = self.last_word(seconds)
        if self.version == V5 and reason is not None:
            assert last is not None and (last.type, last.reason) == ("DISCONNECT", reason), f"{last}"
        else:
            assert last is None or last.type not in ("DISCONNECT", "CONNACK"), f"{last}"


class _Reader:
    def __init__(self, data: bytes):
        self.data, self.position = data, 0

    @property
    def ended(self) -> bool:
        return self.position == len(self.data)

    def take(self, count: int) -> bytes:
        assert self.position + count <= len(self.data), f"a field reaches over the end: {self.data!r}"
        self.position += count
        return self.data[self.position - count:self.position]

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.position)

    def byte(self) -> int:
        return self.take(1)[0]

    def two(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def binary(self) -> bytes:
        return self.take(self.two())

    def text(self) -> str:
        return self.binary().decode()

    def properties(self) -> list[tuple]:
        end, found = self.varint(), []
        end += self.position
        while self.position < end:
            name, form = PROPERTIES[self.byte()]
            match form:
                case "byte":
                    value = self.byte()
                case "two":
                    value = self.two()
                case "four":
                    value = int.from_bytes(self.take(4), "big")
                case "varint":
                    value = self.varint()
                case "text":
                    value = self.text()
                case "binary":
                    value = self.binary()
                case _:
                    value = (self.text(), self.text())
            found.append((name, value))
        assert self.position == end
        return found


def joined(box, version: int = V5, **options) -> Wire:
    """A client that is connected."""
    wire = Wire(box, version)
    wire.connect(**options)
    return wire
