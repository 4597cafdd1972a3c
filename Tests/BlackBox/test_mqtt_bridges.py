"""A Mosquitto that bridges to the box: what people have when a second broker comes into the house."""

import secrets
import shutil
import subprocess

import pytest

from harness import free_port
from harness.raw_mqtt import packet, string
from harness.wait import eventually
from harness.wire import Will, Wire

BRIDGE = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
STATE = "$SYS/broker/connection/{}/state"


class Place:
    """Where another broker listens, for `Wire`."""

    def __init__(self, port: int):
        self._port = port

    def port(self, _: str) -> int:
        return self._port


@pytest.fixture
def mosquitto(tmp_path):
    """Starts Mosquitto with these lines about a bridge; where it listens."""
    processes = []

    def start(*lines: str) -> Place:
        port = free_port()
        config = tmp_path / f"bridge{len(processes)}.conf"
        config.write_text("\n".join([f"listener {port} 127.0.0.1", "allow_anonymous true", *lines]) + "\n")
        with open(tmp_path / "mosquitto.log", "ab") as log:
            processes.append(subprocess.Popen([BRIDGE, "-c", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        place = Place(port)

        def listens():
            try:
                Wire(place).close()
                return True
            except OSError:
                return False

        eventually(listens, "mosquitto listens")
        return place

    yield start
    for process in processes:
        process.kill()
        process.wait()


def joined(place, version=5, **options) -> Wire:
    wire = Wire(place, version)
    wire.connect(**options)
    return wire


@pytest.mark.skipif(BRIDGE is None, reason="there is no mosquitto (Debian package mosquitto)")
@pytest.mark.parametrize("protocol", ["mqttv31", "mqttv311", "mqttv50"])
def test_a_mosquitto_bridges_every_topic_both_ways_without_a_loop(new_box, mosquitto, protocol):
    box = new_box()
    admin, name = box.admin, "b" + secrets.token_hex(4)
    login = {"username": admin.name, "password": admin.token}
    there = mosquitto(
        "connection house", f"address 127.0.0.1:{box.port('mqtt')}", f"bridge_protocol_version {protocol}", "topic # both 2", "cleansession false",
        f"remote_clientid {name}", f"remote_username {admin.name}", f"remote_password {admin.token}", "restart_timeout 1")
    watch = joined(box, **login)
    watch.subscribe((STATE.format("+"), 1))
    while (said := watch.message()).text != "1":
        assert said.text == "0", said
    assert said.topic == STATE.format(name)
    here, far = joined(box, **login), joined(there)
    here.subscribe(("h/#", 2))
    far.subscribe(("h/#", 2))
    sayer, answerer = joined(box, **login), joined(there)
    for n in range(20):
        sayer.publish(f"h/here/{n % 2}", f"{n}", qos=n % 2 + 1)
        answerer.publish(f"h/there/{n % 2}", f"{n}", qos=n % 2 + 1)
    for wire in (here, far):
        found = wire.messages(40)
        for topic in ("h/here/0", "h/here/1", "h/there/0", "h/there/1"):
            assert [m.text for m in found if m.topic == topic] == [str(n) for n in range(20) if topic.endswith(str(n % 2))]
    # What a bridge brings is not sent back to it; what is retained here is retained there.
    sayer.publish("h/kept", "light on", retain=True)
    for wire in (here, far):
        assert [(m.topic, m.text) for m in wire.messages(1)] == [("h/kept", "light on")]
    late = joined(there)
    late.subscribe(("h/kept", 1))
    assert [(m.text, m.retain) for m in late.messages(1)] == [("light on", True)]
    here.nothing()
    far.nothing()


@pytest.mark.parametrize("version", [3, 4])
def test_a_bridge_hears_retained_as_published_and_not_itself(open_box, version):
    """Mosquitto says with the high bit of the protocol level that a client is a broker, where SUBSCRIBE has no options for it."""
    topic = "br/" + secrets.token_hex(6)
    wire, other = Wire(open_box, version), joined(open_box)
    name = "MQIsdp" if version == 3 else "MQTT"
    wire.write(packet(0x10, string(name) + bytes([0x80 | version, 2, 0, 60]) + string("br" + secrets.token_hex(6))))
    assert wire.expect("CONNACK").reason == 0
    assert wire.subscribe((topic, 1)).reasons == [1]
    assert wire.subscribe(("$share/g/" + topic, 1)).reasons == [1]
    assert wire.unsubscribe("$share/g/" + topic).type == "UNSUBACK"
    wire.publish(topic, "own", retain=True)
    wire.nothing()
    other.publish(topic, "theirs", retain=True)
    assert [(m.text, m.retain) for m in wire.messages(1)] == [("theirs", True)]
    other.publish(topic, "passing")
    assert [(m.text, m.retain) for m in wire.messages(1)] == [("passing", False)]


@pytest.mark.parametrize("version", [4, 5])
def test_the_state_of_a_bridge_is_under_sys_and_nothing_else_there_is_a_clients(box, version):
    ann, admin, name = box.person("ann"), box.admin, "n" + secrets.token_hex(4)
    login = {"username": ann.name, "password": ann.token}
    bridge = joined(box, version, will=Will(STATE.format(name), b"0", qos=1, retain=True), **login)
    bridge.publish(STATE.format(name), "1", retain=True)
    watch = joined(box, username=admin.name, password=admin.token)
    watch.subscribe((STATE.format(name), 1))
    assert [(m.text, m.retain) for m in watch.messages(1)] == [("1", True)]
    bridge.drop()
    assert [m.text for m in watch.messages(1)] == ["0"]
    # Others do not read it, and write nothing beside it.
    with joined(box, **login) as wire:
        assert wire.subscribe((STATE.format(name), 1)).reasons == [0x87]
        for topic in ("$SYS/broker/connection/state", "$SYS/broker/connection/a/b/state", "$SYS/broker/connection/a/stat", "$SYS/broker/uptime"):
            assert wire.publish(topic, "x").reason == 0x87, topic
        Wire(box).connect(reason=0x87, will=Will("$SYS/broker/uptime"), **login)


def test_a_client_without_an_account_may_bridge_where_topics_are_open(open_box):
    name = "n" + secrets.token_hex(4)
    with joined(open_box, 4, will=Will(STATE.format(name), b"0", qos=1, retain=True)) as wire:
        assert wire.publish(STATE.format(name), "1", retain=True).reason == 0
