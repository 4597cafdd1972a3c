"""The real process is killed at random moments under load. Afterwards: nothing that was acknowledged is missing, and nothing is there twice.

`SKERRY_KILLS` says how often it is killed (50 when not set), `SKERRY_SEED` repeats a run's choices.
"""

import collections
import json
import os
import threading
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from harness import Box, ChatClosed, ChatRefused, Person, free_port
from harness.chat import new_cid

pytestmark = pytest.mark.kill9

KILLS = int(os.environ.get("SKERRY_KILLS") or 50)
LIMITS = """
chat.send_burst = 100000
chat.send_per_second = 100000
mqtt.queued_messages_max = 1000000
mqtt.queued_bytes_max = 1G
"""


class Load:
    """What all clients share: whether to go on, and what went wrong."""

    def __init__(self, box: Box, rng):
        self.box = box
        self.rng = rng
        self.finishing = threading.Event()
        self.failures: list[str] = []

    def pace(self) -> None:
        """Spreads the load over the whole run; not a wait for anything."""
        time.sleep(self.rng.uniform(0, 0.012))


class Client(threading.Thread):
    def __init__(self, load: Load, person: Person):
        super().__init__(daemon=True)
        self.load, self.person = load, person
        self.reconnects = 0
        self.start()

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.load.failures.append(f"{type(self).__name__} of {self.person.name}: {type(error).__name__}: {error}")


# MARK: chat

class WebSocketSender(Client):
    """Sends with a window of unacknowledged messages; after a cut it repeats what was not acknowledged, with the same cid."""

    WINDOW = 16

    def __init__(self, load, person, conv, name):
        self.conv, self.label = conv, name
        self.acked: dict[str, dict] = {}
        self.texts: dict[str, str] = {}
        super().__init__(load, person)

    def work(self):
        unacked: dict[str, str] = {}
        while unacked or not self.load.finishing.is_set():
            try:
                chat = self.person.chat()
            except ChatRefused as refusal:
                assert refusal.error["temporary"], f"hello was refused: {refusal}"
                continue
            except Exception:
                time.sleep(0.02)
                continue
            self.reconnects += 1
            pending: collections.deque = collections.deque()
            try:
                for cid in list(unacked):
                    pending.append((chat.start("send", conv=self.conv, cid=cid, kind="text", text=unacked[cid]), cid))
                while unacked or not self.load.finishing.is_set():
                    while len(pending) < self.WINDOW and not self.load.finishing.is_set():
                        cid = new_cid()
                        unacked[cid] = self.texts[cid] = f"{self.label} {len(self.texts)}"
                        pending.append((chat.start("send", conv=self.conv, cid=cid, kind="text", text=unacked[cid]), cid))
                        self.load.pace()
                    if not pending:
                        break
                    id, cid = pending.popleft()
                    try:
                        ack = chat.reply(id)
                    except ChatRefused as refusal:
                        assert refusal.error["temporary"], f"a send was refused: {refusal}"
                        pending.append((chat.start("send", conv=self.conv, cid=cid, kind="text", text=unacked[cid]), cid))
                        continue
                    assert ack["cid"] == cid
                    self.acked[cid] = ack
                    del unacked[cid]
            except (ChatClosed, OSError):
                pass
            finally:
                try:
                    chat.socket.socket.close()
                except OSError:
                    pass


class WebSocketReader(Client):
    """Shows messages as a client does: live stream first, then sync, without repetition by mid; keeps its cursor over cuts."""

    def __init__(self, load, person):
        self.shown: dict[str, dict] = {}
        # Taken before anything is sent: from here on nothing may be missed.
        with person.chat() as chat:
            self.cursor: str = chat.greeting["live"]
        self.resets = 0
        super().__init__(load, person)

    def show(self, d):
        known = self.shown.get(d["mid"])
        if known is None:
            self.shown[d["mid"]] = d
        else:
            assert (known["order"], known["text"]) == (d["order"], d["text"]), f"{d['mid']} was shown differently: {known} {d}"

    def work(self):
        while not self.load.finishing.is_set():
            try:
                chat = self.person.chat(cursor=self.cursor)
            except Exception:
                time.sleep(0.02)
                continue
            self.reconnects += 1
            try:
                if chat.greeting["sync"] != "ok":
                    self.resets += 1
                while True:
                    page = chat.request("sync", since=self.cursor, limit=100)
                    seen = [i["d"]["mid"] for i in page["items"] if i["t"] == "msg"]
                    assert len(seen) == len(set(seen)), "one page of sync has a message twice"
                    for item in page["items"]:
                        if item["t"] == "msg":
                            self.show(item["d"])
                    self.cursor = page["cursor"]
                    if page["done"]:
                        break
                live: set[str] = set()
                while not self.load.finishing.is_set():
                    try:
                        d = chat.push("msg", seconds=0.2)
                    except AssertionError:
                        continue
                    assert d["mid"] not in live, "the live stream had a message twice"
                    live.add(d["mid"])
                    self.show(d)
                    # The cursor stays where sync left it: after a cut this client pages again what it saw live, and must not miss any of it.
            except (ChatClosed, OSError):
                pass
            finally:
                try:
                    chat.socket.socket.close()
                except OSError:
                    pass


# MARK: MQTT

class PahoClient(paho.Client):
    """paho forgets that it sent PUBREL when an attempt to connect fails after the first, and publishes anew what was released: that must not be."""

    def _messages_reconnect_reset_out(self):
        released = [message for message in self._out_messages.values() if message.state == paho.mqtt_ms_resend_pubrel]
        super()._messages_reconnect_reset_out()
        for message in released:
            message.state = paho.mqtt_ms_resend_pubrel


class Paho(Client):
    """A paho client with a session that outlives connections, connected anew after every cut."""

    def __init__(self, load, person, name):
        self.paho = PahoClient(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5, reconnect_on_failure=False)
        self.paho.max_inflight_messages_set(16)
        self.paho.username_pw_set(person.name, person.token)
        self.connected = False
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.lost_sessions = 0
        super().__init__(load, person)

    def _on_connect(self, client, userdata, flags, reason, properties):
        if reason.is_failure:
            self.load.failures.append(f"{self.paho._client_id}: CONNACK {reason}")
            return
        # A session that was never acknowledged anything may be new again: its own row is all that was on the way to the disk.
        if self.is_owed and not flags.session_present:
            self.lost_sessions += 1
        self.connected = True
        self.reconnects += 1
        self.on_up()

    def _on_disconnect(self, *_):
        self.connected = False

    def on_up(self):
        pass

    @property
    def is_owed(self) -> bool:
        """Whether the box has acknowledged something to this session."""
        raise NotImplementedError

    def loop(self, seconds=0.01) -> bool:
        """Connects when necessary, and does what is to be done on the connection; whether there is one."""
        if self.paho.socket() is None:
            self.connected = False
            properties = paho.Properties(paho.PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 86_400
            try:
                self.paho.connect("127.0.0.1", self.load.box.port("mqtt"), keepalive=30, clean_start=False, properties=properties)
            except (OSError, ValueError):
                time.sleep(0.02)
                return False
        if self.paho.loop(seconds) != paho.MQTT_ERR_SUCCESS:
            self.connected = False
        return self.connected


class Publisher(Paho):
    """QoS 1 and QoS 2. What a cut leaves unacknowledged, the session's protocol repeats; nothing is published anew."""

    def __init__(self, load, person, name, qos, topic, body=lambda text: text):
        self.qos, self.topic, self.body = qos, topic, body
        self.sent: dict[int, str] = {}
        self.texts: list[str] = []
        self.acked: list[str] = []
        super().__init__(load, person, name)

    def work(self):
        self.paho.on_publish = self._on_publish
        finishing_since = None
        while True:
            up = self.loop()
            if self.load.finishing.is_set():
                if not self.sent:
                    break
                finishing_since = finishing_since or time.monotonic()
                assert time.monotonic() - finishing_since < 60, f"{len(self.sent)} publishes of QoS {self.qos} stay unacknowledged: {list(self.sent.items())[:5]}"
            elif up and len(self.sent) < 16:
                text = f"{self.paho._client_id.decode()} {len(self.texts)}"
                self.texts.append(text)
                info = self.paho.publish(self.topic, self.body(text), qos=self.qos)
                self.sent[info.mid] = text
                self.load.pace()
        self.paho.disconnect()

    @property
    def is_owed(self):
        return bool(self.acked)

    def _on_publish(self, client, userdata, mid, reason, properties):
        text = self.sent.pop(mid)
        # PUBREL again after a PUBCOMP that was lost: the exchange is over, the box knows no such packet identifier any more.
        if reason.is_failure and not (self.qos == 2 and reason.value == 0x92):
            self.load.failures.append(f"{text}: refused with {reason}")
        else:
            self.acked.append(text)


class Watcher(Paho):
    """Subscribed all the time with QoS 2."""

    def __init__(self, load, person, name, filter):
        self.filter = filter
        self.got: list[str] = []
        self.quiet = threading.Event()
        self.subscribed = threading.Event()
        super().__init__(load, person, name)

    @property
    def is_owed(self):
        return self.subscribed.is_set()

    def on_up(self):
        if not self.subscribed.is_set():
            self.paho.subscribe(self.filter, qos=2)

    def work(self):
        self.paho.on_message = lambda client, userdata, message: self.got.append(message.payload.decode())
        self.paho.on_subscribe = lambda *_: self.subscribed.set()
        while not self.quiet.is_set():
            self.loop(0.05)
        self.paho.disconnect()


@pytest.mark.long
def test_nothing_acknowledged_is_lost_and_nothing_is_there_twice_after_many_kills(new_box, rng):
    began = time.monotonic()
    # Ports of its own, so that clients never meet another box while this one is away.
    box = new_box("--http-port", str(free_port()), "--mqtt-port", str(free_port()), config=LIMITS)
    ann, bob, thing = box.people("ann", "bob", "thing")
    with ann.chat() as a:
        conv = a.request("create", type="group", title="Storm", members=[bob.id, thing.id], cid=new_cid())["conversation"]["id"]
    keep = {"client_id": "keeper", "clean": False, "expiry": 86_400}
    with thing.mqtt(**keep) as keeper:
        keeper.subscribe("t/kill/#", qos=2)

    load = Load(box, rng)
    watcher = Watcher(load, thing, "watcher", "t/kill/#")
    assert watcher.subscribed.wait(20), "the subscriber is not subscribed"
    reader = WebSocketReader(load, bob)
    senders = [WebSocketSender(load, ann, conv, "ann1"), WebSocketSender(load, ann, conv, "ann2"), WebSocketSender(load, bob, conv, "bob")]
    cids: dict[str, str] = {}

    def chat_body(text):
        cids[text] = new_cid()
        return json.dumps({"cid": cids[text], "kind": "text", "text": text})

    by_mqtt = [Publisher(load, thing, "chat1", 1, f"v1/c/{conv}/send", chat_body), Publisher(load, thing, "chat2", 2, f"v1/c/{conv}/send", chat_body)]
    publishers = [Publisher(load, thing, "pub1", 1, "t/kill/1"), Publisher(load, thing, "pub2", 2, "t/kill/2")]
    clients = senders + [reader, watcher] + by_mqtt + publishers

    unready = 0
    for number in range(KILLS):
        if rng.random() < 0.12:
            # Killed while it starts: recovery itself must survive being cut off.
            box.kill()
            box.launch()
            time.sleep(rng.uniform(0, 0.4))
            unready += 1
        else:
            time.sleep(rng.uniform(0, 1.2) ** 2)
        box.kill()
        assert not load.failures, load.failures
        box.start()
    # The last round is not cut: everybody comes back and ends what is under way.
    load.finishing.set()
    for client in clients:
        if client is not watcher:
            client.join(90)
            assert not client.is_alive(), f"{type(client).__name__} of {client.person.name} does not come to an end:\n{box.log(20)}"
    assert not load.failures, load.failures

    acked = {ack["mid"]: ack for sender in senders for ack in sender.acked.values()}
    mqtt_acked = [text for publisher in by_mqtt for text in publisher.acked]
    print(f"{KILLS} kills ({unready} while starting) in {time.monotonic() - began:.0f} s; acknowledged: {len(acked)} by WebSocket, {len(mqtt_acked)} by MQTT into the chat, "
          f"{[len(p.acked) for p in publishers]} by MQTT; reconnects {[c.reconnects for c in clients]}")
    assert len(acked) >= KILLS * 3 and len(mqtt_acked) >= KILLS and all(len(p.acked) >= KILLS for p in publishers), "there was too little load for the test to mean anything"

    # The chat: both readers hold every acknowledged message once, in one order, and what the reader was shown live is still there.
    histories = []
    for person in (ann, bob, thing):
        with person.chat() as chat:
            histories.append(chat.history(conv, limit=200))
    strip = lambda m: {k: v for k, v in m.items() if k != "cid"}
    assert [strip(m) for m in histories[0]] == [strip(m) for m in histories[1]] == [strip(m) for m in histories[2]]
    mids = [m["mid"] for m in histories[0]]
    by_mid = {m["mid"]: m for m in histories[0]}
    assert len(mids) == len(by_mid), "a message is in the history twice"
    texts = collections.Counter(m["text"] for m in histories[0])
    assert [text for text, count in texts.items() if count > 1] == [], "sent once, there twice"
    missing = [mid for mid in acked if mid not in by_mid]
    assert not missing, f"{len(missing)} acknowledged messages are lost"
    assert all(by_mid[mid]["order"] == ack["order"] and by_mid[mid]["ts"] == ack["ts"] for mid, ack in acked.items()), "an acknowledged order has changed"
    assert not [text for text in mqtt_acked if text not in texts], "a message acknowledged by PUBACK or PUBCOMP is lost"
    for sender in senders:
        assert set(sender.texts.values()) <= set(texts), "what was sent until it was acknowledged is not there"
    vanished = [mid for mid, d in reader.shown.items() if mid not in by_mid or by_mid[mid]["order"] != d["order"]]
    assert not vanished, f"{len(vanished)} messages were shown and are not there any more"
    assert reader.resets == 0, "a cursor did not survive a kill"
    with bob.chat() as chat:
        items, _, _ = chat.sync(reader.cursor, limit=500)
    synced = [i["d"]["mid"] for i in items if i["t"] == "msg"]
    assert len(synced) == len(set(synced))
    missed = [by_mid[mid]["text"] for mid in mids if mid not in reader.shown and mid not in synced]
    assert not missed, f"the reader misses {len(missed)}: {missed[:20]}"

    # MQTT: the session that was away and the one that was there hold every acknowledged message; QoS 2 exactly once.
    one, two = publishers
    everything = set(one.acked) | set(two.acked)
    with thing.mqtt(**keep, receive_maximum=100) as keeper:
        assert keeper.session_present, "the session that was away is lost"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not everything <= {m.text for m in keeper.all}:
            time.sleep(0.05)
        keeper.barrier()
        counts = collections.Counter(m.text for m in keeper.all)
    assert not everything - set(counts), f"{len(everything - set(counts))} acknowledged messages are not in the queue of the session that was away"
    assert [text for text, count in counts.items() if count > 1 and text.startswith("pub2")] == [], "a message of QoS 2 was queued twice"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not everything <= set(watcher.got):
        time.sleep(0.05)
    watcher.quiet.set()
    watcher.join(10)
    seen = collections.Counter(watcher.got)
    assert not everything - set(seen), f"{len(everything - set(seen))} acknowledged messages did not reach the subscriber that was there"
    assert [text for text, count in seen.items() if count > 1 and text.startswith("pub2")] == [], "a message of QoS 2 was delivered twice"
    order = [int(text.split()[1]) for text in watcher.got if text.startswith("pub2")]
    assert order == sorted(order), "messages of QoS 2 came out of order"
    assert all(c.lost_sessions == 0 for c in clients if isinstance(c, Paho)), "a session was not there after a kill"

    box.stop()
    check = box.cli("check")
    assert check.returncode == 0, check.stdout + check.stderr
    assert not load.failures, load.failures


def test_a_kill_between_two_steps_of_qos_2_neither_loses_nor_doubles(new_box, rng):
    """PUBREC is acknowledged possession: after a kill the same packet identifier, sent again, is not a new message."""
    from harness.raw_mqtt import RawMQTT, packet, publish
    box = new_box()
    ann = box.person("ann")
    with ann.mqtt("away", clean=False, expiry=3_600) as sub:
        sub.subscribe("t/steps", qos=2)
    for step in range(3):
        expiry = b"\x11\x00\x00\x0e\x10"
        raw = RawMQTT(box.port("mqtt"))
        raw.connect(client_id=f"stepper{step}", username=ann.name, password=ann.token, clean=True, properties=expiry)
        raw.write(publish("t/steps", f"step {step}".encode(), qos=2, id=7))
        first, body = raw.packet()
        assert (first, body[:2]) == (0x50, b"\x00\x07")
        if step == 1:
            raw.write(packet(0x62, b"\x00\x07"))
            assert raw.packet()[0] == 0x70
        box.kill()
        box.start()
        raw = RawMQTT(box.port("mqtt"))
        connack = raw.connect(client_id=f"stepper{step}", username=ann.name, password=ann.token, clean=False, properties=expiry)
        assert connack[0] == 1, "the session is lost"
        if step == 0:
            raw.write(publish("t/steps", f"step {step}".encode(), qos=2, id=7, first=0x3C))
            assert raw.packet()[0] == 0x50
        raw.write(packet(0x62, b"\x00\x07"))
        assert raw.packet()[0] == 0x70
        raw.close()
    with ann.mqtt("away", clean=False, expiry=3_600) as sub:
        assert [sub.message("t/steps").text for _ in range(3)] == ["step 0", "step 1", "step 2"]
        sub.barrier()
        assert sub.messages == []
