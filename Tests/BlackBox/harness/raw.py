"""Sockets on which anything can be said, right or wrong."""

import errno
import os
import socket
import ssl
import struct
import time

from .wait import DEADLINE_SECONDS


class Raw:
    """A TCP connection; reading has a deadline."""

    def __init__(self, port: int, receive_buffer: int | None = None, tls: bool = False, address: str = ""):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE_SECONDS)
        if address:
            self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.buffer = b""

    def write(self, data: bytes) -> bool:
        """False when the box has closed already."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def read(self, count: int) -> bytes:
        while len(self.buffer) < count:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError(f"closed after {self.buffer!r}")
            self.buffer += data
        result, self.buffer = self.buffer[:count], self.buffer[count:]
        return result

    def drain(self, seconds: float = DEADLINE_SECONDS) -> bytes:
        """Everything until the box closes; fails when it does not in time."""
        deadline = time.monotonic() + seconds
        result, self.buffer = self.buffer, b""
        while True:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                data = self.socket.recv(65_536)
            except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
                return result
            except TimeoutError:
                raise AssertionError(f"the box did not close within {seconds:g} s; it said {result[:200]!r}")
            if not data:
                return result
            result += data

    def ended(self, seconds: float = DEADLINE_SECONDS) -> bool:
        self.drain(seconds)
        return True

    def half_close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            # The box has closed it already.
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def http_exchange(port: int, request: bytes | str, until_headers: bool = False, seconds: float = DEADLINE_SECONDS, tls: bool = False) -> bytes:
    """Sends `request` as it is; what comes back until the box closes, or until the end of the headers."""
    with Raw(port, tls=tls) as raw:
        raw.write(request if isinstance(request, bytes) else request.encode())
        if not until_headers:
            return raw.drain(seconds)
        raw.socket.settimeout(seconds)
        data = b""
        while b"\r\n\r\n" not in data:
            try:
                more = raw.socket.recv(65_536)
            except ConnectionResetError:
                break
            if not more:
                break
            data += more
        return data


class WebSocketRaw(Raw):
    """A WebSocket whose frames are written by hand."""

    def __init__(self, port: int, path: str = "/v1/ws", subprotocol: str = "skerry.v1.json", **options):
        super().__init__(port, **options)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.buffer:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError("closed in the handshake")
            self.buffer += data
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head
        assert b"s3pplmbitxaq9kygzzhzrbk+xoo=" in head.lower()

    @staticmethod
    def encode(opcode: int, payload: bytes = b"", fin: bool = True, masked: bool = True, rsv: int = 0, length: int | None = None) -> bytes:
        """A frame; `length` may lie."""
        size = len(payload) if length is None else length
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65_536:
            head += bytes([mask_bit | 126]) + struct.pack(">H", size)
        else:
            head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
        if not masked:
            return head + payload
        key = os.urandom(4)
        return head + key + bytes(b ^ key[i & 3] for i, b in enumerate(payload))

    def send(self, opcode: int, payload: bytes = b"", **how) -> bool:
        return self.write(self.encode(opcode, payload, **how))

    def text(self, text: str) -> bool:
        return self.send(0x1, text.encode())

    def frame(self) -> tuple[int, bytes]:
        """The next frame of the box: opcode and payload."""
        first, second = self.read(2)
        assert first & 0x70 == 0, "the box set a reserved bit"
        assert second & 0x80 == 0, "the box masked a frame"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", self.read(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.read(8))[0]
        return first & 0x0F, self.read(size)

    def close_code(self) -> int:
        """Reads until the box's close frame; its code, 1005 when it has none, 1006 when the connection just ends."""
        while True:
            try:
                opcode, payload = self.frame()
            except (EOFError, ConnectionResetError):
                return 1006
            if opcode == 0x8:
                return int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
