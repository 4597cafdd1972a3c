"""Ordinary MQTT topics across the boxes of one federation, with mosquitto_pub and mosquitto_sub."""

import secrets

import pytest

from harness import Box, Subscriber, eventually, free_port, mosquitto_pub
from harness.federation import alive, at, boxes, pair


@pytest.fixture(scope="module")
def two(module_boxes):
    return module_boxes(2)


@pytest.fixture(scope="module")
def module_boxes(tmp_path_factory):
    """Makes boxes that belong together, for all tests of this file."""
    made = []

    def make(count: int, *options: str) -> list[Box]:
        group = [Box(tmp_path_factory.mktemp("box"), "--federation-port", str(free_port()), *options) for _ in range(count)]
        made.extend(group)
        for box in group:
            box.start()
        pair(*group)
        return group

    yield make
    for box in made:
        box.stop()


@pytest.fixture
def topic():
    return "t/" + secrets.token_hex(6)


@pytest.fixture
def ann(two):
    """The same person at each box."""
    here, there = two
    person = here.person("ann")
    eventually(
        lambda: there.rest().post("/v1/login", {"name": person.name, "password": person.password, "device": "x"}).status_code == 200,
        "the account is known at the other box")
    return person, at(there, person)


def publish(person, *options, version="5", input=None):
    result = mosquitto_pub("-V", version, *person.mosquitto(), *options, input=input)
    assert result.returncode == 0, result.stderr + result.stdout


def reached(person, sub, topic):
    """What is published at the person's box on `topic` arrives: its box knows by now that somebody wants it."""
    probe = secrets.token_hex(4)

    def tried() -> bool:
        publish(person, "-t", topic, "-m", probe)
        try:
            sub.message(lambda m: m["payload"] == probe, seconds=0.3)
            return True
        except AssertionError:
            return False

    eventually(tried, "the other box hears of the subscription")


def heard(sub, prefix="") -> list[str]:
    return [m["payload"] for m in list(sub.messages) if m["payload"].startswith(prefix)]


@pytest.mark.parametrize("publisher, subscriber", [("311", "5"), ("5", "311")])
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_a_message_published_at_one_box_is_heard_at_the_other(ann, topic, publisher, subscriber, qos):
    here, there = ann
    with Subscriber("-V", subscriber, *there.mosquitto(), "-t", topic, "-q", "2").subscribed() as sub:
        reached(here, sub, topic)
        publish(here, "-t", topic, "-m", "hello 世界", "-q", qos, version=publisher)
        message = sub.message(lambda m: m["payload"] == "hello 世界")
        assert (message["topic"], message["qos"], message["retain"]) == (topic, int(qos), 0)


def test_many_messages_come_once_each_and_in_order(ann, topic):
    here, there = ann
    with Subscriber(*there.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        reached(here, sub, topic)
        publish(here, "-t", topic, "-q", "1", "-l", input="".join(f"line {n}\n" for n in range(2_000)))
        sub.message(lambda m: m["payload"] == "line 1999", seconds=30)
        assert heard(sub, "line") == [f"line {n}" for n in range(2_000)]


def test_properties_cross(ann, topic):
    here, there = ann
    options = [
        "-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "re", "-D", "publish", "correlation-data", "c1",
        "-D", "publish", "user-property", "k", "v", "-D", "publish", "message-expiry-interval", "100",
    ]
    with Subscriber("-V", "5", *there.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        reached(here, sub, topic)
        publish(here, "-t", topic, "-m", "x", "-q", "1", *options)
        properties = sub.message(lambda m: m["payload"] == "x")["properties"]
        assert properties["content-type"] == "text/plain" and properties["response-topic"] == "re"
        assert properties["correlation-data"] == "c1" and properties["user-properties"] == {"k": "v"}
        assert 95 <= properties["message-expiry-interval"] <= 100


def test_retained_messages_are_at_both_boxes_and_cleared_at_both(two, ann, topic):
    here, there = ann
    publish(here, "-t", topic, "-m", "kept", "-r", "-q", "1")

    def retained(person) -> list[str]:
        with Subscriber(*person.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
            try:
                return [sub.message(seconds=0.5)["payload"]]
            except AssertionError:
                return []

    eventually(lambda: retained(there) == ["kept"], "the other box retains it")
    publish(there, "-t", topic, "-n", "-r", "-q", "1")
    eventually(lambda: retained(here) == [], "clearing it there clears it here")


def test_a_retained_message_is_heard_live_once_and_without_the_flag(ann, topic):
    here, there = ann
    with Subscriber(*there.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        reached(here, sub, topic)
        publish(here, "-t", topic, "-m", "state", "-r", "-q", "1")
        assert sub.message(lambda m: m["payload"] == "state")["retain"] == 0
        publish(here, "-t", topic, "-m", "end", "-q", "1")
        sub.message(lambda m: m["payload"] == "end")
        assert heard(sub, "state") == ["state"]


def test_a_durable_session_that_is_away_finds_what_was_published_at_the_other_box(ann, topic):
    here, there = ann
    name = "d" + secrets.token_hex(4)
    session = [*there.mosquitto(), "-i", name, "-c", "-q", "1", "-t", topic]
    with Subscriber(*session).subscribed() as sub:
        reached(here, sub, topic)
    publish(here, "-t", topic, "-m", "while away", "-q", "1")
    with Subscriber(*there.mosquitto(), "-t", topic).subscribed() as live:
        publish(here, "-t", topic, "-m", "later", "-q", "1")
        live.message(lambda m: m["payload"] == "later")
    with Subscriber(*session) as sub:
        sub.message(lambda m: m["payload"] == "later")
        assert heard(sub, "while") == ["while away"]


def test_a_shared_subscription_is_served_at_each_box(ann, topic):
    here, there = ann
    shared = f"$share/g/{topic}"
    with Subscriber(*here.mosquitto(), "-t", shared, "-q", "1").subscribed() as one:
        with Subscriber(*there.mosquitto(), "-t", shared, "-q", "1").subscribed() as two:
            reached(here, two, topic)
            publish(here, "-t", topic, "-q", "1", "-l", input="".join(f"n{n}\n" for n in range(10)))
            for sub in (one, two):
                sub.message(lambda m: m["payload"] == "n9")
                assert heard(sub, "n") == [f"n{n}" for n in range(10)]


def test_nothing_goes_round_in_a_triangle(module_boxes, topic):
    group = module_boxes(3)
    person = group[0].person("eve")
    people = [person]
    for box in group[1:]:
        eventually(
            lambda box=box: box.rest().post("/v1/login", {"name": person.name, "password": person.password, "device": "x"}).status_code == 200,
            "the account is known")
        people.append(at(box, person))
    subs = [Subscriber(*p.mosquitto(), "-t", "#", "-q", "1").subscribed() for p in people]
    try:
        for p in people:
            for sub in subs:
                reached(p, sub, topic)
        for index, p in enumerate(people):
            publish(p, "-t", topic, "-q", "1", "-l", input="".join(f"from {index} {n}\n" for n in range(100)))
        expected = sorted(f"from {index} {n}" for index in range(3) for n in range(100))
        for sub in subs:
            eventually(lambda sub=sub: len(heard(sub, "from")) >= 300, "all of it is there")
        # A last word from each: whatever went round would have come before it.
        for p in people:
            for sub in subs:
                reached(p, sub, topic)
        for sub in subs:
            assert sorted(heard(sub, "from")) == expected
    finally:
        for sub in subs:
            sub.close()


def test_messages_with_qos_1_wait_for_a_box_that_restarts(module_boxes, topic):
    first, second = module_boxes(2)
    person = first.person("ann")
    eventually(
        lambda: second.rest().post("/v1/login", {"name": person.name, "password": person.password, "device": "x"}).status_code == 200,
        "the account is known")
    there = at(second, person)
    session = ["-i", "d" + secrets.token_hex(4), "-c", "-q", "1", "-t", topic]
    with Subscriber(*there.mosquitto(), *session).subscribed() as sub:
        reached(person, sub, topic)
    second.kill()
    eventually(lambda: any(item["liveness"] != "alive" for item in boxes(first)), "the other box is missed")
    publish(person, "-t", topic, "-m", "waits", "-q", "1")
    second.restart()
    alive(first, 2, 60)
    with Subscriber(*there.mosquitto(), *session) as sub:
        sub.message(lambda m: m["payload"] == "waits", seconds=30)
        assert heard(sub, "waits") == ["waits"]


def test_metrics_count_what_crosses(two, ann, topic):
    here, there = ann
    with Subscriber(*there.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        reached(here, sub, topic)
    text = two[0].admin.rest.get("/metrics").text
    assert "skerry_federation_topic_messages_sent_total" in text
