"""Statements about PUBLISH: topics, properties, retained messages, aliases, expiry, sizes, on the wire of the real program."""

import secrets
import time

import pytest

from harness import eventually
from harness.raw_mqtt import packet, string
from harness.statements import ALL, BOTH, EARLIER, statements
from harness.wire import V5, Wire, joined

QOS = pytest.mark.parametrize("qos", [0, 1, 2])


@pytest.fixture
def topic():
    return "p/" + secrets.token_hex(6)


@pytest.fixture
def sub(open_box):
    with Wire(open_box) as wire:
        wire.connect()
        yield wire


# MARK: the first byte and the identifier

@BOTH
@statements("MQTT-2.2.1-2", "MQTT-3.3.1-2", "MQTT-4.3.1-1", "MQTT-2.2.2-1", "MQTT311-2.3.1-5", "MQTT311-3.3.1-2", "MQTT311-4.3.1-1")
def test_a_qos_0_message_has_no_identifier_no_dup_and_a_property_length_of_zero(open_box, topic, pub, version):
    sub = joined(open_box, version)
    sub.subscribe(topic, qos=2)
    pub.send_publish(topic, "x")
    message = sub.message()
    body = string(topic) + (b"\x00" if version == V5 else b"") + b"x"
    assert message.raw == packet(0x30, body)


@BOTH
@statements("MQTT-2.2.2-1")
def test_answers_without_properties_say_so_with_a_zero_or_end_before_it(open_box, topic, version):
    wire = joined(open_box, version)
    zero = b"\x00" if version == V5 else b""
    assert wire.subscribe(topic, qos=1, id=5).raw == packet(0x90, b"\x00\x05" + zero + b"\x01")
    assert wire.unsubscribe(topic, id=6).raw == packet(0xB0, b"\x00\x06" + (zero + b"\x00" if version == V5 else b""))


@ALL
@statements("MQTT-2.2.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-4.3.2-2", "MQTT-4.3.3-2", "MQTT311-2.3.1-1", "MQTT311-2.3.1-4", "MQTT311-4.3.2-1", "MQTT311-4.3.3-1")
def test_messages_that_are_not_acknowledged_have_identifiers_of_their_own_and_no_dup(open_box, topic, pub, version):
    sub = joined(open_box, version)
    sub.subscribe(topic, qos=2)
    for n in range(20):
        pub.publish(topic, str(n), qos=1 + n % 2)
    found = [sub.message(ack=False) for _ in range(20)]
    assert len({m.id for m in found} - {0}) == 20
    assert [(m.text, m.qos, m.dup) for m in found] == [(str(n), 1 + n % 2, False) for n in range(20)]


@ALL
@statements("MQTT-2.2.1-5", "MQTT-3.3.4-1", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11", "MQTT311-2.3.1-6", "MQTT311-3.3.4-1", "MQTT311-4.3.2-2", "MQTT311-4.3.3-2")
@pytest.mark.parametrize("id", [1, 0x1234, 65_535])
def test_the_answer_follows_from_the_qos_and_has_the_identifier_of_the_message(open_box, topic, version, id):
    wire = joined(open_box, version)
    wire.send_publish(topic, "no answer")
    wire.nothing()
    id_bytes = id.to_bytes(2, "big")
    for type, first, answers in [(0x32, "PUBACK", []), (0x34, "PUBREC", ["PUBCOMP"])]:
        wire.write(packet(type, string(topic) + id_bytes + (b"\x00" if version == V5 else b"") + b"x"))
        assert wire.expect(first, id).id == id
        for answer in answers:
            wire.ack("PUBREL", id)
            assert wire.expect(answer, id).id == id
    wire.nothing()


@BOTH
@statements("MQTT-3.3.1-3", "MQTT311-3.3.1-3")
@pytest.mark.parametrize("qos", [1, 2])
def test_the_dup_flag_of_a_publisher_is_not_passed_on(open_box, topic, sub, version, qos):
    sub.subscribe(topic, qos=qos)
    wire = joined(open_box, version)
    wire.publish(topic, "x", qos=qos, dup=True)
    assert sub.message(ack=False).dup is False


# MARK: topics

@ALL
@QOS
@statements("MQTT-3.3.2-1", "MQTT-3.3.2-3", "MQTT311-3.3.2-1", "MQTT311-3.3.2-3")
def test_the_topic_of_a_message_is_the_published_one_and_matches_the_filter(open_box, topic, pub, version, qos):
    sub = joined(open_box, version)
    sub.subscribe(f"{topic}/+/c", qos=qos)
    for leaf in ("a/c", "b/d", "ü b/c", "a/b/c", "/c"):
        pub.publish(f"{topic}/{leaf}", leaf, qos=1)
    assert [m.topic for m in sub.messages(3)] == [f"{topic}/{leaf}" for leaf in ("a/c", "ü b/c", "/c")]
    sub.nothing()


@BOTH
@statements("MQTT-3.3.2-2", "MQTT-4.7.0-1", "MQTT311-3.3.2-2", "MQTT311-4.7.1-1")
@pytest.mark.parametrize("name", ["a/#", "#", "+", "a/+/b", "a+b"])
def test_wildcards_in_a_topic_name_close_the_connection(open_box, version, name):
    wire = joined(open_box, version)
    wire.send_publish(name, "x", qos=1)
    wire.closed_with(0x81)


@BOTH
@statements("MQTT-4.7.3-1", "MQTT-4.7.3-2", "MQTT311-4.7.3-1", "MQTT311-4.7.3-2")
@pytest.mark.parametrize("place", ["name", "filter"])
@pytest.mark.parametrize("text", [b"", b"a\x00b"], ids=["empty", "U+0000"])
def test_topics_have_at_least_one_character_and_no_null(open_box, version, place, text):
    wire = joined(open_box, version)
    wire.send_publish(text, "x", qos=1) if place == "name" else wire.send_subscribe(text)
    # No topic and no alias is a protocol error of its own.
    wire.closed_with(0x82 if (place, text) == ("name", b"") else 0x81)


@BOTH
@statements("MQTT-4.7.3-3", "MQTT311-4.7.3-3")
def test_a_topic_of_65535_bytes_is_one(open_box, version):
    name = "l" * (65_535 - 6) + secrets.token_hex(3)
    wire = joined(open_box, version)
    wire.subscribe(name, qos=1)
    wire.send_publish(name, "long", qos=0)
    assert wire.message().topic == name


@BOTH
@statements("MQTT-4.7.3-4", "MQTT-1.5.4-3", "MQTT311-4.7.3-4", "MQTT311-1.5.3-3")
def test_nothing_in_a_topic_is_normalised_or_stripped(open_box, topic, pub, version):
    sub = joined(open_box, version)
    names = ["é", "e\u0301", "É", "\ufeffx", "x", "x\ufeff", " x", "x/", "/x", "x//", "\u00a0", "\uffff"]
    for name in names:
        sub.subscribe(f"{topic}/{name}", qos=1)
        pub.publish(f"{topic}/{name}", name)
        assert [(m.topic, m.text) for m in sub.messages(1)] == [(f"{topic}/{name}", name)]
        sub.unsubscribe(f"{topic}/{name}")
    sub.subscribe(*[f"{topic}/{name}" for name in names], qos=1)
    for name in names:
        pub.publish(f"{topic}/{name}", name)
    assert [m.topic for m in sub.messages(len(names))] == [f"{topic}/{name}" for name in names]


@ALL
@statements("MQTT-4.7.2-1", "MQTT311-4.7.2-1")
def test_wildcards_at_the_first_level_do_not_hear_topics_that_begin_with_a_dollar(box, version):
    own, ann = "$" + secrets.token_hex(6), box.person("ann")
    who = {"username": ann.name, "password": ann.token}
    with joined(box, version, **who) as wide, joined(box, version, **who) as sub, joined(box, **who) as pub:
        assert wide.subscribe("#", "+/x", "+", qos=1).reasons == [1, 1, 1]
        sub.subscribe(f"{own}/#", f"{own}/x", qos=1)
        pub.publish(f"{own}/x", "hidden")
        assert sub.message().text == "hidden"
        # Other tests' messages are heard by `#` as well.
        assert "hidden" not in [m.text for m in wide.pending() if m.type == "PUBLISH"]


# MARK: retained messages

@ALL
@QOS
@statements("MQTT-3.3.1-5", "MQTT-3.3.1-9", "MQTT311-3.3.1-5", "MQTT311-3.3.1-6", "MQTT311-3.3.1-7", "MQTT311-3.3.1-8")
def test_the_last_retained_message_and_its_qos_wait_for_new_subscribers(open_box, topic, version, qos):
    pub = joined(open_box, version)
    pub.publish(topic, "replaced", qos=1, retain=True)
    pub.give(topic, "kept", qos=qos, retain=True)
    pub.nothing()
    sub = joined(open_box, version)
    sub.subscribe(topic, qos=2)
    message, = sub.retained()
    assert (message.text, message.retain, message.qos, message.dup) == ("kept", True, qos, False)


@BOTH
@statements("MQTT-3.3.1-6", "MQTT-3.3.1-7", "MQTT311-3.3.1-10", "MQTT311-3.3.1-11")
def test_an_empty_retained_message_is_delivered_and_removes_what_was_kept(open_box, topic, version):
    pub, live, late = (joined(open_box, version) for _ in range(3))
    pub.publish(topic, "kept", retain=True)
    live.subscribe(topic, qos=1)
    assert live.message().text == "kept"
    pub.publish(topic, "", retain=True)
    message = live.message()
    assert (message.payload, message.retain) == (b"", False)
    late.subscribe(topic, qos=1)
    assert late.retained() == []


@BOTH
@statements("MQTT-3.3.1-8", "MQTT311-3.3.1-12")
def test_a_message_without_the_flag_neither_replaces_nor_removes_the_retained_one(open_box, topic, version):
    pub, late = joined(open_box, version), joined(open_box, version)
    pub.publish(topic, "not kept")
    late.subscribe(topic, qos=1)
    assert late.retained() == []
    late.unsubscribe(topic)
    pub.publish(topic, "kept", retain=True)
    pub.publish(topic, "passes by")
    pub.publish(topic, "")
    late.subscribe(topic, qos=1)
    assert [m.text for m in late.retained()] == ["kept"]


@EARLIER
@statements("MQTT311-3.3.1-9")
def test_a_live_message_has_no_retain_flag(open_box, topic, pub, version):
    sub = joined(open_box, version)
    sub.subscribe(topic, qos=1)
    pub.publish(topic, "x", retain=True)
    assert sub.message().retain is False


RETAIN_AS_PUBLISHED, NO_LOCAL = 0x08, 0x04


@QOS
@statements("MQTT-3.3.1-12", "MQTT-3.3.1-13")
@pytest.mark.parametrize("keeps", [False, True])
def test_retain_as_published_decides_about_the_flag_of_live_messages(topic, pub, sub, qos, keeps):
    sub.subscribe((topic, qos | (RETAIN_AS_PUBLISHED if keeps else 0)))
    for retain in (True, False):
        pub.publish(topic, "x", retain=retain)
        assert sub.messages(1)[0].retain is (retain and keeps)


@statements("MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.8.4-4")
@pytest.mark.parametrize("handling, first, again", [(0, ["a", "b"], ["a", "b"]), (1, ["a", "b"], []), (2, [], [])])
def test_retain_handling_decides_when_retained_messages_are_sent(topic, pub, sub, handling, first, again):
    for leaf in ("a", "b"):
        pub.publish(f"{topic}/{leaf}", leaf, retain=True)
    for wanted in (first, again, again):
        sub.subscribe((f"{topic}/+", 1 | handling << 4))
        assert sorted(m.text for m in sub.retained()) == wanted
    sub.unsubscribe(f"{topic}/+")
    sub.subscribe((f"{topic}/+", 1 | handling << 4))
    assert sorted(m.text for m in sub.retained()) == first


# MARK: properties

EVERYTHING = {"payload_format": 1, "content_type": "tëxt/plain", "response_topic": "re/ply", "correlation_data": bytes(range(256)),
              "user": [("b", "1"), ("a", "2"), ("b", "1"), ("", ""), ("ключ", "值")]}


@QOS
@statements("MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")
def test_the_properties_of_a_message_reach_every_subscriber_unaltered_and_in_order(open_box, topic, pub, qos):
    subscribers = [joined(open_box) for _ in range(3)]
    for index, sub in enumerate(subscribers):
        sub.subscribe(topic, qos=min(index, qos))
    earlier = joined(open_box, 4)
    earlier.subscribe(topic, qos=qos)
    pub.give(topic, "text", qos=qos, **EVERYTHING)
    for sub in subscribers:
        message = sub.messages(1)[0]
        assert message.text == "text"
        assert message.all("user") == EVERYTHING["user"]
        assert {name: message.get(name) for name in EVERYTHING if name != "user"} == {name: value for name, value in EVERYTHING.items() if name != "user"}
        assert len(message.properties) == 4 + len(EVERYTHING["user"]), "and nothing else"
    assert earlier.messages(1)[0].text == "text"


@statements("MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-16", "MQTT-3.3.2-20")
@pytest.mark.parametrize("way", ["retained", "queued"])
def test_properties_survive_the_disk(new_box, topic, way):
    box = new_box("--mqtt-anonymous", "#")
    with Wire(box) as sub:
        sub.connect("sleeper", expiry=600)
        if way == "queued":
            sub.subscribe(topic, qos=1)
        sub.disconnect()
    with joined(box) as pub:
        pub.publish(topic, "text", qos=1, retain=way == "retained", **EVERYTHING)
    box.kill()
    box.start()
    with Wire(box) as sub:
        sub.connect("sleeper", clean=False, expiry=600)
        if way == "retained":
            sub.subscribe(topic, qos=1)
        message = sub.message()
        assert message.all("user") == EVERYTHING["user"]
        assert {name: message.get(name) for name in EVERYTHING if name != "user"} == {name: value for name, value in EVERYTHING.items() if name != "user"}


BAD_PROPERTIES = {
    "a response topic with a wildcard": (b"\x08\x00\x03a/+", 0x81), "a response topic that is not UTF-8": (b"\x08\x00\x02\xc3\x28", 0x81),
    "a content type that is not UTF-8": (b"\x03\x00\x01\xff", 0x81), "a content type with U+0000": (b"\x03\x00\x01\x00", 0x81),
    "a user property whose name is not UTF-8": (b"\x26\x00\x01\xff\x00\x01v", 0x81), "a user property whose value is not UTF-8": (b"\x26\x00\x01k\x00\x01\xff", 0x81),
    "a subscription identifier": (b"\x0b\x01", 0x82), "a payload format of 2": (b"\x01\x02", 0x82),
}


@statements("MQTT-3.3.2-13", "MQTT-3.3.2-14", "MQTT-3.3.2-19", "MQTT-1.5.7-1", "MQTT-3.3.4-6")
@pytest.mark.parametrize("name", BAD_PROPERTIES)
def test_a_property_that_a_message_must_not_have_closes_the_connection(open_box, topic, sub, name):
    encoded, reason = BAD_PROPERTIES[name]
    sub.subscribe("#", qos=1)
    wire = joined(open_box)
    wire.write(packet(0x32, string(topic) + b"\x00\x01" + bytes([len(encoded)]) + encoded + b"x"))
    wire.closed_with(reason)
    assert [m for m in sub.pending() if m.topic == topic] == []


@pytest.mark.parametrize("qos", [1, 2])
def test_a_payload_that_is_not_the_text_it_claims_to_be_is_refused_with_0x99_and_not_delivered(topic, pub, sub, qos):
    sub.subscribe(topic, qos=1)
    assert pub.publish(topic, b"\xff\xfe", qos=qos, payload_format=1).reason == 0x99
    assert pub.publish(topic, b"\xff\xfe", qos=qos, payload_format=0).reason == 0
    assert pub.publish(topic, "größer", qos=qos, payload_format=1).reason == 0
    assert [m.payload for m in sub.messages(2)] == [b"\xff\xfe", "größer".encode()]


@statements("MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-3")
def test_request_and_response_find_each_other(open_box, topic):
    asker, server = joined(open_box), joined(open_box)
    asker.subscribe(f"{topic}/answers/{asker.client_id}", qos=1)
    server.subscribe(f"{topic}/questions", qos=1)
    for n in range(3):
        asker.publish(f"{topic}/questions", str(n), response_topic=f"{topic}/answers/{asker.client_id}", correlation_data=bytes([n]))
    for request in reversed(server.messages(3)):
        server.publish(request.get("response_topic"), "answer " + request.text, correlation_data=request.get("correlation_data"))
    assert [(m.text, m.get("correlation_data")) for m in asker.messages(3)] == [(f"answer {n}", bytes([n])) for n in (2, 1, 0)]


# MARK: expiry

@statements("MQTT-3.3.2-6")
@QOS
@pytest.mark.parametrize("expiry", [0, 600])
def test_a_message_that_expires_at_once_reaches_who_is_there_and_nobody_else(open_box, topic, pub, qos, expiry):
    here, away = Wire(open_box), Wire(open_box)
    for wire in (here, away):
        wire.connect("e" + secrets.token_hex(6), expiry=600 if wire is away else expiry)
        wire.subscribe(topic, qos=qos)
    away.drop()
    pub.give(topic, "now or never", qos=qos, retain=True, message_expiry=0)
    message = here.message()
    assert (message.text, message.get("message_expiry")) == ("now or never", 0)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 1.1, "a second", 5)
    with Wire(open_box) as back:
        assert back.connect(away.client_id, clean=False, expiry=600).present
        back.subscribe(topic, qos=qos)
        assert back.retained() == []


@statements("MQTT-3.3.2-5", "MQTT-3.3.2-6")
@pytest.mark.parametrize("qos", [1, 2])
def test_the_expiry_counts_down_while_a_message_waits_and_an_expired_one_is_deleted(open_box, topic, pub, qos):
    id = "e" + secrets.token_hex(6)
    with Wire(open_box) as sub:
        sub.connect(id, expiry=600)
        sub.subscribe(topic, qos=qos)
        sub.drop()
    pub.publish(topic, "short", qos=qos, message_expiry=1)
    pub.publish(topic, "long", qos=qos, message_expiry=100)
    pub.publish(topic, "for ever", qos=qos)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.1, "two seconds", 5)
    with Wire(open_box) as sub:
        sub.connect(id, clean=False, expiry=600)
        found = sub.messages(2)
        assert [m.text for m in found] == ["long", "for ever"]
        assert 90 <= found[0].get("message_expiry") <= 98 and found[1].get("message_expiry") is None
        sub.nothing()


@statements("MQTT-3.3.2-5", "MQTT-3.3.2-6")
def test_a_retained_message_expires_too(open_box, topic, pub):
    pub.publish(topic + "/short", "short", retain=True, message_expiry=1)
    pub.publish(topic + "/long", "long", retain=True, message_expiry=100)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.1, "two seconds", 5)
    sub = joined(open_box)
    sub.subscribe(topic + "/+", qos=1)
    message, = sub.retained()
    assert message.text == "long" and 90 <= message.get("message_expiry") <= 98


@statements("MQTT-3.3.2-6")
@QOS
def test_a_message_that_did_not_wait_has_its_whole_expiry(topic, pub, sub, qos):
    sub.subscribe(topic, qos=qos)
    pub.give(topic, "x", qos=qos, message_expiry=50)
    assert sub.messages(1)[0].get("message_expiry") in (49, 50)


@statements("MQTT-4.3.3-7")
def test_a_qos_2_message_that_was_sent_once_does_not_expire(open_box, topic, pub):
    id = "e" + secrets.token_hex(6)
    sub = Wire(open_box)
    sub.connect(id, expiry=600)
    sub.subscribe(topic, qos=2)
    pub.publish(topic, "sent", qos=2, message_expiry=1)
    first = sub.message(ack=False)
    sub.drop()
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.1, "two seconds", 5)
    with Wire(open_box) as sub:
        sub.connect(id, clean=False, expiry=600)
        again = sub.message()
        assert (again.text, again.id, again.dup, again.qos) == ("sent", first.id, True, 2)


@statements("MQTT-4.3.3-13")
def test_the_qos_2_exchange_of_a_publisher_goes_on_when_its_message_has_expired(topic, pub, sub):
    sub.subscribe(topic, qos=2)
    id = pub.send_publish(topic, "x", qos=2, message_expiry=1)
    pub.expect("PUBREC", id)
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2.1, "two seconds", 5)
    pub.ack("PUBREL", id)
    assert pub.expect("PUBCOMP", id).reason == 0
    sub.nothing()


# MARK: topic aliases

@statements("MQTT-3.3.2-12", "MQTT-3.3.2-7", "MQTT-3.2.2-17")
def test_every_alias_up_to_the_announced_maximum_is_accepted_and_forgotten_with_its_connection(open_box, topic, sub):
    sub.subscribe(topic + "/#", qos=1)
    id = "a" + secrets.token_hex(6)
    wire = Wire(open_box)
    maximum = wire.connect(id, expiry=600).get("topic_alias_maximum")
    assert maximum > 0
    for alias in range(1, maximum + 1):
        wire.publish(f"{topic}/{alias}", "defined", topic_alias=alias)
    for alias in range(1, maximum + 1):
        wire.publish("", "used", topic_alias=alias)
    wire.publish(f"{topic}/new", "defined again", topic_alias=1)
    wire.publish("", "used again", topic_alias=1)
    found = [(m.topic, m.text) for m in sub.messages(2 * maximum + 2)]
    assert found == [(f"{topic}/{a}", what) for what in ("defined", "used") for a in range(1, maximum + 1)] + [(f"{topic}/new", "defined again"), (f"{topic}/new", "used again")]
    wire.drop()
    wire = Wire(open_box)
    assert wire.connect(id, clean=False, expiry=600).present
    wire.send_publish("", "of the connection before", qos=1, topic_alias=2)
    wire.closed_with(0x82)


@statements("MQTT-3.3.2-8", "MQTT-3.3.2-9", "MQTT-3.2.2-17")
@pytest.mark.parametrize("alias", ["0", "maximum + 1", "65535"])
def test_an_alias_of_0_or_above_the_maximum_closes_with_0x94(open_box, topic, alias):
    wire = Wire(open_box)
    maximum = wire.connect().get("topic_alias_maximum")
    wire.send_publish(topic, "x", qos=1, topic_alias={"0": 0, "maximum + 1": maximum + 1, "65535": 65_535}[alias])
    wire.closed_with(0x94)


@statements("MQTT-3.2.2-18", "MQTT-3.2.2-17")
def test_a_listener_without_aliases_announces_none_and_accepts_none(new_box, topic):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.topic_alias_max = 0")
    wire = Wire(box)
    assert wire.connect().get("topic_alias_maximum") in (None, 0)
    wire.send_publish(topic, "x", qos=1, topic_alias=1)
    wire.closed_with(0x94)


@statements("MQTT-3.1.2-26", "MQTT-3.1.2-27", "MQTT-3.3.2-11", "MQTT-3.3.2-7")
@pytest.mark.parametrize("maximum", [None, 0, 2])
def test_the_box_sends_no_alias_above_the_clients_maximum(open_box, topic, pub, maximum):
    id = "a" + secrets.token_hex(6)
    for round in range(2):
        sub = Wire(open_box)
        sub.connect(id, clean=False, expiry=600, topic_alias_maximum=maximum)
        if round == 0:
            sub.subscribe(topic + "/+", qos=1)
        for leaf in "abcabc":
            pub.publish(f"{topic}/{leaf}", leaf)
        found = sub.messages(6)
        # What stands for what, learned from this connection alone.
        known: dict[int, str] = {}
        for message, leaf in zip(found, "abcabc"):
            alias = message.get("topic_alias")
            if alias is not None:
                assert 0 < alias <= (maximum or 0)
                if message.topic:
                    known[alias] = message.topic
            assert (message.topic or known[alias], message.text) == (f"{topic}/{leaf}", leaf)
        if maximum == 2:
            assert [m.get("topic_alias") for m in found] == [1, 2, None, 1, 2, None], "first come, first served"
            assert [bool(m.topic) for m in found] == [True, True, True, False, False, True]
        else:
            assert all(m.get("topic_alias") is None for m in found)
        sub.drop()


# MARK: sizes

@statements("MQTT-3.1.2-24", "MQTT-3.1.2-25")
@QOS
def test_a_packet_larger_than_the_client_takes_is_dropped_for_that_client_alone(open_box, topic, pub, qos):
    small, other = Wire(open_box), joined(open_box)
    small.connect(maximum_packet_size=100, receive_maximum=1)
    for sub in (small, other):
        sub.subscribe(topic, qos=qos)
    for payload in ("x" * 200, "fits"):
        pub.give(topic, payload, qos=qos)
    assert [m.text for m in small.messages(1)] == ["fits"], "and its place in the window is free"
    assert [len(m.payload) for m in other.messages(2)] == [200, 4]


@statements("MQTT-3.1.2-24")
def test_a_packet_of_exactly_the_maximum_is_sent(open_box, topic, pub):
    head = len(packet(0x32, string(topic) + b"\x00\x01\x00"))
    sub = Wire(open_box)
    sub.connect(maximum_packet_size=head + 50)
    sub.subscribe(topic, qos=1)
    pub.publish(topic, "x" * 51)
    pub.publish(topic, "y" * 50)
    message = sub.message()
    assert message.payload == b"y" * 50 and len(message.raw) == head + 50
    sub.nothing()


@statements("MQTT-3.1.2-24")
def test_a_client_that_takes_nothing_as_large_as_its_connack_is_refused_in_what_it_takes(open_box):
    for limit in range(1, 16):
        wire = Wire(open_box)
        wire.write(wire.connect_bytes("m" + secrets.token_hex(6), maximum_packet_size=limit))
        last = wire.last_word()
        assert last is None if limit < 5 else (last.type, last.reason) == ("CONNACK", 0x95) and len(last.raw) <= limit, f"{limit}: {last}"


@statements("MQTT-3.1.2-25", "MQTT-3.1.2-24")
def test_a_queued_message_that_the_next_connection_does_not_take_is_finished_for_it(open_box, topic, pub):
    id = "m" + secrets.token_hex(6)
    with Wire(open_box) as sub:
        sub.connect(id, expiry=600)
        sub.subscribe(topic, qos=2)
        sub.drop()
    for n in range(3):
        pub.publish(topic, "x" * 300, qos=1 + n % 2)
    pub.publish(topic, "fits", qos=2)
    with Wire(open_box) as sub:
        sub.connect(id, clean=False, expiry=600, maximum_packet_size=100)
        assert [m.text for m in sub.messages(1)] == ["fits"]
        sub.drop()
    with Wire(open_box) as sub:
        sub.connect(id, clean=False, expiry=600)
        sub.nothing()


@statements("MQTT-3.2.2-15")
@BOTH
def test_a_packet_over_the_boxs_maximum_closes_before_its_body(new_box, version):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.packet_bytes_max = 2000")
    wire = Wire(box, version)
    connack = wire.connect()
    assert connack.get("maximum_packet_size") == (2_000 if version == V5 else None)
    wire.publish("t", "x" * 1_900)
    wire.write(b"\x32\xd1\x0f")
    wire.closed_with(0x95)


@statements("MQTT-3.4.2-2", "MQTT-3.5.2-2", "MQTT-3.4.2-3", "MQTT-3.5.2-3", "MQTT-3.9.2-1", "MQTT-3.14.2-3")
def test_an_answer_whose_reason_does_not_fit_comes_without_it(open_box):
    for limit, has in [(None, True), (16, False)]:
        wire = Wire(open_box)
        wire.write(wire.connect_bytes("m" + secrets.token_hex(6), maximum_packet_size=limit))
        # CONNACK of this size does not fit either, if it announced everything: only its refusal could be told.
        first = wire.receive()
        assert first.type == "CONNACK" and (limit is None or len(first.raw) <= limit)
        for qos in (1, 2):
            answer = wire.publish("$SYS/broker/x", qos=qos)
            assert answer.reason == 0x87 and (answer.get("reason_string") is not None) is has and (answer.all("user") != []) is has
        suback = wire.subscribe("$SYS/#")
        assert suback.reasons == [0x87] and (suback.get("reason_string") is not None) is has
        wire.send_publish("", "x", topic_alias=7)
        last = wire.last_word()
        assert (last.type, last.reason) == ("DISCONNECT", 0x82) and (last.get("reason_string") is not None) is has


# MARK: the right to publish

@EARLIER
@statements("MQTT311-3.3.5-2")
@pytest.mark.parametrize("qos", [1, 2])
def test_a_forbidden_message_is_acknowledged_to_an_earlier_client_and_goes_nowhere(new_box, version, qos):
    box = new_box("--mqtt-anonymous", "open/#")
    ann = box.person("ann")
    with ann.mqtt() as sub, joined(box, version) as stranger:
        sub.subscribe("#", qos=1)
        stranger.publish("closed/x", "no", qos=qos)
        stranger.publish("open/x", "yes", qos=qos)
        assert sub.message().topic == "open/x"


@statements("MQTT-3.4.2-1", "MQTT-3.5.2-1")
@pytest.mark.parametrize("qos", [1, 2])
def test_a_forbidden_message_is_refused_with_0x87_and_a_reason(new_box, qos):
    box = new_box("--mqtt-anonymous", "open/#")
    with joined(box) as stranger:
        answer = stranger.publish("closed/x", "no", qos=qos)
        assert answer.reason == 0x87 and answer.get("reason_string") and ("code", "forbidden") in answer.all("user")
