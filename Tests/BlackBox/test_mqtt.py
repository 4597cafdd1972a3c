"""The MQTT broker with paho: QoS, retained, wills, wildcards, sessions over restarts, authentication, WebSocket."""

import secrets
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.subscribeoptions import SubscribeOptions

from harness import MQTTClient, eventually
from harness.mqtt import Refused

VERSIONS = pytest.mark.parametrize("version", [4, 5], ids=["3.1.1", "5.0"])


@pytest.fixture
def topic():
    return "t/" + secrets.token_hex(6)


@pytest.fixture
def ann(box):
    return box.person("ann")


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives_once_at_every_quality(ann, topic, version, qos):
    with ann.mqtt(version=version) as sub, ann.mqtt(version=version) as pub:
        assert [r.value for r in sub.subscribe(topic, qos=qos)] == [qos]
        for n in range(30):
            pub.publish(topic, f"{n}", qos=qos)
        got = [sub.message(topic) for _ in range(30)]
        assert [m.text for m in got] == [str(n) for n in range(30)]
        assert {(m.qos, m.retain) for m in got} == {(qos, False)}
        sub.barrier()
        assert sub.messages == []


@VERSIONS
def test_the_lower_quality_of_publisher_and_subscriber_holds(ann, topic, version):
    with ann.mqtt(version=version) as one, ann.mqtt(version=version) as two, ann.mqtt(version=version) as pub:
        one.subscribe(topic, qos=1)
        two.subscribe(topic, qos=2)
        for qos in (0, 1, 2):
            pub.publish(topic, str(qos), qos=qos)
        assert {m.text: m.qos for m in (one.message(topic) for _ in range(3))} == {"0": 0, "1": 1, "2": 1}
        assert {m.text: m.qos for m in (two.message(topic) for _ in range(3))} == {"0": 0, "1": 1, "2": 2}


@pytest.mark.parametrize("filter, matches, others", [
    ("+", ["a", "é"], ["a/b", "/a"]), ("a/+", ["a/b", "a/"], ["a", "a/b/c"]), ("a/#", ["a", "a/b", "a/b/c", "a/"], ["b/a", "ab"]), ("+/+", ["/a", "a/b"], ["a"]),
    ("a/+/c", ["a/b/c", "a//c"], ["a/b/d", "a/c"]), ("#", ["a", "a/b"], ["$private"]), ("+/x", ["a/x"], ["$sys/x"]), ("/#", ["/", "/a"], ["a"]),
    ("A/b", ["A/b"], ["a/b", "A/B"]),
])
def test_wildcards_match_what_the_specification_says(ann, filter, matches, others):
    root = "w" + secrets.token_hex(4)
    # `$` means something at the beginning only, and `#` alone would hear the other tests: those two keep their own name space.
    own = not any(t.startswith("$") for t in others)
    prefix = root + "/" if own else ""
    marker = "" if own else root
    with ann.mqtt() as sub, ann.mqtt() as pub:
        sub.subscribe(prefix + filter, qos=1)
        for t in matches + others:
            pub.publish(prefix + t, marker + t, qos=1)
        mine = lambda: [m.text[len(marker):] for m in sub.all if m.text.startswith(marker) and m.topic == prefix + m.text[len(marker):]]
        eventually(lambda: set(mine()) >= set(matches), f"{matches} arrive")
        sub.barrier()
        assert sorted(mine()) == sorted(matches)


@VERSIONS
def test_overlapping_subscriptions_and_unsubscribing(ann, topic, version):
    with ann.mqtt(version=version) as sub, ann.mqtt(version=version) as pub:
        sub.subscribe(topic + "/#", qos=1)
        sub.subscribe(topic + "/+", qos=0)
        pub.publish(topic + "/x", "1", qos=1)
        sub.message(topic + "/x")
        sub.unsubscribe(topic + "/#")
        sub.unsubscribe(topic + "/+")
        sub.messages.clear()
        pub.publish(topic + "/x", "2", qos=1)
        sub.barrier()
        assert [m for m in sub.messages if m.text == "2"] == []


@VERSIONS
def test_a_retained_message_waits_for_later_subscribers_and_an_empty_one_clears_it(ann, topic, version):
    with ann.mqtt(version=version) as pub:
        for n in range(3):
            pub.publish(topic, f"state {n}", qos=1, retain=True)
        with ann.mqtt(version=version) as sub:
            sub.subscribe(topic, qos=1)
            first = sub.message(topic)
            assert (first.text, first.retain, first.qos) == ("state 2", True, 1)
            pub.publish(topic, "live", qos=1, retain=True)
            assert sub.message(topic).retain is False
            pub.publish(topic, "", qos=1, retain=True)
            assert sub.message(topic).text == ""
        with ann.mqtt(version=version) as late:
            late.subscribe(topic, qos=1)
            late.barrier()
            assert late.messages == []


def test_retain_handling_and_retain_as_published_are_kept(ann, topic):
    with ann.mqtt() as pub, ann.mqtt() as sub:
        pub.publish(topic, "kept", qos=1, retain=True)
        sub.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=2, retainAsPublished=True))
        sub.barrier()
        assert sub.messages == []
        pub.publish(topic, "new", qos=1, retain=True)
        assert sub.message(topic).retain is True
        sub.subscribe(topic, options=SubscribeOptions(qos=1, retainHandling=1))
        sub.barrier()
        assert sub.messages == [], "the subscription was not new"


def test_no_local_keeps_ones_own_messages_away(ann, topic):
    with ann.mqtt() as one, ann.mqtt() as two:
        one.subscribe(topic, options=SubscribeOptions(qos=1, noLocal=True))
        one.publish(topic, "mine", qos=1)
        two.publish(topic, "yours", qos=1)
        assert one.message(topic).text == "yours"
        one.barrier()
        assert one.messages == []


@VERSIONS
def test_a_will_is_sent_when_a_client_vanishes_and_not_when_it_says_goodbye(ann, topic, version):
    with ann.mqtt(version=version) as sub:
        sub.subscribe(topic, qos=1)
        ann.mqtt(version=version, will=(topic, "vanished", 1, False)).drop()
        assert sub.message(topic).text == "vanished"
        ann.mqtt(version=version, will=(topic, "should not be seen", 1, False)).disconnect()
        ann.mqtt(version=version, will=(topic, "vanished again", 1, False)).drop()
        assert sub.message(topic).text == "vanished again"
        assert sub.messages == []


@VERSIONS
def test_a_retained_will_stays_for_later_subscribers(ann, topic, version):
    ann.mqtt(version=version, will=(topic, "offline", 1, True)).drop()
    with ann.mqtt(version=version) as sub:
        sub.subscribe(topic, qos=1)
        assert sub.message(topic).text == "offline"


@VERSIONS
def test_a_client_that_says_nothing_for_one_and_a_half_keep_alives_is_taken_for_gone(box, ann, topic, version):
    from harness.raw_mqtt import RawMQTT
    with ann.mqtt(version=version) as sub:
        sub.subscribe(topic, qos=1)
        raw = RawMQTT(box.port("mqtt"))
        raw.connect(username=ann.name, password=ann.token, keepalive=1, version=version, will=(topic, b"silent"))
        began = time.monotonic()
        assert sub.message(topic).text == "silent"
        assert 1.0 <= time.monotonic() - began < 6
        assert raw.ended()


@VERSIONS
def test_what_was_sent_while_a_session_was_away_waits_for_it(ann, topic, version):
    id = "s" + secrets.token_hex(6)
    keep = {"version": version, "clean": False, **({"expiry": 600} if version == 5 else {})}
    with ann.mqtt(id, **keep) as sub:
        assert sub.session_present is False
        sub.subscribe(topic, qos=2)
    with ann.mqtt(version=version) as pub:
        for n in range(100):
            pub.publish(topic, str(n), qos=n % 3)
    with ann.mqtt(id, **keep) as sub:
        assert sub.session_present is True
        # The order is that of one topic and one quality: the three steps of QoS 2 let later messages of QoS 1 pass.
        for qos in (1, 2):
            wanted = [str(n) for n in range(100) if n % 3 == qos]
            assert [sub.message(lambda m: m.qos == qos).text for _ in wanted] == wanted
    with ann.mqtt(id, version=version, clean=True) as sub:
        assert sub.session_present is False


@VERSIONS
def test_sessions_queues_subscriptions_and_retained_survive_a_restart_and_a_kill(new_box, topic, version):
    box = new_box()
    ann = box.person("ann")
    id = "device-1"
    keep = {"version": version, "clean": False, **({"expiry": 3_600} if version == 5 else {})}
    with ann.mqtt(id, **keep) as sub:
        sub.subscribe(topic + "/#", qos=2)
    expected = []
    for round, stop in enumerate((box.stop, box.kill)):
        with ann.mqtt(version=version) as pub:
            pub.publish(topic + "/state", f"state {round}", qos=1, retain=True)
            expected.append((1, topic + "/state", f"state {round}"))
            for n in range(50):
                pub.publish(topic + "/q", f"{round}.{n}", qos=1 + n % 2)
                expected.append((1 + n % 2, topic + "/q", f"{round}.{n}"))
        stop()
        box.start()
    with ann.mqtt(id, **keep) as sub:
        assert sub.session_present is True
        got = [(m.qos, m.topic, m.text) for m in (sub.message() for _ in expected)]
        for qos in (1, 2):
            assert [m for m in got if m[0] == qos] == [m for m in expected if m[0] == qos]
        sub.barrier()
        assert sub.messages == []
        with ann.mqtt(version=version) as pub:
            pub.publish(topic + "/new", "still subscribed", qos=1)
        assert sub.message(topic + "/new").text == "still subscribed"
    with ann.mqtt(version=version) as late:
        late.subscribe(topic + "/#", qos=1)
        assert late.message(topic + "/state").text == "state 1"


def test_a_second_client_of_the_same_name_takes_over(ann):
    id = "twin" + secrets.token_hex(4)
    first = ann.mqtt(id)
    with ann.mqtt(id) as second:
        assert first.wait_disconnected().value == 0x8E
        second.barrier()


def test_another_user_cannot_take_a_session_over(box):
    ann, eve = box.people("ann", "eve")
    id, topic = "mine" + secrets.token_hex(4), "t/" + secrets.token_hex(4)
    with ann.mqtt(id, clean=False, expiry=600) as sub:
        sub.subscribe(topic, qos=1)
    with ann.mqtt() as pub:
        pub.publish(topic, "for ann", qos=1)
    try:
        thief = eve.mqtt(id, clean=False, expiry=600)
    except Refused as refused:
        assert refused.value in (0x85, 0x87)
    else:
        assert thief.session_present is False
        thief.barrier()
        assert thief.messages == []
        thief.disconnect()
    with ann.mqtt(id, clean=False, expiry=600) as sub:
        assert sub.session_present is True and sub.message(topic).text == "for ann"


@VERSIONS
@pytest.mark.parametrize("credentials", [{"password": "wrong password"}, {"username": "nobody-here"}, {"username": None, "password": None}, {"password": ""}],
                         ids=["wrong password", "unknown name", "nobody", "empty password"])
def test_without_the_right_password_there_is_no_connection(ann, version, credentials):
    with pytest.raises(Refused) as refused:
        ann.mqtt(version=version, **credentials)
    # paho names the codes of 3.1.1 as those of 5.0: 4 (bad user name or password) is 0x86, 5 (not authorised) 0x87.
    assert refused.value.value in (0x86, 0x87)


@VERSIONS
def test_name_or_id_and_password_or_token_open_the_door(ann, version):
    for username in (ann.name, ann.id, ann.name.upper()):
        for password in (ann.token, ann.password):
            ann.mqtt(version=version, username=username, password=password).disconnect()


def test_a_token_of_somebody_else_is_not_mine(box):
    ann, eve = box.people("ann", "eve")
    with pytest.raises(Refused):
        ann.mqtt(password=eve.token)


def test_strangers_may_use_what_was_opened_for_them_and_nothing_else(new_box):
    box = new_box("--mqtt-anonymous", "public/#, sensors/+/temperature")
    ann = box.person("ann")
    with MQTTClient(box.port("mqtt")).connect() as stranger, ann.mqtt() as member:
        assert [r.value for r in stranger.subscribe("public/#", "sensors/+/temperature", "public/a", qos=1)] == [1, 1, 1]
        for filter in ("#", "private/x", "v1/me/in", "v1/c/+/msg", "$SYS/#", "sensors/#", "+/x", "publi/#"):
            assert [r.value for r in stranger.subscribe(filter, qos=1)] == [0x87], filter
        member.subscribe("private/x", "public/x", qos=1)
        assert stranger.publish("private/x", "no", qos=1).value == 0x87
        assert stranger.publish(f"v1/c/@{ann.name}/text", "no", qos=1).value == 0x87
        assert not stranger.publish("public/x", "yes", qos=1).is_failure
        assert member.message().topic == "public/x"
        member.publish("sensors/1/temperature", "21", qos=1)
        assert stranger.message("sensors/1/temperature").text == "21"
    with MQTTClient(box.port("mqtt"), version=4).connect() as stranger:
        assert [r.value for r in stranger.subscribe("#", qos=1)] == [0x80]


def test_payloads_of_any_bytes_and_sizes_pass_unchanged(ann, topic):
    with ann.mqtt() as sub, ann.mqtt() as pub:
        sub.subscribe(topic, qos=1)
        for payload in (b"", bytes(range(256)), b"\xff\xfe\x00" * 10, b"x" * 65_536, b"y" * 1_000_000):
            pub.publish(topic, payload, qos=1)
            assert sub.message(topic).payload == payload


def test_a_packet_over_the_limit_closes_with_packet_too_large_and_is_not_delivered(ann, topic):
    with ann.mqtt() as sub:
        sub.subscribe(topic, qos=1)
        pub = ann.mqtt()
        limit = pub.connack_properties.MaximumPacketSize
        assert limit >= 65_536
        pub.paho.publish(topic, b"x" * (limit + 1), qos=1)
        assert pub.wait_disconnected().value == 0x95
        sub.barrier()
        assert sub.messages == []


def test_connack_tells_what_the_box_offers(ann):
    with ann.mqtt("") as client:
        properties = client.connack_properties
        assert properties.AssignedClientIdentifier
        assert properties.ReceiveMaximum >= 1 and properties.TopicAliasMaximum >= 0 and properties.MaximumPacketSize > 0


@VERSIONS
def test_properties_of_a_message_reach_the_subscriber(ann, topic, version):
    with ann.mqtt() as sub, ann.mqtt(version=version) as pub:
        sub.subscribe(topic, qos=1)
        if version == 5:
            properties = paho.Properties(paho.PacketTypes.PUBLISH)
            properties.ContentType, properties.ResponseTopic, properties.CorrelationData = "text/plain", "reply/here", b"\x00\x01"
            properties.UserProperty = [("a", "1"), ("b", "2"), ("a", "3")]
            properties.MessageExpiryInterval = 60
            pub.publish(topic, "x", qos=1, properties=properties)
            got = sub.message(topic).properties
            assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("text/plain", "reply/here", b"\x00\x01")
            assert got.UserProperty == [("a", "1"), ("b", "2"), ("a", "3")] and 0 < got.MessageExpiryInterval <= 60
        else:
            pub.publish(topic, "x", qos=1)
            assert sub.message(topic).text == "x"


def test_one_slow_subscriber_does_not_delay_another(box, ann, topic):
    from harness.raw_mqtt import RawMQTT
    slow = RawMQTT(box.port("mqtt"), receive_buffer=4_096)
    slow.connect(username=ann.name, password=ann.token)
    slow.subscribe(topic, qos=0)
    with ann.mqtt() as quick, ann.mqtt() as pub:
        quick.subscribe(topic, qos=1)
        for n in range(100):
            pub.publish(topic, str(n).ljust(50_000, "."), qos=1)
        last = [quick.message(topic) for _ in range(100)][-1]
        assert last.text.startswith("99.")
    slow.close()


# MARK: over WebSocket

@VERSIONS
def test_mqtt_over_websocket_is_the_same_broker(box, ann, topic, version):
    path = "/mqtt"
    with ann.mqtt(version=version, transport="websockets", port=box.port("http"), path=path) as web, ann.mqtt(version=version) as plain:
        web.subscribe(topic, qos=2)
        plain.publish(topic, b"\x00" * 70_000, qos=2)
        assert web.message(topic).payload == b"\x00" * 70_000
        plain.subscribe(topic, qos=1)
        web.publish(topic, "from the web", qos=1)
        assert plain.message(topic).text == "from the web"
        with pytest.raises(Refused):
            ann.mqtt(version=version, transport="websockets", port=box.port("http"), path=path, password="wrong password")


def test_a_will_is_sent_when_a_websocket_vanishes(box, ann, topic):
    with ann.mqtt() as sub:
        sub.subscribe(topic, qos=1)
        ann.mqtt(transport="websockets", port=box.port("http"), will=(topic, "vanished", 1, False)).drop()
        assert sub.message(topic).text == "vanished"
