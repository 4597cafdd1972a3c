"""Statements about SUBSCRIBE, UNSUBSCRIBE and what a subscription means, PINGREQ and DISCONNECT, on the wire of the real program."""

import secrets

import pytest

from harness.raw_mqtt import packet, string
from harness.statements import ALL, BOTH, statements
from harness.wire import V5, Wire, joined

QOS = pytest.mark.parametrize("qos", [0, 1, 2])
NO_LOCAL = 0x04


@pytest.fixture
def topic():
    return "u/" + secrets.token_hex(6)


# MARK: SUBSCRIBE and SUBACK

@ALL
@statements("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-2.2.1-6", "MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2", "MQTT311-3.8.4-1", "MQTT311-3.8.4-2",
            "MQTT311-2.3.1-7", "MQTT311-3.8.4-4", "MQTT311-3.8.4-5", "MQTT311-3.9.3-1", "MQTT311-3.9.3-2")
@pytest.mark.parametrize("id", [1, 0x1234, 65_535])
def test_one_suback_has_the_identifier_and_a_reason_for_every_filter_in_order(open_box, topic, version, id):
    wire = joined(open_box, version)
    refused = 0x87 if version == V5 else 0x80
    suback = wire.subscribe((topic + "/a", 2), ("$SYS/#", 1), (topic + "/b", 0), (topic + "/c", 1), ("v1/me/in", 1), id=id)
    assert (suback.id, suback.reasons) == (id, [2, refused, 0, 1, refused])
    wire.nothing()


@BOTH
@statements("MQTT-3.8.1-1", "MQTT-2.1.3-1", "MQTT311-3.8.1-1", "MQTT311-2.2.2-1", "MQTT311-2.2.2-2")
@pytest.mark.parametrize("first", [0x80, 0x81, 0x83, 0x86, 0x8A])
def test_subscribe_with_other_flags_closes(open_box, topic, version, first):
    wire = joined(open_box, version)
    wire.write(packet(first, b"\x00\x01" + (b"\x00" if version == V5 else b"") + string(topic) + b"\x00"))
    wire.closed_with(0x81)


@BOTH
@statements("MQTT-3.8.3-2", "MQTT311-3.8.3-3", "MQTT-3.10.3-2", "MQTT311-3.10.3-2")
@pytest.mark.parametrize("first", [0x82, 0xA2], ids=["SUBSCRIBE", "UNSUBSCRIBE"])
def test_a_subscribe_or_unsubscribe_about_nothing_closes_with_0x82(open_box, version, first):
    wire = joined(open_box, version)
    wire.write(packet(first, b"\x00\x01" + (b"\x00" if version == V5 else b"")))
    wire.closed_with(0x82)


@BOTH
@statements("MQTT-3.8.3-1", "MQTT-3.10.3-1", "MQTT311-3.8.3-1", "MQTT311-3.10.3-1")
@pytest.mark.parametrize("kind", ["SUBSCRIBE", "UNSUBSCRIBE"])
@pytest.mark.parametrize("filter", [b"a\xff", b"a\xed\xa0\x80", b"\xc1\x81", b"a\x00"], ids=["not UTF-8", "surrogate", "overlong", "U+0000"])
def test_a_filter_that_is_no_string_closes(open_box, version, kind, filter):
    wire = joined(open_box, version)
    wire.send_subscribe(filter) if kind == "SUBSCRIBE" else wire.send_unsubscribe(filter)
    wire.closed_with(0x81)


@statements("MQTT-3.8.3-5")
@pytest.mark.parametrize("options", [0x40, 0x80, 0xC0])
def test_reserved_bits_of_subscription_options_are_malformed(open_box, topic, options):
    wire = joined(open_box)
    wire.send_subscribe((topic, options))
    wire.closed_with(0x81)


@pytest.mark.parametrize("options", [0x03, 0x30], ids=["QoS 3", "retain handling 3"])
def test_subscription_options_without_a_meaning_are_a_protocol_error(open_box, topic, options):
    wire = joined(open_box)
    wire.send_subscribe((topic, options))
    wire.closed_with(0x82)


@statements("MQTT311-3.8.3-4")
@pytest.mark.parametrize("version, qos", [(4, 3), (4, 0x80), (4, 0xFF), (4, 0x04), (4, 0x08), (4, 0x10), (3, 3)])
def test_a_requested_qos_above_2_and_reserved_bits_close_an_earlier_client(open_box, topic, version, qos):
    wire = joined(open_box, version)
    wire.send_subscribe((topic, qos))
    wire.closed_with(None)


@BOTH
@statements("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT311-4.7.1-2", "MQTT311-4.7.1-3")
@pytest.mark.parametrize("filter", ["a/#/b", "a#", "#/a", "##", "a+", "+a/b", "a/b+/c", "++"])
def test_a_misplaced_wildcard_closes(open_box, version, filter):
    wire = joined(open_box, version)
    wire.send_subscribe(filter)
    wire.closed_with(0x81)


@ALL
@statements("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-3.3.2-3", "MQTT311-4.7.1-2", "MQTT311-4.7.1-3")
@pytest.mark.parametrize("filter, heard", [("#", ["", "a", "a/b", "a/b/c", "/"]), ("+", ["a", ""]), ("+/+", ["a/b", "/"]), ("a/#", ["a", "a/b", "a/b/c"]), ("a/+", ["a/b"]), ("/+", ["/"]),
                                           ("+/b/#", ["a/b", "a/b/c"])])
def test_wildcards_mean_what_they_mean_at_every_level(open_box, topic, pub, version, filter, heard):
    sub = joined(open_box, version)
    assert sub.subscribe(f"{topic}/{filter}", qos=1).reasons == [1]
    for leaf in ("a", "a/b", "a/b/c", "", "/"):
        pub.publish(f"{topic}/{leaf}", leaf)
    pub.publish(topic, "(root)")
    # `#` hears the level above it too.
    wanted = [leaf for leaf in ("a", "a/b", "a/b/c", "", "/") if leaf in heard] + (["(root)"] if filter == "#" else [])
    assert [m.text for m in sub.messages(len(wanted))] == wanted
    sub.nothing()


@ALL
@statements("MQTT-3.8.4-3", "MQTT-3.8.4-4", "MQTT311-3.8.4-3")
def test_the_same_filter_again_replaces_the_subscription_and_loses_nothing(open_box, topic, pub, version):
    sub = joined(open_box, version)
    pub.publish(topic, "kept", qos=2, retain=True)
    for options, granted in ((2, 2), (0, 0), (1, 1)):
        assert sub.subscribe((topic, options)).reasons == [granted]
        retained = sub.messages(1)[0]
        assert (retained.text, retained.retain, retained.qos) == ("kept", True, granted), "sent again"
        pub.publish(topic, "live", qos=2)
        live = sub.messages(1)[0]
        assert (live.text, live.qos) == ("live", granted), "one subscription, with the new QoS"
    sub.nothing()
    sub.unsubscribe(topic)
    assert pub.publish(topic, "x").reason == 0x10


@statements("MQTT-3.8.4-3", "MQTT-3.8.4-4")
def test_a_stream_of_messages_has_no_gap_while_its_subscription_is_replaced(open_box, topic):
    sub, pub = joined(open_box), joined(open_box)
    sub.subscribe((topic, 1))
    for n in range(200):
        pub.publish(topic, str(n))
        if n % 20 == 0:
            sub.send_subscribe((topic, 1 | 0x20))
    texts, answers = [], 0
    while len(texts) < 200 or answers < 10:
        found = sub.receive()
        if found.type == "PUBLISH":
            texts.append(found.text)
            sub.ack("PUBACK", found.id)
        else:
            answers += 1
    assert texts == [str(n) for n in range(200)]


@ALL
@statements("MQTT-3.8.4-8", "MQTT-3.8.4-7", "MQTT311-3.8.4-6")
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_a_message_comes_with_the_lower_of_both_qos(open_box, topic, pub, version, granted):
    sub = joined(open_box, version)
    assert sub.subscribe(topic, qos=granted).reasons == [granted]
    for published in (1, 2, 0):
        pub.give(topic, str(published), qos=published)
        pub.nothing()
    assert sorted((m.text, m.qos) for m in sub.messages(3)) == [(str(p), min(p, granted)) for p in (0, 1, 2)]


# MARK: overlapping, identifiers, No Local

@ALL
@statements("MQTT-3.3.4-2", "MQTT311-3.3.5-1")
@QOS
def test_overlapping_subscriptions_give_the_highest_qos_of_all_that_match(open_box, topic, pub, version, qos):
    sub = joined(open_box, version)
    sub.subscribe((f"{topic}/#", qos), (f"{topic}/+", 0), (f"{topic}/x", 1))
    pub.publish(f"{topic}/x", "one", qos=2)
    message = sub.messages(1)[0]
    assert (message.text, message.qos) == ("one", max(1, qos))
    sub.nothing()


@statements("MQTT-3.3.4-3", "MQTT-3.3.4-4")
def test_one_message_carries_the_identifiers_of_all_matching_subscriptions(open_box, topic, pub):
    sub = joined(open_box)
    for filter, id in ((f"{topic}/#", 1), (f"{topic}/+", 268_435_455), (f"{topic}/x", None), (f"{topic}/y", 7)):
        sub.subscribe((filter, 1), subscription_id=id)
    for leaf, ids in (("x", [1, 268_435_455]), ("y", [1, 7, 268_435_455]), ("x/z", [1])):
        pub.publish(f"{topic}/{leaf}", leaf)
        message = sub.message()
        assert (message.text, sorted(message.all("subscription_id"))) == (leaf, ids)
    sub.nothing()
    sub.subscribe((f"{topic}/#", 1), subscription_id=None)
    pub.publish(f"{topic}/x/z", "without")
    assert sub.message().all("subscription_id") == [], "replaced by one without identifier"


@statements("MQTT-3.3.4-3")
def test_identifiers_stand_with_retained_and_queued_messages_too(new_box, topic):
    box = new_box("--mqtt-anonymous", "#")
    with joined(box) as pub, Wire(box) as sub:
        pub.publish(topic, "retained", retain=True)
        sub.connect("identified", expiry=600)
        sub.subscribe((topic, 1), subscription_id=300)
        assert sub.message().all("subscription_id") == [300]
        sub.disconnect()
        pub.publish(topic, "queued")
    box.kill()
    box.start()
    with Wire(box) as sub:
        sub.connect("identified", clean=False, expiry=600)
        message = sub.message()
        assert (message.text, message.all("subscription_id")) == ("queued", [300])


@QOS
@statements("MQTT-3.8.3-3")
def test_no_local_keeps_the_messages_of_the_same_client_away(open_box, topic, pub, qos):
    one = joined(open_box)
    one.subscribe((topic, qos | NO_LOCAL))
    one.give(topic, "mine", qos=qos)
    pub.give(topic, "yours", qos=qos)
    assert [m.text for m in one.messages(1)] == ["yours"]
    one.nothing()


@statements("MQTT-3.8.3-3")
def test_no_local_means_the_client_and_not_the_connection(open_box, topic):
    id = "l" + secrets.token_hex(6)
    first = Wire(open_box)
    first.connect(id, expiry=600)
    first.subscribe((topic, 1 | NO_LOCAL))
    first.drop()
    with Wire(open_box) as second:
        second.connect(id, clean=False, expiry=600)
        assert second.publish(topic, "mine").reason in (0, 0x10)
        second.nothing()


@statements("MQTT-3.8.3-4")
def test_no_local_on_a_shared_subscription_is_a_protocol_error(open_box, topic):
    wire = joined(open_box)
    wire.send_subscribe((f"$share/g/{topic}", NO_LOCAL))
    wire.closed_with(0x82)


# MARK: UNSUBSCRIBE

@ALL
@statements("MQTT-3.10.4-4", "MQTT-3.10.4-5", "MQTT-3.10.4-6", "MQTT-3.11.3-1", "MQTT-3.11.3-2", "MQTT-2.2.1-6", "MQTT311-3.10.4-4", "MQTT311-3.10.4-5", "MQTT311-3.10.4-6", "MQTT311-2.3.1-7")
@pytest.mark.parametrize("id", [1, 65_535])
def test_one_unsuback_has_the_identifier_and_a_reason_for_every_filter_in_order(open_box, topic, version, id):
    wire = joined(open_box, version)
    wire.subscribe(topic + "/a", topic + "/b")
    unsuback = wire.unsubscribe(topic + "/x", topic + "/a", topic + "/+", topic + "/b", topic + "/a", id=id)
    assert unsuback.reasons == ([0x11, 0, 0x11, 0, 0x11] if version == V5 else [])
    assert unsuback.id == id
    assert wire.unsubscribe("nothing", id=id).id == id
    wire.nothing()


@BOTH
@statements("MQTT-3.10.1-1", "MQTT311-3.10.1-1", "MQTT-2.1.3-1", "MQTT311-2.2.2-2")
@pytest.mark.parametrize("first", [0xA0, 0xA1, 0xA6, 0xAA])
def test_unsubscribe_with_other_flags_closes(open_box, topic, version, first):
    wire = joined(open_box, version)
    wire.write(packet(first, b"\x00\x01" + (b"\x00" if version == V5 else b"") + string(topic)))
    wire.closed_with(0x81)


@ALL
@statements("MQTT-3.10.4-1", "MQTT311-3.10.4-1", "MQTT-4.7.3-4")
def test_only_the_very_same_filter_is_unsubscribed(open_box, topic, pub, version):
    sub = joined(open_box, version)
    sub.subscribe(f"{topic}/+", f"{topic}/é", qos=1)
    sub.unsubscribe(f"{topic}/x", f"{topic}/#", f"{topic}/e\u0301", f"{topic.upper()}/+", f"{topic}/+/")
    pub.publish(f"{topic}/x", "still there")
    assert sub.message().text == "still there"
    sub.unsubscribe(f"{topic}/+")
    assert pub.publish(f"{topic}/x", "gone").reason == 0x10
    pub.publish(f"{topic}/é", "the other one")
    assert sub.message().text == "the other one"


@ALL
@statements("MQTT-3.10.4-2", "MQTT-3.10.4-3", "MQTT311-3.10.4-2", "MQTT311-3.10.4-3")
def test_unsubscribing_stops_new_messages_and_finishes_what_was_begun(open_box, topic, pub, version):
    sub = joined(open_box, version)
    sub.subscribe(topic, qos=2)
    pub.publish(topic, "begun", qos=2)
    pub.publish(topic, "begun too", qos=1)
    two, one = sub.message(ack=False), sub.message(ack=False)
    sub.unsubscribe(topic)
    assert pub.publish(topic, "too late", qos=1).reason == 0x10
    sub.ack("PUBREC", two.id)
    sub.expect("PUBREL", two.id)
    sub.ack("PUBCOMP", two.id)
    sub.ack("PUBACK", one.id)
    sub.nothing()


@statements("MQTT-3.10.4-3", "MQTT311-3.10.4-3")
@BOTH
def test_what_was_begun_before_an_unsubscription_is_finished_on_the_next_connection(open_box, topic, pub, version):
    id, kept = "f" + secrets.token_hex(6), {"clean": False, **({"expiry": 600} if version == V5 else {})}
    sub = Wire(open_box, version)
    sub.connect(id, **kept)
    sub.subscribe(topic, qos=2)
    pub.publish(topic, "begun", qos=2)
    begun = sub.message(ack=False)
    sub.unsubscribe(topic)
    sub.drop()
    with Wire(open_box, version) as sub:
        sub.connect(id, **kept)
        again = sub.message()
        assert (again.text, again.id, again.dup) == ("begun", begun.id, True)
        sub.nothing()


# MARK: PINGREQ and DISCONNECT

@ALL
@statements("MQTT-3.12.4-1", "MQTT311-3.12.4-1")
def test_every_ping_is_answered(open_box, version):
    wire = joined(open_box, version)
    wire.write(packet(0xC0) * 3)
    for _ in range(3):
        assert wire.receive().raw == b"\xd0\x00"


@BOTH
@statements("MQTT-3.14.1-1", "MQTT-2.1.3-1", "MQTT311-3.14.1-1", "MQTT311-2.2.2-2")
@pytest.mark.parametrize("first", [0xE1, 0xE2, 0xEF])
def test_reserved_bits_of_disconnect_close_with_0x81(open_box, version, first):
    wire = joined(open_box, version)
    wire.write(packet(first))
    wire.closed_with(0x81)


@ALL
@statements("MQTT-3.14.4-1", "MQTT-3.14.4-2")
def test_the_disconnect_of_the_box_is_its_last_packet_and_it_closes(open_box, version, topic):
    wire, pub = joined(open_box, version), joined(open_box)
    wire.subscribe(topic)
    wire.write(b"\xc0\x01\x00" + packet(0xC0) * 5)
    for _ in range(5):
        pub.send_publish(topic, "behind the end")
    wire.closed_with(0x81)


@statements("MQTT-3.14.2-1", "MQTT-4.13.1-1", "MQTT-4.13.2-1")
@pytest.mark.parametrize("reason", [0x01, 0x8E, 0x87, 0xFF])
def test_a_disconnect_with_a_reason_that_clients_do_not_have_is_a_protocol_error(open_box, reason):
    wire = joined(open_box)
    wire.write(packet(0xE0, bytes([reason, 0])))
    wire.closed_with(0x82)


@ALL
def test_after_its_disconnect_nothing_of_a_client_is_heard(open_box, topic, pub, version):
    pub.subscribe(topic, qos=1)
    wire = joined(open_box, version)
    wire.write(packet(0xE0) + packet(0x30, string(topic) + (b"\x00" if version == V5 else b"") + b"behind the end"))
    assert wire.last_word() is None
    pub.publish(topic + "/x", "x")
    pub.nothing()
