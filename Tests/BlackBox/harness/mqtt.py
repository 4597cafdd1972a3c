"""MQTT clients: paho for what a test wants to see in detail, mosquitto_pub and mosquitto_sub because people use them."""

import json
import os
import queue
import secrets
import subprocess
import threading
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from .wait import DEADLINE_SECONDS


@dataclass
class Received:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: object = None

    @property
    def json(self):
        return json.loads(self.payload)

    @property
    def text(self) -> str:
        return self.payload.decode()


class Refused(Exception):
    """CONNACK with something else than success, or no CONNACK at all."""

    def __init__(self, reason):
        self.reason = reason
        self.value = getattr(reason, "value", None)
        super().__init__(str(reason))


class MQTTClient:
    """A paho client with its own thread, that remembers what it got and lets a test wait for it."""

    def __init__(
        self, port: int, client_id: str | None = None, version: int = 5, username: str | None = None, password: str | None = None,
        clean: bool = True, expiry: int = 0, transport: str = "tcp", path: str = "/mqtt", tls=None, keepalive: int = 60, address: str | None = None,
        will: tuple | None = None, receive_maximum: int | None = None, host: str = "127.0.0.1",
    ):
        self.port, self.host, self.version, self.clean, self.expiry, self.keepalive = port, host, version, clean, expiry, keepalive
        self.address = address or ""
        self.receive_maximum = receive_maximum
        self.client_id = client_id if client_id is not None else "t" + secrets.token_hex(8)
        protocol = paho.MQTTv5 if version == 5 else paho.MQTTv311
        more = {} if version == 5 else {"clean_session": clean}
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=protocol, transport=transport, reconnect_on_failure=False, **more)
        if transport == "websockets":
            self.paho.ws_set_options(path=path)
        if username is not None:
            self.paho.username_pw_set(username, password)
        if tls is not None:
            self.paho.tls_set_context(tls)
            self.paho.tls_insecure_set(True)
        if will:
            self.paho.will_set(*will)
        self.paho.on_connect = self._on_connect
        self.paho.on_connect_fail = lambda *_: self._connected.put(("failed", None, None))
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = self._on_message
        self.paho.on_publish = self._on_publish
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_unsubscribe = self._on_subscribe
        self._connected: queue.Queue = queue.Queue()
        self._changed = threading.Condition()
        self.messages: list[Received] = []
        self.all: list[Received] = []
        self.acked: dict[int, object] = {}
        self._subacks: dict[int, list] = {}
        self.disconnected = None
        self.session_present = False
        self.connack_properties = None

    # MARK: callbacks

    def _on_connect(self, client, userdata, flags, reason, properties):
        self._connected.put(("connack", reason, properties))
        self.session_present = flags.session_present

    def _on_disconnect(self, client, userdata, flags, reason, properties):
        with self._changed:
            self.disconnected = reason
            self._changed.notify_all()
        self._connected.put(("disconnected", reason, properties))

    def _on_message(self, client, userdata, message):
        received = Received(message.topic, bytes(message.payload), message.qos, bool(message.retain), getattr(message, "properties", None))
        with self._changed:
            self.messages.append(received)
            self.all.append(received)
            self._changed.notify_all()

    def _on_publish(self, client, userdata, mid, reason, properties):
        with self._changed:
            self.acked[mid] = reason
            self._changed.notify_all()

    def _on_subscribe(self, client, userdata, mid, reasons, properties):
        with self._changed:
            self._subacks[mid] = reasons
            self._changed.notify_all()

    # MARK: what a test does

    def connect(self) -> "MQTTClient":
        properties = None
        if self.version == 5:
            properties = paho.Properties(paho.PacketTypes.CONNECT)
            if self.expiry:
                properties.SessionExpiryInterval = self.expiry
            if self.receive_maximum:
                properties.ReceiveMaximum = self.receive_maximum
        more = {"clean_start": self.clean, "properties": properties} if self.version == 5 else {}
        try:
            self.paho.connect(self.host, self.port, keepalive=self.keepalive, bind_address=self.address, **more)
        except OSError as error:
            raise Refused(error)
        self.paho.loop_start()
        try:
            kind, reason, self.connack_properties = self._connected.get(timeout=DEADLINE_SECONDS)
        except queue.Empty:
            self.drop()
            raise AssertionError(f"no CONNACK within {DEADLINE_SECONDS:g} s")
        if kind != "connack" or reason.is_failure:
            self.drop()
            raise Refused(reason)
        return self

    def subscribe(self, *filters, qos: int = 0, options=None) -> list:
        """Subscribes and waits for the SUBACK; its reason codes, failures included."""
        request = [(filter, options if options is not None else qos) for filter in filters]
        _, mid = self.paho.subscribe(request)
        return self._answer(mid, "SUBACK")

    def unsubscribe(self, *filters) -> list:
        _, mid = self.paho.unsubscribe(list(filters))
        return self._answer(mid, "UNSUBACK")

    def _answer(self, mid: int, what: str) -> list:
        with self._changed:
            if not self._changed.wait_for(lambda: mid in self._subacks or self.disconnected, DEADLINE_SECONDS) or mid not in self._subacks:
                raise AssertionError(f"no {what}; disconnected: {self.disconnected}")
            return self._subacks.pop(mid)

    def publish(self, topic: str, payload="", qos: int = 0, retain: bool = False, wait: bool = True, properties=None):
        """Publishes; waits for PUBACK or PUBCOMP when QoS is 1 or 2. The reason code of the acknowledgement, or the packet's id without waiting."""
        info = self.paho.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        if not wait:
            return info.mid
        with self._changed:
            if not self._changed.wait_for(lambda: info.mid in self.acked or self.disconnected, DEADLINE_SECONDS) or info.mid not in self.acked:
                raise AssertionError(f"no acknowledgement of {topic}; disconnected: {self.disconnected}")
            return self.acked[info.mid]

    def message(self, match=lambda m: True, seconds: float = DEADLINE_SECONDS) -> Received:
        """The first message that matches, or with this topic; taken out of `messages`."""
        test = (lambda m: m.topic == match) if isinstance(match, str) else match
        found: list[Received] = []

        def look() -> bool:
            for index, message in enumerate(self.messages):
                if test(message):
                    found.append(self.messages.pop(index))
                    return True
            return False

        with self._changed:
            if not self._changed.wait_for(lambda: look() or self.disconnected, seconds) or not found:
                raise AssertionError(f"no such message within {seconds:g} s (disconnected: {self.disconnected}); there were {self.messages}")
        return found[0]

    def barrier(self) -> None:
        """When this returns, everything that was on its way to this client is in `messages`; what another client has just caused may still follow.

        Unsubscribing from nothing: its answer comes after whatever was written to this connection earlier.
        """
        self.unsubscribe("barrier/" + secrets.token_hex(4))

    def wait_disconnected(self, seconds: float = DEADLINE_SECONDS):
        with self._changed:
            if not self._changed.wait_for(lambda: self.disconnected is not None, seconds):
                raise AssertionError(f"still connected after {seconds:g} s")
            return self.disconnected

    def disconnect(self) -> None:
        """Says goodbye: no will is sent."""
        self.paho.disconnect()
        self.paho.loop_stop()

    def drop(self) -> None:
        """Goes away without a word: the box sends the will."""
        socket = self.paho.socket()
        self.paho.loop_stop()
        if socket is not None:
            try:
                socket.close()
            except OSError:
                pass

    def __enter__(self) -> "MQTTClient":
        return self

    def __exit__(self, *_) -> None:
        self.disconnect()


def mosquitto_pub(*options: str, input: str | None = None, seconds: float = 30) -> subprocess.CompletedProcess:
    return subprocess.run(["mosquitto_pub", *options], input=input, capture_output=True, text=True, timeout=seconds, env=_plain())


class Subscriber:
    """mosquitto_sub, with its lines as they come."""

    def __init__(self, *options: str):
        # `-d` tells when the SUBACK has come; `%j` puts topic, QoS, retained and payload of a message on one line.
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", "mosquitto_sub", "-d", "-F", "%j", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env=_plain())
        self.output: list[str] = []
        self.messages: list[dict] = []
        self._changed = threading.Condition()
        self._ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._changed:
                self.output.append(line.rstrip("\n"))
                if line.startswith("{"):
                    self.messages.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait(self, condition, what: str, seconds: float = DEADLINE_SECONDS) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: condition() or self._ended, seconds) or not condition():
                raise AssertionError(f"mosquitto_sub: {what}:\n" + "\n".join(self.output))

    def subscribed(self) -> "Subscriber":
        """Returns when the box has acknowledged the subscription."""
        self._wait(lambda: any("received SUBACK" in line or line.startswith("Subscribed") for line in self.output), "not subscribed")
        return self

    def message(self, match=lambda m: True, seconds: float = DEADLINE_SECONDS) -> dict:
        """The first message that matches: `topic`, `payload`, `qos`, `retain`."""
        self._wait(lambda: any(match(m) for m in self.messages), "no such message", seconds)
        return next(m for m in self.messages if match(m))

    def ended(self, seconds: float = DEADLINE_SECONDS) -> int:
        """Waits for its end and its last line; the exit code."""
        self._wait(lambda: self._ended, "still running", seconds)
        return self.process.wait(seconds)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                # Its signal handler waits for a lock that its own main program holds, when the signal comes during a callback.
                self.process.kill()
                self.process.wait(10)

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _plain() -> dict:
    """An environment in which no configuration of the person who runs the tests is read."""
    return {**os.environ, "XDG_CONFIG_HOME": "/nonexistent"}
