"""Statements about CONNECT and CONNACK, sessions, wills and keep-alive, on the wire of the real program."""

import secrets
import string as letters
import time

import pytest

from harness import eventually
from harness.raw_mqtt import packet
from harness.statements import ALL, BOTH, statements
from harness.wire import V5, Will, Wire, properties


@pytest.fixture
def topic():
    return "s/" + secrets.token_hex(6)


def kept(version: int) -> dict:
    """What makes a session that outlives its connection."""
    return {"clean": False, **({"expiry": 600} if version == V5 else {})}


def new_id() -> str:
    return "s" + secrets.token_hex(8)


# MARK: the first packets

@ALL
@statements("MQTT-3.1.0-1", "MQTT311-3.1.0-1")
@pytest.mark.parametrize("first", [packet(0x30, b"\x00\x01ax"), packet(0xC0), packet(0x82, b"\x00\x01\x00\x01a\x00"), packet(0xE0)],
                         ids=["PUBLISH", "PINGREQ", "SUBSCRIBE", "DISCONNECT"])
def test_what_comes_before_connect_closes_the_connection_without_an_answer(open_box, version, first):
    wire = Wire(open_box, version)
    wire.write(first)
    assert wire.last_word() is None


@ALL
@statements("MQTT-3.1.0-2", "MQTT311-3.1.0-2", "MQTT-3.2.0-2")
def test_a_second_connect_is_a_protocol_error_and_gets_no_second_connack(open_box, version):
    wire = Wire(open_box, version)
    wire.connect()
    wire.write(wire.connect_bytes(new_id()))
    wire.closed_with(0x82)


@statements("MQTT-3.1.2-1", "MQTT311-3.1.2-1")
@pytest.mark.parametrize("name", ["MQTX", "mqtt", "MQTTT", "HTTP"])
@BOTH
def test_another_protocol_name_is_closed(open_box, name, version):
    wire = Wire(open_box, version)
    wire.write(wire.connect_bytes(new_id(), name=name))
    last = wire.last_word()
    assert last is None or (last.type, last.reason) == ("CONNACK", 0x84)


@statements("MQTT-3.1.2-2", "MQTT311-3.1.2-2")
@pytest.mark.parametrize("level", [0, 2, 6, 7, 0x80, 0x82, 0x85, 0x86])
def test_a_level_that_is_not_spoken_gets_return_code_1_and_is_closed(open_box, level):
    wire = Wire(open_box, 4)
    wire.write(wire.connect_bytes(new_id(), version=level))
    last = wire.last_word()
    assert last is not None and last.raw == b"\x20\x02\x00\x01"


def test_a_client_of_3_1_is_served_under_its_own_protocol_name(open_box, topic):
    with Wire(open_box, 3) as old, Wire(open_box) as new:
        assert b"MQIsdp\x03" in old.connect_bytes("x")
        old.connect()
        new.connect()
        old.subscribe(topic, qos=2)
        new.publish(topic, "for the old one", qos=2)
        message = old.message()
        assert (message.topic, message.text, message.qos) == (topic, "for the old one", 2)


@BOTH
@statements("MQTT-3.1.2-3", "MQTT311-3.1.2-3", "MQTT-3.1.4-1", "MQTT311-3.1.4-1")
def test_the_reserved_connect_flag_closes_with_0x81_before_version_5_without_a_connack(open_box, version):
    wire = Wire(open_box, version)
    data = bytearray(wire.connect_bytes(new_id()))
    data[9] |= 1
    wire.write(bytes(data))
    last = wire.last_word()
    if version == V5:
        assert (last.type, last.reason, last.present) == ("CONNACK", 0x81, False)
    else:
        assert last is None


MALFORMED_CONNECTS = {
    "will without topic and payload": (0x06, b""), "will QoS 3": (0x1E, b"\x00\x01w\x00\x01m"), "will QoS without a will": (0x0A, b""), "will retain without a will": (0x22, b""),
    "a user name that is not there": (0x82, b""), "a password that is not there": (0xC2, b"\x00\x01u"), "a user name without its flag": (0x02, b"\x00\x01u"),
    "a password without its flag": (0x82, b"\x00\x01u\x00\x01p"),
}


@BOTH
@statements("MQTT-3.1.2-9", "MQTT-3.1.2-11", "MQTT-3.1.2-12", "MQTT-3.1.2-13", "MQTT-3.1.2-16", "MQTT-3.1.2-17", "MQTT-3.1.2-18", "MQTT-3.1.2-19",
            "MQTT311-3.1.2-9", "MQTT311-3.1.2-11", "MQTT311-3.1.2-13", "MQTT311-3.1.2-14", "MQTT311-3.1.2-15", "MQTT311-3.1.2-18", "MQTT311-3.1.2-19",
            "MQTT311-3.1.2-20", "MQTT311-3.1.2-21", "MQTT-3.1.4-1", "MQTT311-3.1.4-1")
@pytest.mark.parametrize("name", MALFORMED_CONNECTS)
def test_connect_flags_and_payload_that_disagree_are_closed(open_box, version, name):
    flags, tail = MALFORMED_CONNECTS[name]
    if version == V5 and flags & 4 and tail:
        tail = b"\x00" + tail
    wire = Wire(open_box, version)
    body = b"\x00\x04MQTT" + bytes([version, flags]) + b"\x00\x3c" + (b"\x00" if version == V5 else b"") + b"\x00\x01x" + tail
    wire.write(packet(0x10, body))
    last = wire.last_word()
    if version == V5:
        assert (last.type, last.reason) == ("CONNACK", 0x81)
    else:
        assert last is None


@statements("MQTT311-3.1.2-22")
def test_a_password_without_a_user_name_is_closed_in_3_1_1_and_allowed_in_5(open_box):
    wire = Wire(open_box, 4)
    wire.write(wire.connect_bytes(new_id(), password="p"))
    assert wire.last_word() is None
    Wire(open_box).connect(password="p")


@statements("MQTT-3.1.3-1", "MQTT-3.1.3-3", "MQTT311-3.1.3-1", "MQTT311-3.1.3-3")
@BOTH
def test_the_fields_of_connect_are_read_in_their_order(box, topic, version):
    ann = box.person("ann")
    id = new_id()
    with ann.mqtt() as sub:
        sub.subscribe(topic)
        wire = Wire(box, version)
        wire.connect(id, will=Will(topic, b"will payload"), username=ann.name, password=ann.token)
        wire.drop()
        assert sub.message(topic).payload == b"will payload"


# MARK: client identifiers

@ALL
@statements("MQTT-3.1.3-5", "MQTT311-3.1.3-5")
def test_client_ids_of_1_to_23_letters_and_digits_are_allowed(open_box, version):
    alphabet = letters.digits + letters.ascii_letters
    for id in [secrets.choice(alphabet), alphabet[:23], alphabet[23:46], alphabet[39:62]]:
        with Wire(open_box, version) as wire:
            wire.connect(id)


@statements("MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16")
def test_the_box_assigns_an_id_that_nobody_has_says_which_and_it_is_the_clients(open_box, topic):
    with Wire(open_box) as one, Wire(open_box) as two:
        first, second = (w.connect("", expiry=600).get("assigned_client_id") for w in (one, two))
        assert first and second and first != second
        one.subscribe(topic, qos=1)
        one.drop()
        with Wire(open_box) as again:
            assert again.connect(first, **kept(V5)).present
        with Wire(open_box) as named:
            assert named.connect(new_id()).get("assigned_client_id") is None


@statements("MQTT311-3.1.3-6", "MQTT311-3.1.3-7")
def test_a_clean_client_of_3_1_1_may_leave_its_id_to_the_box(open_box, topic):
    with Wire(open_box, 4) as one, Wire(open_box, 4) as two:
        one.connect("")
        two.connect("")
        one.subscribe(topic, qos=1)
        two.publish(topic, "two clients")
        assert one.message().text == "two clients"


@statements("MQTT311-3.1.3-8", "MQTT311-3.1.3-9", "MQTT311-3.2.2-4", "MQTT311-3.2.2-5")
def test_an_empty_id_without_clean_session_gets_return_code_2_and_is_closed(open_box):
    wire = Wire(open_box, 4)
    assert wire.connect("", clean=False, reason=2).present is False
    assert wire.last_word() is None


@statements("MQTT-3.1.3-8", "MQTT311-3.1.3-9", "MQTT-3.2.2-6", "MQTT-3.2.2-7")
@BOTH
def test_somebody_elses_client_id_is_rejected_and_closed(box, version):
    ann, eve = box.people("ann", "eve")
    id = new_id()
    Wire(box, version).connect(id, username=ann.name, password=ann.token, **kept(version))
    wire = Wire(box, version)
    connack = wire.connect(id, username=eve.name, password=eve.token, reason=0x85 if version == V5 else 2, **kept(version))
    assert connack.present is False
    assert wire.last_word() is None


@BOTH
@statements("MQTT-3.1.3-2", "MQTT311-3.1.3-2")
def test_the_client_id_alone_says_which_session_is_meant(open_box, topic, version):
    ids = [new_id(), new_id()]
    for id in ids:
        with Wire(open_box, version) as wire:
            wire.connect(id, **kept(version))
            wire.subscribe(f"{topic}/{id}", qos=1)
            wire.disconnect()
    with Wire(open_box) as pub:
        pub.connect()
        for id in ids:
            pub.publish(f"{topic}/{id}", id)
    for id in reversed(ids):
        with Wire(open_box, version) as wire:
            wire.connect(id, **kept(version))
            assert wire.message().text == id
            wire.nothing()


STRINGS = {"not UTF-8": b"a\xff", "a surrogate": b"a\xed\xa0\x80", "U+0000": b"a\x00b"}


@BOTH
@pytest.mark.parametrize("bad", STRINGS.values(), ids=STRINGS)
@statements("MQTT-3.1.3-4", "MQTT-3.1.3-12", "MQTT-3.1.3-11", "MQTT311-3.1.3-4", "MQTT311-3.1.3-10", "MQTT311-3.1.3-11")
@pytest.mark.parametrize("place", ["client id", "user name", "will topic"])
def test_strings_of_connect_that_are_no_strings_are_closed(open_box, version, place, bad):
    wire = Wire(open_box, version)
    match place:
        case "client id":
            data = wire.connect_bytes(bad)
        case "user name":
            data = wire.connect_bytes(new_id(), username=bad)
        case _:
            data = wire.connect_bytes(new_id(), will=Will(bad))
    wire.write(data)
    last = wire.last_word()
    if version == V5:
        assert (last.type, last.reason) == ("CONNACK", 0x81)
    else:
        assert last is None


# MARK: CONNACK

@ALL
@statements("MQTT-3.1.4-5", "MQTT-3.2.0-1", "MQTT-3.2.2-1", "MQTT311-3.1.4-4", "MQTT311-3.2.0-1")
def test_connack_0_is_the_first_packet_whatever_was_sent_behind_connect(open_box, topic, version):
    with Wire(open_box, version) as wire:
        wire.write(wire.connect_bytes(new_id()))
        wire.send_subscribe(topic, id=7)
        wire.ping()
        connack = wire.receive()
        assert (connack.type, connack.reason, connack.raw[2]) == ("CONNACK", 0, 0)
        wire.expect("SUBACK", 7)
        wire.expect("PINGRESP")


@ALL
@statements("MQTT-3.1.4-2", "MQTT-3.1.4-6", "MQTT-3.2.2-6", "MQTT-3.2.2-7", "MQTT-3.2.2-8", "MQTT-3.14.0-1", "MQTT311-3.1.4-5", "MQTT311-3.2.2-4", "MQTT311-3.2.2-5")
def test_a_refused_connect_is_answered_closed_and_nothing_behind_it_is_heard(box, topic, version):
    ann = box.person("ann")
    with ann.mqtt() as sub:
        sub.subscribe(topic, qos=1)
        wire = Wire(box, version)
        wire.write(wire.connect_bytes(new_id(), username=ann.name, password="wrong password", will=Will(topic, b"a will")))
        wire.send_publish(topic, "behind a refusal")
        connack = wire.receive()
        assert (connack.type, connack.reason, connack.present) == ("CONNACK", 0x86 if version == V5 else 4, False)
        assert wire.last_word() is None
        with ann.mqtt() as pub:
            pub.publish(topic, "last", qos=1)
        assert sub.message(topic).text == "last"


@statements("MQTT311-3.2.2-6")
@pytest.mark.parametrize("case", ["name", "password", "client id"])
def test_every_refusal_of_3_1_1_has_one_of_the_return_codes_1_to_5(box, case):
    ann, eve = box.people("ann", "eve")
    id = new_id()
    Wire(box, 4).connect(id, username=ann.name, password=ann.token, clean=False)
    wire = Wire(box, 4)
    who = {"name": {}, "password": {"username": ann.name, "password": "wrong password"}, "client id": {"username": eve.name, "password": eve.token}}[case]
    wire.write(wire.connect_bytes(id, clean=False, **who))
    assert wire.receive().raw[:3] == b"\x20\x02\x00"
    assert wire.last_word() is None


@statements("MQTT-3.2.2-3", "MQTT-3.2.2-2", "MQTT-3.1.2-4", "MQTT-3.1.2-5", "MQTT-3.1.2-6", "MQTT-3.1.4-4", "MQTT311-3.2.2-1", "MQTT311-3.2.2-2", "MQTT311-3.2.2-3",
            "MQTT311-3.1.2-4", "MQTT311-3.1.2-6", "MQTT311-3.1.4-3")
@ALL
def test_session_present_tells_whether_there_was_a_session(open_box, topic, version):
    id = new_id()
    with Wire(open_box, version) as wire:
        assert wire.connect(id, **kept(version)).present is False
        wire.subscribe(topic, qos=1)
        wire.disconnect()
    with Wire(open_box) as pub:
        pub.connect()
        pub.publish(topic, "kept")
        with Wire(open_box, version) as wire:
            # 3.1 has no such bit: it stays 0.
            assert wire.connect(id, **kept(version)).present is (version != 3)
            assert wire.message().text == "kept"
            wire.disconnect()
        pub.publish(topic, "discarded")
        with Wire(open_box, version) as wire:
            assert wire.connect(id, clean=True).present is False
            wire.nothing()
            assert pub.publish(topic).reason == 0x10, "the subscription is gone with the session"
            wire.disconnect()
        with Wire(open_box, version) as wire:
            assert wire.connect(id, **kept(version)).present is False, "a clean session leaves nothing"


@statements("MQTT-3.1.2-23", "MQTT-4.1.0-2")
@pytest.mark.parametrize("expiry, present", [(None, False), (0, False), (600, True), (0xFFFFFFFF, True)])
def test_a_session_lives_as_long_as_its_expiry_says(open_box, topic, expiry, present):
    id = new_id()
    with Wire(open_box) as wire:
        wire.connect(id, expiry=expiry)
        wire.subscribe(topic, qos=1)
        wire.drop()
    with Wire(open_box) as wire:
        assert wire.connect(id, clean=False).present is present


@statements("MQTT-4.1.0-2")
def test_an_expired_session_is_gone_with_what_it_was_owed(open_box, topic):
    id = new_id()
    with Wire(open_box) as wire:
        wire.connect(id, expiry=1)
        wire.subscribe(topic, qos=1)
        wire.drop()
    with Wire(open_box) as pub:
        pub.connect()
        assert pub.publish(topic, "owed").reason == 0
        eventually(lambda: pub.publish(topic).reason == 0x10, "the subscription is gone")
    with Wire(open_box) as wire:
        assert wire.connect(id, clean=False, expiry=600).present is False
        wire.nothing()


@statements("MQTT-3.14.2-2")
def test_disconnect_can_shorten_or_lengthen_the_expiry_but_not_keep_a_session_that_was_to_end(open_box):
    for first, last, present in [(600, 0, False), (600, 300, True), (600, None, True)]:
        id = new_id()
        with Wire(open_box) as wire:
            wire.connect(id, expiry=first)
            wire.disconnect(0, session_expiry=last)
        with Wire(open_box) as wire:
            assert wire.connect(id, clean=False).present is present
    with Wire(open_box) as wire:
        wire.connect(expiry=0)
        wire.write(packet(0xE0, b"\x00\x05" + properties(session_expiry=10)))
        # The statement is about us: no DISCONNECT of the box has a session expiry.
        last = wire.last_word()
        assert (last.type, last.reason, last.get("session_expiry")) == ("DISCONNECT", 0x82, None)


@statements("MQTT-3.1.2-23", "MQTT311-3.1.2-4", "MQTT311-3.1.2-5", "MQTT311-4.1.0-1", "MQTT-4.5.0-1", "MQTT311-4.5.0-1")
@ALL
@pytest.mark.parametrize("qos", [1, 2])
def test_a_kept_session_gets_what_it_missed_over_a_restart(new_box, topic, version, qos):
    box = new_box("--mqtt-anonymous", "#")
    id = new_id()
    with Wire(box, version) as wire:
        wire.connect(id, **kept(version))
        wire.subscribe(topic, qos=qos)
        wire.drop()
    with Wire(box) as pub:
        pub.connect()
        for n in range(5):
            pub.publish(topic, str(n), qos=qos)
    box.kill()
    box.start()
    with Wire(box, version) as wire:
        wire.connect(id, **kept(version))
        assert [(m.text, m.qos) for m in wire.messages(5)] == [(str(n), qos) for n in range(5)]
        wire.nothing()


@statements("MQTT-4.1.0-1", "MQTT311-4.1.0-1", "MQTT311-4.1.0-2", "MQTT311-3.1.2-6")
@BOTH
def test_a_session_lasts_at_least_as_long_as_its_connection(open_box, topic, version):
    """Another clean client, an unsubscription of something else and QoS 2 under way leave it as it is."""
    with Wire(open_box, version) as wire, Wire(open_box) as pub:
        wire.connect()
        pub.connect()
        wire.subscribe((topic, 2))
        id = wire.send_publish(topic, "half", qos=2)
        wire.expect("PUBREC", id)
        wire.unsubscribe("nothing/" + topic)
        pub.publish(topic, "other")
        wire.message()
        wire.ack("PUBREL", id)
        found = {wire.receive().type, wire.receive().type}
        assert found == {"PUBCOMP", "PUBLISH"}


@statements("MQTT311-3.1.2-7")
def test_a_retained_message_stays_when_the_session_that_sent_it_ends(open_box, topic):
    with Wire(open_box, 4) as pub:
        pub.connect(clean=True)
        pub.publish(topic, "stays", retain=True)
        pub.disconnect()
    with Wire(open_box, 4) as sub:
        sub.connect()
        sub.subscribe(topic)
        assert sub.message().text == "stays"


@statements("MQTT-3.1.4-3", "MQTT311-3.1.4-2", "MQTT-4.13.2-1")
@ALL
@pytest.mark.parametrize("clean", [True, False])
def test_a_second_client_of_the_name_takes_over_and_the_first_hears_0x8e(open_box, topic, version, clean):
    id = new_id()
    first = Wire(open_box, version)
    first.connect(id, **kept(version))
    first.subscribe(topic, qos=1)
    with Wire(open_box, version) as second:
        assert second.connect(id, **(dict(clean=True) if clean else kept(version))).present is (not clean and version != 3)
        first.closed_with(0x8E)
        with Wire(open_box) as pub:
            pub.connect()
            assert pub.publish(topic, "x").reason == (0x10 if clean else 0)
        if not clean:
            assert second.message().text == "x"


# MARK: what CONNECT asks for and CONNACK tells

@statements("MQTT-3.1.2-28")
def test_response_information_is_never_returned_to_who_did_not_ask(open_box):
    for asked in (None, 0):
        with Wire(open_box) as wire:
            assert wire.connect(request_response=asked).get("response_information") is None


@statements("MQTT-3.1.2-29")
def test_without_problem_information_no_answer_has_a_reason_string_or_user_properties(box, topic):
    ann = box.person("ann")
    for asked in (None, 1, 0):
        with Wire(box) as wire:
            wire.connect(username=ann.name, password=ann.token, request_problem=asked)
            for qos in (1, 2):
                answer = wire.publish("$SYS/x", qos=qos)
                assert answer.reason == 0x87
                assert (answer.get("reason_string") is not None) == (asked != 0)
                if asked == 0:
                    assert answer.properties == []
            suback = wire.subscribe("$SYS/#")
            assert suback.reasons == [0x87] and (suback.properties == []) == (asked == 0)
            assert wire.unsubscribe("nothing").properties == []
            stray = wire.next_id()
            wire.ack("PUBREL", stray)
            assert wire.expect("PUBCOMP", stray).properties == []
            # What belongs to a message is no problem information.
            wire.subscribe(topic, qos=0)
            wire.send_publish(topic, "x", user=[("a", "1")])
            assert wire.message().all("user") == [("a", "1")]


@statements("MQTT-3.2.2-19", "MQTT-3.2.2-20")
def test_a_connack_with_a_reason_that_does_not_fit_comes_without_it(box):
    ann = box.person("ann")
    wire = Wire(box)
    long = wire.connect(username=ann.name, password="wrong password", reason=0x86)
    assert long.get("reason_string"), "a refusal says why"
    wire = Wire(box)
    limit = len(long.raw) - 1
    short = wire.connect(username=ann.name, password="wrong password", reason=0x86, maximum_packet_size=limit)
    assert short.properties == [] and len(short.raw) <= limit


@statements("MQTT-3.2.2-22", "MQTT-3.1.2-22", "MQTT311-3.1.2-24")
@ALL
def test_one_and_a_half_keep_alives_of_silence_end_the_connection_and_the_will_is_published(open_box, topic, version):
    with Wire(open_box) as sub:
        sub.connect()
        sub.subscribe(topic)
        wire = Wire(open_box, version)
        assert wire.connect(keepalive=2, will=Will(topic, b"silent")).get("server_keep_alive") is None
        # Anything it says counts.
        began = time.monotonic()
        while time.monotonic() - began < 3.5:
            wire.nothing()
            time.sleep(0.5)
        silent = time.monotonic()
        wire.closed_with(0x8D)
        took = time.monotonic() - silent
        assert 2.0 <= took < 8, took
        assert sub.message().text == "silent"


@BOTH
def test_keep_alive_0_is_never_too_long(open_box, version):
    with Wire(open_box, version) as wire, Wire(open_box, version) as other:
        wire.connect(keepalive=0)
        other.connect(keepalive=1)
        other.closed_with(0x8D)
        wire.nothing()


def test_a_keep_alive_over_the_boxs_longest_is_told_in_connack_and_kept(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.keep_alive_seconds_max = 1")
    for asked in (0, 600):
        wire = Wire(box)
        assert wire.connect(keepalive=asked).get("server_keep_alive") == 1
        began = time.monotonic()
        wire.closed_with(0x8D)
        assert time.monotonic() - began < 6


def test_connack_announces_every_limit_of_the_listener(new_box):
    settings = {"receive_max": ("receive_maximum", 7), "packet_bytes_max": ("maximum_packet_size", 2_000), "topic_alias_max": ("topic_alias_maximum", 3),
                "session_seconds_max": ("session_expiry", 60)}
    box = new_box("--mqtt-anonymous", "#", config="".join(f"mqtt.{name} = {value}\n" for name, (_, value) in settings.items()))
    with Wire(box) as wire:
        connack = wire.connect(expiry=600)
        assert {name: connack.get(name) for name, _ in settings.values()} == dict(settings.values())
    with Wire(box) as wire:
        assert wire.connect(expiry=30).get("session_expiry") is None, "what was asked for is given"
    with Wire(box, 4) as wire:
        assert wire.connect().raw == b"\x20\x02\x00\x00"


# MARK: wills

@statements("MQTT-3.1.2-7", "MQTT-3.1.2-8", "MQTT-3.1.2-10", "MQTT-3.14.4-3", "MQTT-3.1.2-12", "MQTT311-3.1.2-8", "MQTT311-3.1.2-10", "MQTT311-3.1.2-12", "MQTT311-3.14.4-3",
            "MQTT311-3.1.2-14")
@ALL
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_will_comes_once_when_the_client_is_lost_and_not_when_it_says_goodbye(open_box, topic, version, qos):
    with Wire(open_box) as sub, Wire(open_box) as pub:
        sub.connect()
        pub.connect()
        sub.subscribe(topic, qos=2)
        for end in ("goodbye", "no will", "lost"):
            with Wire(open_box, version) as wire:
                wire.connect(will=Will(topic, end.encode(), qos=qos) if end != "no will" else None)
                wire.disconnect() if end == "goodbye" else wire.drop()
        message = sub.message()
        assert (message.text, message.qos, message.retain) == ("lost", qos, False)
        pub.publish(topic, "after", qos=1)
        assert sub.message().text == "after", "no other will came"


@statements("MQTT-3.1.2-8")
def test_a_client_that_disconnects_with_0x04_or_an_error_leaves_its_will(open_box, topic):
    with Wire(open_box) as sub:
        sub.connect()
        sub.subscribe(topic)
        for reason in (0x04, 0x80, 0x93):
            with Wire(open_box) as wire:
                wire.connect(will=Will(topic, b"%x" % reason))
                wire.disconnect(reason)
            assert sub.message().text == f"{reason:x}"


@statements("MQTT-3.1.2-14", "MQTT-3.1.2-15", "MQTT311-3.1.2-16", "MQTT311-3.1.2-17")
@ALL
@pytest.mark.parametrize("retain", [False, True])
def test_a_will_is_retained_when_its_flag_says_so(open_box, topic, version, retain):
    with Wire(open_box) as sub:
        sub.connect()
        sub.subscribe(topic, qos=1)
        with Wire(open_box, version) as wire:
            wire.connect(will=Will(topic, b"will", qos=1, retain=retain))
            wire.drop()
        assert sub.message().retain is False, "a live message"
    with Wire(open_box) as late:
        late.connect()
        late.subscribe(topic, qos=1)
        assert [(m.text, m.retain) for m in late.retained()] == ([("will", True)] if retain else [])


@statements("MQTT-3.1.3-9")
def test_a_delayed_will_is_called_off_by_a_return_and_else_comes_after_its_delay(open_box, topic):
    with Wire(open_box) as sub:
        sub.connect()
        sub.subscribe(topic, qos=1)
        id = new_id()
        with Wire(open_box) as wire:
            wire.connect(id, expiry=600, will=Will(topic, b"called off", qos=1, properties={"will_delay": 2}))
            wire.drop()
        with Wire(open_box) as wire:
            assert wire.connect(id, clean=False, expiry=600, will=Will(topic, b"comes", qos=1, properties={"will_delay": 2})).present
            gone = time.monotonic()
            wire.drop()
        message = sub.message()
        assert message.text == "comes" and time.monotonic() - gone >= 1.9
        assert message.properties == [], "the delay is not the receivers' business"


@statements("MQTT-3.1.2-8")
@pytest.mark.parametrize("how", ["expiry 0", "clean start", "expiry shorter than the delay"])
def test_a_delayed_will_comes_when_its_session_ends(open_box, topic, how):
    with Wire(open_box) as sub:
        sub.connect()
        sub.subscribe(topic, qos=1)
        id = new_id()
        with Wire(open_box) as wire:
            expiry = {"expiry 0": 0, "clean start": 600, "expiry shorter than the delay": 1}[how]
            wire.connect(id, expiry=expiry, will=Will(topic, b"ended", qos=1, properties={"will_delay": 60}))
            wire.drop()
        if how == "clean start":
            with Wire(open_box) as wire:
                wire.connect(id, clean=True)
                assert sub.message().text == "ended"
        else:
            assert sub.message().text == "ended"


@statements("MQTT-3.1.2-8", "MQTT-3.1.3-9")
@pytest.mark.parametrize("delay", [0, 60])
def test_take_over_publishes_a_will_without_delay_and_calls_off_one_with_delay(open_box, topic, delay):
    with Wire(open_box) as sub, Wire(open_box) as pub:
        sub.connect()
        pub.connect()
        sub.subscribe(topic, qos=1)
        id = new_id()
        first = Wire(open_box)
        first.connect(id, expiry=600, will=Will(topic, b"taken over", qos=1, properties={"will_delay": delay}))
        with Wire(open_box) as second:
            second.connect(id, clean=False, expiry=600)
            first.closed_with(0x8E)
            pub.publish(topic, "after")
            assert sorted(m.text for m in sub.pending()) == (["after", "taken over"] if delay == 0 else ["after"])
            second.disconnect()


@statements("MQTT-3.1.3-10", "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-20")
def test_the_properties_of_a_will_reach_its_receivers_in_their_order(open_box, topic):
    user = [("z", "1"), ("a", "2"), ("z", "1"), ("", "ü")]
    will = Will(topic, "späße".encode(), properties={"will_delay": 0, "payload_format": 1, "message_expiry": 100, "content_type": "text/x", "response_topic": "r/t",
                                                    "correlation_data": b"\x00\xff", "user": user})
    with Wire(open_box) as sub:
        sub.connect()
        sub.subscribe(topic)
        with Wire(open_box) as wire:
            wire.connect(will=will)
            wire.drop()
        message = sub.message()
        assert message.all("user") == user
        assert {name: message.get(name) for name in ("payload_format", "content_type", "response_topic", "correlation_data")} == {
            "payload_format": 1, "content_type": "text/x", "response_topic": "r/t", "correlation_data": b"\x00\xff"}
        assert 98 <= message.get("message_expiry") <= 100 and message.get("will_delay") is None


def test_a_will_of_a_durable_session_survives_a_kill(new_box, topic):
    box = new_box("--mqtt-anonymous", "#")
    with Wire(box) as wire:
        wire.connect("mourned", expiry=600, will=Will(topic, b"gone", qos=1, retain=True))
        box.kill()
    box.start()
    with Wire(box) as sub:
        sub.connect()
        sub.subscribe(topic, qos=1)
        assert sub.message().text == "gone"
