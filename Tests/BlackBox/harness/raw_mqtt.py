"""MQTT packets written by hand, for what no client library would send."""

import struct

from .raw import Raw


def string(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def varint(value: int) -> bytes:
    result = b""
    while True:
        value, byte = value >> 7, value & 0x7F
        result += bytes([byte | (0x80 if value else 0)])
        if not value:
            return result


def packet(first: int, body: bytes = b"") -> bytes:
    return bytes([first]) + varint(len(body)) + body


def connect(client_id: str | bytes = "", username: str | bytes | None = None, password: str | bytes | None = None, keepalive: int = 60, version: int = 5,
            clean: bool = True, will: tuple[str, bytes] | None = None, flags: int | None = None, name: str = "MQTT", properties: bytes = b"") -> bytes:
    bits = (0x80 if username is not None else 0) | (0x40 if password is not None else 0) | (0x02 if clean else 0) | (0x0C if will else 0)
    body = string(name) + bytes([version, bits if flags is None else flags]) + struct.pack(">H", keepalive)
    if version == 5:
        body += varint(len(properties)) + properties
    body += string(client_id)
    if will:
        body += (b"\x00" if version == 5 else b"") + string(will[0]) + string(will[1])
    if username is not None:
        body += string(username)
    if password is not None:
        body += string(password)
    return packet(0x10, body)


def publish(topic: str | bytes, payload: bytes = b"", qos: int = 0, id: int = 1, version: int = 5, first: int | None = None, properties: bytes = b"") -> bytes:
    body = string(topic) + (struct.pack(">H", id) if qos else b"") + ((varint(len(properties)) + properties) if version == 5 else b"") + payload
    return packet(0x30 | qos << 1 if first is None else first, body)


def subscribe(filter: str | bytes, options: int = 0, id: int = 1, version: int = 5, first: int = 0x82, properties: bytes = b"") -> bytes:
    return packet(first, struct.pack(">H", id) + ((varint(len(properties)) + properties) if version == 5 else b"") + string(filter) + bytes([options]))


class RawMQTT(Raw):
    version = 5

    def connect(self, **options) -> bytes:
        """CONNECT; the body of the CONNACK."""
        self.version = options.get("version", 5)
        self.write(connect(**options))
        first, body = self.packet()
        assert first == 0x20, hex(first)
        return body

    def subscribe(self, filter: str, qos: int = 0) -> None:
        self.write(subscribe(filter, qos, version=self.version))
        first, _ = self.packet()
        assert first == 0x90, hex(first)

    def packet(self) -> tuple[int, bytes]:
        first = self.read(1)[0]
        size = shift = 0
        while True:
            byte = self.read(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return first, self.read(size)

    def goodbye(self, seconds: float = 20) -> int | None:
        """Reads until the box closes; the reason of its last DISCONNECT or CONNACK, None when it closed without a word."""
        data, reason = self.drain(seconds), None
        position = 0
        while position + 2 <= len(data):
            first, size, shift, position = data[position], 0, 0, position + 1
            while True:
                byte = data[position]
                size |= (byte & 0x7F) << shift
                shift, position = shift + 7, position + 1
                if not byte & 0x80:
                    break
            body = data[position:position + size]
            position += size
            if first == 0xE0:
                reason = body[0] if body else 0
            elif first == 0x20 and len(body) >= 2 and body[1] >= 0x80:
                reason = body[1]
        return reason
