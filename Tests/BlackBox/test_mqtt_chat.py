"""The chat through MQTT topics: what a browser sends is heard by mosquitto_sub, what mosquitto_pub says reaches the browser."""

import json
import secrets
import time

import paho.mqtt.client as paho
import pytest

from harness import Subscriber, eventually, mosquitto_pub
from harness.chat import new_cid

VERSIONS = pytest.mark.parametrize("version", ["311", "5"])


@pytest.fixture
def two(box):
    return box.people("ann", "bob")


def said(message) -> bool:
    """Whether this is a chat message, not news about a conversation."""
    return message.topic.startswith("v1/") and message.json.get("t") == "msg"


def response_properties(topic="reply/" + secrets.token_hex(4), correlation=b"c1", **user):
    properties = paho.Properties(paho.PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = topic, correlation
    if user:
        properties.UserProperty = list(user.items())
    return properties


@VERSIONS
def test_mosquitto_sub_on_v1_me_in_sees_what_a_browser_sends(two, version):
    ann, bob = two
    with Subscriber("-V", version, *bob.mosquitto(), "-t", "v1/me/in", "-q", "1").subscribed() as sub, ann.chat() as a:
        ack = a.text("@" + bob.name, "hello from the browser 🌊")
        d = json.loads(sub.message(lambda m: json.loads(m["payload"])["t"] == "msg")["payload"])["d"]
        assert (d["mid"], d["conv"], d["from"], d["kind"], d["text"], d["order"]) == (ack["mid"], ack["conv"], ann.id, "text", "hello from the browser 🌊", ack["order"])


@VERSIONS
def test_mosquitto_pub_to_at_bob_reaches_bobs_browser(two, version):
    ann, bob = two
    with bob.chat() as b:
        result = mosquitto_pub("-V", version, *ann.mosquitto(), "-t", f"v1/c/@{bob.name}/text", "-m", "hi", "-q", "1")
        assert result.returncode == 0, result.stderr
        message = b.push("msg")
        assert (message["text"], message["from"], message["kind"]) == ("hi", ann.id, "text")
        assert [m["text"] for m in b.history(message["conv"])] == ["hi"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_every_quality_sends_one_message(two, qos):
    ann, bob = two
    with bob.chat() as b, ann.mqtt() as mqtt:
        mqtt.publish(f"v1/c/@{bob.name}/text", f"qos {qos}", qos=qos)
        message = b.push("msg")
        assert message["text"] == f"qos {qos}"
        assert len(b.history(message["conv"])) == 1


def test_mqtt_to_mqtt_is_a_conversation_too(two):
    ann, bob = two
    with ann.mqtt() as a, bob.mqtt() as b:
        a.subscribe("v1/me/in", qos=1)
        b.subscribe("v1/me/in", qos=1)
        a.publish(f"v1/c/@{bob.name}/text", "ping", qos=1)
        got = b.message(said).json["d"]
        assert got["text"] == "ping"
        assert a.message(said).json["d"]["mid"] == got["mid"], "one's own messages come back as everywhere"
        b.publish(f"v1/c/{got['conv']}/text", "pong", qos=2)
        assert a.message(said).json["d"]["text"] == "pong"


def test_json_is_sent_as_on_the_websocket_and_answered_on_v1_me_ack(two):
    ann, bob = two
    with ann.mqtt(version=4) as a, bob.chat() as b:
        a.subscribe("v1/me/ack", qos=1)
        cid = new_cid()
        body = {"cid": cid, "kind": "location", "lat": 54.5, "lon": -8.25, "label": "skerry"}
        a.publish(f"v1/c/@{bob.name}/send", json.dumps(body), qos=1)
        ack = a.message("v1/me/ack").json["d"]
        assert ack["cid"] == cid and ack["dup"] is False
        message = b.message(ack["mid"])
        assert (message["lat"], message["lon"], message["label"]) == (54.5, -8.25, "skerry")
        a.publish(f"v1/c/@{bob.name}/send", json.dumps(body), qos=1)
        assert a.message("v1/me/ack").json["d"] == {**ack, "dup": True}
        a.publish(f"v1/c/@{bob.name}/send", json.dumps({**body, "lat": 1}), qos=1)
        error = a.message("v1/me/ack").json
        assert error["error"]["code"] == "conflict" and error.get("cid", error["error"].get("cid")) == cid


def test_mqtt_5_answers_go_to_the_response_topic_with_the_correlation(two):
    ann, bob = two
    reply = "reply/" + secrets.token_hex(4)
    with ann.mqtt() as a, bob.chat() as b:
        a.subscribe(reply, "v1/me/ack", qos=1)
        cid = new_cid()
        properties = response_properties(reply, b"\x01\x02", cid=cid)
        reason = a.publish(f"v1/c/@{bob.name}/text", "with cid", qos=1, properties=properties)
        assert not reason.is_failure
        answer = a.message(reply)
        assert answer.properties.CorrelationData == b"\x01\x02"
        assert answer.json["d"]["cid"] == cid
        b.message(answer.json["d"]["mid"])
        a.publish(f"v1/c/@{bob.name}/text", "with cid", qos=1, properties=properties)
        assert a.message(reply).json["d"]["dup"] is True
        a.barrier()
        assert [m for m in a.messages if m.topic == "v1/me/ack"] == []
        assert len(b.history(answer.json["d"]["conv"])) == 1


@pytest.mark.parametrize("topic, payload, reason, code", [
    ("v1/c/@nobody-at-all/text", "hi", 0x90, "not_found"), ("v1/c/" + "a" * 25 + "0/text", "hi", 0x90, "not_found"), ("v1/c/nonsense/text", "hi", 0x99, "payload_invalid"),
    ("v1/c/@{bob}/text", b"\xff\xfe", 0x99, "payload_invalid"), ("v1/c/@{bob}/text", "", 0x99, "payload_invalid"), ("v1/c/@{bob}/text", "x" * 8_001, 0x97, "too_large"),
    ("v1/c/@{bob}/send", "not json", 0x99, "bad_request"), ("v1/c/@{bob}/send", "{}", 0x99, "payload_invalid"), ("v1/c/@{bob}/send", "[" * 50 + "]" * 50, 0x99, "bad_request"),
], ids=lambda v: str(v)[:30])
def test_what_is_refused_says_why_in_the_acknowledgement_and_the_answer(two, topic, payload, reason, code):
    ann, bob = two
    with ann.mqtt() as a, bob.chat() as b:
        a.subscribe("v1/me/ack", qos=1)
        topic = topic.replace("{bob}", bob.name)
        answer = a.publish(topic, payload, qos=1)
        assert answer.value == reason or (code, answer.value) == ("payload_invalid", 0x90), hex(answer.value)
        error = a.message("v1/me/ack").json["error"]
        assert error["code"] == code or {error["code"], code} <= {"bad_request", "payload_invalid", "too_large"}, error
        b.barrier()
        assert not [p for p in b.pushes if p.get("t") == "msg"]
        a.barrier()


def test_an_unknown_topic_under_v1_belongs_to_nobody(two):
    ann, bob = two
    with ann.mqtt() as a, bob.mqtt() as b:
        for topic in ("v1/other", "v1/c/x/msg", "v1/me/in", "v1/me/ack", f"v1/u/{bob.id}/presence"):
            reason = a.publish(topic, "forged", qos=1)
            assert reason.is_failure, topic
        for filter in ("v1/#", "v1/c/#", "v1/c/+/msg", "v1/u/+/presence", "v1/me/#", "#"):
            b.subscribe(filter, qos=1)
        b.messages.clear()
        a.publish("v1/me/in", "forged", qos=1)
        b.barrier()
        assert not [m for m in b.messages if m.payload == b"forged"]


def test_nobody_overhears_the_conversations_of_others(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a, eve.mqtt() as e:
        conv = a.text("@" + bob.name, "first")["conv"]
        assert e.subscribe(f"v1/c/{conv}/msg", qos=1)[0].value in (0x87, 0x80, 0x90)
        for filter in ("#", "v1/#", "v1/c/+/msg", "v1/+/+/msg", "+/c/#", f"v1/c/{conv}/+", f"$share/g/v1/c/{conv}/msg", "v1/me/in", "+/me/in"):
            e.subscribe(filter, qos=1)
        a.text(conv, "secret words")
        with ann.mqtt() as am:
            am.publish(f"v1/c/{conv}/text", "secret words by mqtt", qos=1)
        e.barrier()
        a.barrier()
        assert not [m for m in e.messages if b"secret words" in m.payload]


def test_one_conversation_can_be_heard_alone_and_only_while_one_is_a_member(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a, bob.mqtt() as b:
        conv = a.request("create", type="group", title="Cove", members=[bob.id], cid=new_cid())["conversation"]["id"]
        assert b.subscribe(f"v1/c/{conv}/msg", qos=1)[0].value == 1
        a.text("@" + bob.name, "elsewhere")
        a.text(conv, "in the cove")
        assert b.message(said).json["d"]["text"] == "in the cove"
        a.request("remove", conv=conv, user=bob.id)
        a.text(conv, "bob is gone")
        b.barrier()
        assert not [m for m in b.messages if b"bob is gone" in m.payload]


def test_edits_and_recalls_come_as_changes(two):
    ann, bob = two
    with ann.chat() as a, bob.mqtt() as b:
        b.subscribe("v1/me/in", qos=1)
        sent = a.text("@" + bob.name, "teh")
        assert b.message(lambda m: m.json["t"] == "msg").json["d"]["mid"] == sent["mid"]
        a.request("edit", mid=sent["mid"], text="the")
        change = b.message(lambda m: m.json["t"] == "change" and m.json["d"]["kind"] == "edit").json["d"]
        assert (change["mid"], change["text"]) == (sent["mid"], "the")
        a.request("recall", mid=sent["mid"])
        assert b.message(lambda m: m.json["t"] == "change" and m.json["d"]["kind"] == "recall").json["d"]["mid"] == sent["mid"]


def test_receipts_and_typing_from_mqtt_reach_the_browser(two):
    ann, bob = two
    with ann.chat() as a, bob.mqtt() as b:
        sent = a.text("@" + bob.name, "read me")
        b.publish(f"v1/c/{sent['conv']}/read", json.dumps({"read": sent["order"]}), qos=1)
        receipt = a.push("receipt", lambda d: d["user"] == bob.id)
        assert receipt["read"] == sent["order"]
        b.publish(f"v1/c/{sent['conv']}/typing", "", qos=0)
        assert a.push("typing") == {"conv": sent["conv"], "user": bob.id}


def test_presence_of_an_mqtt_client_follows_its_connection(two):
    ann, bob = two
    with ann.chat() as a:
        a.text("@" + bob.name, "hello")
        client = bob.mqtt()
        assert a.push("presence", lambda d: d["user"] == bob.id)["online"] is True
        client.drop()
        assert a.push("presence", lambda d: d["user"] == bob.id and not d["online"])


def test_presence_of_people_is_heard_by_mqtt(two):
    ann, bob = two
    with ann.mqtt() as a:
        a.publish(f"v1/c/@{bob.name}/text", "hello", qos=1)
        assert a.subscribe(f"v1/u/{bob.id}/presence", qos=1)[0].value == 1
        first = a.message(f"v1/u/{bob.id}/presence").json
        assert first["user"] == bob.id and first["online"] is False
        with bob.chat():
            assert a.message(lambda m: m.topic == f"v1/u/{bob.id}/presence" and m.json["online"])
        assert a.message(lambda m: m.topic == f"v1/u/{bob.id}/presence" and not m.json["online"])


def test_catching_up_by_mqtt_gives_the_same_as_on_the_websocket(two):
    ann, bob = two
    with bob.chat() as b:
        cursor = b.greeting["live"]
    with ann.chat() as a:
        acks = [a.text("@" + bob.name, f"missed {n}") for n in range(12)]
    with bob.mqtt() as b:
        reply = "reply/" + secrets.token_hex(4)
        b.subscribe(reply, "v1/me/ack", qos=1)
        items, since = [], cursor
        deadline = time.monotonic() + 30
        while True:
            assert time.monotonic() < deadline
            b.publish("v1/me/sync", json.dumps({"since": since, "limit": 5}), qos=1, properties=response_properties(reply))
            page = b.message(reply).json["d"]
            items += page["items"]
            since = page["cursor"]
            if page["done"]:
                break
        assert [i["d"]["mid"] for i in items if i["t"] == "msg"] == [ack["mid"] for ack in acks]
        b.publish("v1/me/sync", json.dumps({"since": cursor}), qos=1)
        assert b.message("v1/me/ack").json["d"]["done"] is True


def test_chat_messages_wait_for_a_session_that_is_away(new_box):
    box = new_box()
    ann, bob = box.people("ann", "bob")
    keep = {"client_id": "bobs-thing", "clean": False, "expiry": 3_600}
    with bob.mqtt(**keep) as b:
        b.subscribe("v1/me/in", qos=1)
    with ann.chat() as a:
        mids = [a.text("@" + bob.name, f"missed {n}")["mid"] for n in range(20)]
    box.kill()
    box.start()
    with bob.mqtt(**keep) as b:
        assert b.session_present
        got = [b.message(said).json["d"]["mid"] for _ in mids]
        assert got == mids
        b.barrier()
        # Beside the messages: that the conversation was made, once.
        assert [m.json["d"]["kind"] for m in b.messages if m.json["t"] == "change"] == ["conversation"]
        assert [m.json["t"] for m in b.messages] == ["change"]


def test_a_send_by_mqtt_is_acknowledged_only_when_it_is_stored(new_box):
    box = new_box()
    ann, bob = box.people("ann", "bob")
    with ann.mqtt() as a:
        for n in range(20):
            assert not a.publish(f"v1/c/@{bob.name}/text", str(n), qos=1 + n % 2).is_failure
        box.kill()
    box.start()
    with bob.chat() as b:
        conv = b.request("conversations")["items"][0]["id"]
        assert [m["text"] for m in b.history(conv)] == [str(n) for n in range(20)]


def test_a_retained_flag_on_a_chat_topic_keeps_nothing(two):
    ann, bob = two
    with ann.mqtt() as a, bob.chat() as b:
        a.publish(f"v1/c/@{bob.name}/text", "only once", qos=1, retain=True)
        conv = b.push("msg")["conv"]
        with bob.mqtt() as late:
            late.subscribe("v1/me/in", f"v1/c/{conv}/msg", f"v1/c/{conv}/text", qos=1)
            late.barrier()
            assert not [m for m in late.messages if b"only once" in m.payload]
        assert len(b.history(conv)) == 1


def test_blocking_holds_for_mqtt(two):
    ann, bob = two
    with bob.chat() as b, ann.mqtt() as a:
        a.publish(f"v1/c/@{bob.name}/text", "hello", qos=1)
        b.push("msg")
        b.request("block", user=ann.id, on=True)
        assert a.publish(f"v1/c/@{bob.name}/text", "hello?", qos=1).value == 0x87
        b.barrier()
        assert not [p for p in b.pushes if p.get("t") == "msg"]


def test_a_burst_of_publishes_arrives_whole_and_in_order(two):
    ann, bob = two
    with ann.mqtt() as a, bob.mqtt() as b:
        b.subscribe("v1/me/in", qos=1)
        ids = [a.publish(f"v1/c/@{bob.name}/text", str(n), qos=1, wait=False) for n in range(300)]
        eventually(lambda: all(id in a.acked for id in ids), "all are acknowledged")
        assert [b.message(said).json["d"]["text"] for _ in range(300)] == [str(n) for n in range(300)]
