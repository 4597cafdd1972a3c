"""Habits that clients have come to rely on. The specifications allow them; each is one test. SIGHUP has its own file, `test_reload.py`."""

import secrets
import time

import pytest

from harness.raw_mqtt import packet
from harness.statements import ALL, BOTH
from harness.wire import V5, Will, Wire, joined


@pytest.fixture
def topic():
    return "h/" + secrets.token_hex(6)


@ALL
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("kept", [False, True])
def test_suback_comes_before_the_retained_messages(open_box, topic, pub, version, qos, kept):
    for n in range(3):
        pub.publish(f"{topic}/{n}", str(n), retain=True)
    sub = Wire(open_box, version)
    sub.connect(**({"clean": False, "expiry": 600 if version == V5 else None} if kept else {}))
    sub.send_subscribe((f"{topic}/+", qos))
    assert sub.receive().type == "SUBACK"
    assert len(sub.messages(3)) == 3


@ALL
def test_a_qos_2_message_is_forwarded_at_pubrel(open_box, topic, version):
    sub, wire = joined(open_box, version), joined(open_box, version)
    sub.subscribe(topic, qos=1)
    id = wire.send_publish(topic, "x", qos=2)
    wire.expect("PUBREC", id)
    sub.nothing()
    wire.ack("PUBREL", id)
    wire.expect("PUBCOMP", id)
    assert sub.message().text == "x"


@ALL
@pytest.mark.parametrize("kept", [False, True])
def test_identifiers_towards_a_client_count_1_2_3_per_session_in_delivery_order(new_box, topic, version, kept):
    box = new_box("--mqtt-anonymous", "#")
    keep = {"clean": False, "expiry": 600 if version == V5 else None} if kept else {}
    with joined(box) as pub, Wire(box, version) as sub:
        sub.connect("counter", **keep)
        sub.subscribe(topic, qos=2)
        for n in range(5):
            pub.publish(topic, str(n), qos=1 + n % 2)
            pub.send_publish(topic, "QoS 0 has none")
        found = [sub.receive() for _ in range(10)]
        assert [(m.id, m.text) for m in found if m.qos] == [(n + 1, str(n)) for n in range(5)]
        sub.drop()
        if kept:
            box.restart()
    if not kept:
        return
    with joined(box) as pub, Wire(box, version) as sub:
        pub.publish(topic, "after the restart", qos=1)
        sub.connect("counter", **keep)
        assert [m.id for m in sub.messages(6)] == [1, 2, 3, 4, 5, 6]


def test_nobody_subscribed_is_0x10_in_puback_and_0_in_pubrec(pub, topic):
    assert pub.publish(topic, "x", qos=1).reason == 0x10
    id = pub.send_publish(topic, "x", qos=2)
    assert pub.expect("PUBREC", id).reason == 0
    pub.ack("PUBREL", id)
    assert pub.expect("PUBCOMP", id).reason == 0


@pytest.mark.parametrize("qos", [1, 2])
@pytest.mark.parametrize("name", ["$SYS/broker/uptime", "$SYS", "$share/g/a"])
def test_publishing_to_the_boxs_own_topics_is_refused_in_5_and_acknowledged_before(box, name, qos):
    ann = box.person("ann")
    who = {"username": ann.name, "password": ann.token}
    with joined(box, V5, **who) as wire:
        assert wire.publish(name, "x", qos=qos).reason == 0x87
        wire.nothing()
    with joined(box, 4, **who) as wire:
        assert wire.publish(name, "x", qos=qos).reason == 0
        wire.nothing()


@ALL
@pytest.mark.parametrize("qos", [1, 2])
def test_other_topics_with_a_dollar_are_acknowledged(box, version, qos):
    ann = box.person("ann")
    name = "$" + secrets.token_hex(4) + "/x"
    with joined(box, version, username=ann.name, password=ann.token) as wire:
        assert wire.subscribe(name, qos=1).reasons == [1]
        wire.send_publish(name, "x", qos=qos, id=9)
        answers = {wire.receive().type}
        if qos == 2:
            wire.ack("PUBREL", 9)
            answers.add(wire.receive().type)
        answers.add(wire.receive().type)
        assert answers == ({"PUBACK", "PUBLISH"} if qos == 1 else {"PUBREC", "PUBCOMP", "PUBLISH"})


@ALL
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_topic_of_more_than_200_levels_closes_the_connection(open_box, version, qos):
    wire = joined(open_box, version)
    wire.give("/".join("l" * 200), "the most", qos=qos)
    wire.send_publish("/".join("l" * 202), "too many", qos=qos)
    wire.closed_with(0x90)


@ALL
def test_a_filter_of_more_than_200_levels_closes_the_connection(open_box, version):
    wire = joined(open_box, version)
    wire.subscribe("/".join("l" * 200))
    wire.send_subscribe("/".join("l" * 202))
    wire.closed_with(0x8F)


ENDS = ["a malformed packet", "a protocol error", "a take-over", "silence", "the box going down", "a wrong password", "a malformed CONNECT", "an alias", "too much under way", "a revoked token"]


@pytest.mark.parametrize("end", ENDS)
def test_a_client_of_version_5_always_hears_the_reason_before_the_close(new_box, end):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.receive_max = 1")
    wire = Wire(box)
    if end in ("a wrong password", "a malformed CONNECT"):
        if end == "a wrong password":
            wire.write(wire.connect_bytes("x", username="nobody-here", password="wrong password"))
        else:
            data = bytearray(wire.connect_bytes("x"))
            data[9] |= 1
            wire.write(bytes(data))
        last = wire.last_word()
        assert (last.type, last.reason) == ("CONNACK", 0x86 if end == "a wrong password" else 0x81)
        return
    person = box.person("ann") if end == "a revoked token" else None
    wire.connect("one", keepalive=1 if end == "silence" else 60, **({"username": person.name, "password": person.token} if person else {}))
    reason = 0x81
    match end:
        case "a malformed packet":
            wire.write(packet(0xC0, b"x"))
        case "a protocol error":
            wire.write(wire.connect_bytes("one"))
            reason = 0x82
        case "a take-over":
            Wire(box).connect("one")
            reason = 0x8E
        case "silence":
            reason = 0x8D
        case "the box going down":
            box.stop()
            reason = 0x8B
        case "an alias":
            wire.send_publish("a", "x", topic_alias=60_000)
            reason = 0x94
        case "too much under way":
            wire.send_publish("a", "x", qos=2)
            wire.send_publish("a", "x", qos=2)
            reason = 0x93
        case _:
            person.rest.post("/v1/logout")
            reason = None
    last = wire.last_word()
    assert last.type == "DISCONNECT" and (last.reason == reason or reason is None and last.reason >= 0x80), last


def test_the_client_that_is_taken_over_hears_0x8e(open_box):
    first, second = Wire(open_box), Wire(open_box)
    first.connect("h" + secrets.token_hex(6))
    second.connect(first.client_id)
    last = first.last_word()
    assert (last.type, last.reason) == ("DISCONNECT", 0x8E)


def test_overlapping_subscriptions_make_one_message_with_all_matching_identifiers(open_box, topic, pub):
    sub = joined(open_box)
    for id, filter in enumerate((f"{topic}/#", f"{topic}/+", f"{topic}/x"), 1):
        sub.subscribe((filter, 1), subscription_id=id)
    pub.publish(f"{topic}/x", "once")
    message = sub.message()
    assert sorted(message.all("subscription_id")) == [1, 2, 3]
    sub.nothing()


@BOTH
def test_overlapping_subscriptions_make_one_message_in_every_version(open_box, topic, pub, version):
    sub = joined(open_box, version)
    sub.subscribe((f"{topic}/#", 1), (f"{topic}/+", 2), (f"{topic}/x", 0))
    pub.publish(f"{topic}/x", "once", qos=2)
    assert [m.qos for m in sub.messages(1)] == [2]
    sub.nothing()


def test_broker_made_aliases_go_to_topics_first_come_first_served(open_box, topic, pub):
    sub = Wire(open_box)
    sub.connect(topic_alias_maximum=2)
    sub.subscribe(f"{topic}/+", qos=1)
    for leaf in "abcba":
        pub.publish(f"{topic}/{leaf}", leaf)
    assert [(m.topic, m.get("topic_alias")) for m in sub.messages(5)] == [(f"{topic}/a", 1), (f"{topic}/b", 2), (f"{topic}/c", None), ("", 2), ("", 1)]


def test_sigterm_ends_with_0_at_once_after_saving(new_box, topic):
    box = new_box("--mqtt-anonymous", "#")
    id = "kept"
    with Wire(box) as sub:
        sub.connect(id, expiry=600)
        sub.subscribe(topic, qos=1)
        sub.drop()
    wires = [joined(box) for _ in range(20)]
    mourned = joined(box, will=Will(topic, b"will of one that was there", qos=1))
    wires[0].publish(topic, "last words")
    began = time.monotonic()
    assert box.terminate() == 0
    assert time.monotonic() - began < 5
    assert mourned.last_word().reason == 0x8B
    box.start()
    with Wire(box) as sub:
        assert sub.connect(id, clean=False, expiry=600).present
        assert sorted(m.text for m in sub.messages(2)) == ["last words", "will of one that was there"]


@BOTH
def test_a_house_full_of_devices_subscribes_to_each_of_their_topics(open_box, topic, version):
    """Home Assistant subscribes to the state and the availability of every entity: thousands of filters for one client."""
    with joined(open_box, version) as house, joined(open_box) as device:
        for first in range(0, 5_000, 500):
            assert house.subscribe(*((f"{topic}/{n}/state", 1) for n in range(first, first + 500))).reasons == [1] * 500
        for n in (0, 1_000, 4_999):
            device.publish(f"{topic}/{n}/state", str(n))
            assert house.message().text == str(n)
