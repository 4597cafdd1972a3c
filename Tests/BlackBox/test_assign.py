"""Which box a client should use, sending clients to another one, and who is online on all boxes together."""

import json

import pytest

from harness import Box, Chat, ChatClosed, MQTTClient, Person, eventually
from harness.chat import new_cid
from harness.federation import alive, at, boxes, pair
from harness.mqtt import Refused
from harness.raw_mqtt import RawMQTT
from harness.rest import is_problem, ok


def box_id(box: Box) -> str:
    return box.endpoints["box"]


def assign(box: Box, **query) -> dict:
    return ok(box.rest().get("/v1/assign", params=query))


def conversation(one: Person, other: Person) -> str:
    return ok(one.rest.post("/v1/conversations", {"type": "direct", "user": f"@{other.name}"}), 201)["conversation"]["id"]


def knows(person: Person, conv: str) -> None:
    """Waits until the conversation has come to the person's box."""
    eventually(lambda: person.rest.get(f"/v1/conversations/{conv}").status_code == 200, "the conversation is at the other box")


@pytest.fixture(scope="module")
def pair_of_boxes(tmp_path_factory):
    """Two boxes of one federation that the tests below share and leave as they found them."""
    place = tmp_path_factory.mktemp("pair")
    made = [Box(place / "one").start(), Box(place / "two").start()]
    pair(*made)
    yield made
    for box in made:
        box.kill()


# MARK: a box alone

def test_a_box_alone_names_itself_to_anybody(box):
    answer = assign(box)
    assert answer["box"] == box_id(box) and answer["alternates"] == []
    assert answer["endpoints"][0] == box.ws_url
    assert f"mqtt://127.0.0.1:{box.port('mqtt')}" in answer["endpoints"]
    assert all(not endpoint.startswith("federation") for endpoint in answer["endpoints"])
    assert answer["ttl"] > 0
    assert assign(box, prev=box_id(box), token=answer["token"])["box"] == box_id(box)


@pytest.mark.parametrize("query", [{"prev": "x"}, {"prev": "0" * 17}, {"token": "x"}, {"token": "v" * 32}, {"token": "0" * 4000}])
def test_what_is_no_box_or_token_is_refused_by_name(box, query):
    problem = is_problem(box.rest().get("/v1/assign", params=query), 422, "payload_invalid")
    assert problem["errors"][0]["field"] == next(iter(query))


def test_assignment_is_limited_by_address(new_box):
    box = new_box(config="")
    answer = box.rest().get("/v1/assign")
    assert int(answer.headers["RateLimit-Limit"]) > 0
    assert int(answer.headers["RateLimit-Remaining"]) < int(answer.headers["RateLimit-Limit"])


def test_the_list_of_boxes_is_for_those_who_are_signed_in_and_its_figures_for_administrators(box):
    is_problem(box.rest().get("/v1/boxes"), 401, "unauthenticated")
    person = box.person("lister")
    answer = ok(person.rest.get("/v1/boxes"))
    assert [(item["box"], item["isSelf"], item["reachable"]) for item in answer["items"]] == [(box_id(box), True, True)]
    is_problem(person.rest.get("/v1/admin/boxes"), 403, "forbidden")
    is_problem(person.rest.post("/v1/admin/drain", {"on": True}), 403, "forbidden")
    item = ok(box.admin.rest.get("/v1/admin/boxes"))["items"][0]
    assert item["isSelf"] and item["liveness"] == "alive" and 0 <= item["load"]["score"] < 1
    assert item["load"]["weight"] > 0 and item["load"]["memory"] > 0
    shown = box.cli("boxes")
    assert shown.returncode == 0 and box_id(box) in shown.stdout
    assert json.loads(box.cli("boxes", "--json").stdout)["items"][0]["box"] == box_id(box)


def test_a_box_without_others_is_not_drained(box):
    problem = is_problem(box.admin.rest.post("/v1/admin/drain", {"on": True}), 409, "conflict")
    assert "no other box" in problem["detail"]
    refused = box.cli("drain")
    assert refused.returncode == 1 and "no other box" in refused.stderr
    assert ok(box.admin.rest.post("/v1/admin/drain", {"on": False})) == {"draining": False}
    is_problem(box.admin.rest.post("/v1/admin/drain", {}), 422, "payload_invalid")
    assert box.rest().get("/readyz").status_code == 200


# MARK: two boxes

def test_any_box_names_a_box_and_a_client_keeps_the_one_it_had(pair_of_boxes):
    one, two = pair_of_boxes
    ids = {box_id(one), box_id(two)}
    for asked in pair_of_boxes:
        answer = assign(asked)
        assert answer["box"] in ids
        assert [other["box"] for other in answer["alternates"]] == list(ids - {answer["box"]})
        for previous in pair_of_boxes:
            kept = assign(asked, prev=box_id(previous))
            assert kept["box"] == box_id(previous)
            assert kept["endpoints"][0] == previous.ws_url
    assert assign(one, prev="0" * 16)["box"] in ids  # a box nobody knows


def test_both_boxes_list_each_other_with_endpoints_clock_and_load(pair_of_boxes):
    for box, other in (pair_of_boxes, reversed(pair_of_boxes)):
        itself, sister = boxes(box)
        assert (itself["box"], itself["isSelf"], sister["box"]) == (box_id(box), True, box_id(other))
        assert sister["liveness"] == "alive" and sister["clock"] in ("ntp", "set") and abs(int(sister["clockOffsetMilliseconds"])) < 5_000
        assert {"kind": "http", "address": "127.0.0.1", "port": other.port("http")} in sister["endpoints"]
        assert sister["load"]["connectionsMax"] > 0 and sister["version"]


def test_presence_and_typing_cross_boxes_and_counts_are_of_all_together(pair_of_boxes):
    one, two = pair_of_boxes
    ann, bob = one.person("ann"), one.person("bob")
    conv = conversation(ann, bob)
    there = eventually(lambda: signed_in(two, bob), "the account is known at the other box")
    knows(there, conv)
    with ann.chat() as here:
        assert here.request("presence", users=[bob.id])["items"][0]["online"] is False
        before = ok(one.admin.rest.get("/v1/admin/overview"))
        away = there.chat()
        assert here.push("presence", lambda d: d["user"] == bob.id)["online"] is True
        item = here.request("presence", users=[bob.id])["items"][0]
        assert item["online"] is True
        eventually(lambda: away.request("presence", users=[ann.id])["items"][0]["online"], "who was there before is seen as well")
        after = ok(one.admin.rest.get("/v1/admin/overview"))
        assert after["onlineEverywhere"] == before["onlineEverywhere"] + 1 and after["online"] == before["online"]
        away.request("typing", conv=conv)
        assert here.push("typing")["user"] == bob.id
        here.request("typing", conv=conv)
        assert away.push("typing")["user"] == ann.id
        # Online at both boxes: nobody hears of the one connection that ends.
        with bob.chat() as both:
            both.barrier()
        away.barrier()
        assert here.request("presence", users=[bob.id])["items"][0]["online"] is True
        assert not [push for push in here.pushes if push["t"] == "presence"]
        away.close()
        gone = here.push("presence", lambda d: d["user"] == bob.id)
        assert gone["online"] is False
        assert here.request("presence", users=[bob.id])["items"][0].get("lastSeen")
    eventually(lambda: "skerry_online_users_federation" in one.admin.rest.get("/metrics").text, "the metric of all boxes together")


def signed_in(box: Box, person: Person):
    answer = box.rest().post("/v1/login", {"name": person.name, "password": person.password, "device": "there"})
    return Person(box, person.name, person.password, answer.json()) if answer.status_code == 200 else None


def test_a_person_who_is_blocked_is_not_seen_typing_from_another_box(pair_of_boxes):
    one, two = pair_of_boxes
    ann, bob, eve = one.person("ann"), one.person("bob"), one.person("eve")
    conv, other = conversation(ann, bob), conversation(ann, eve)
    there = eventually(lambda: signed_in(two, bob), "the account is known at the other box")
    also = eventually(lambda: signed_in(two, eve), "the account is known at the other box")
    knows(there, conv)
    knows(also, other)
    with ann.chat() as here, there.chat() as blocked, also.chat() as free:
        here.push("presence", lambda d: d["user"] == bob.id)
        here.push("presence", lambda d: d["user"] == eve.id)
        here.request("block", user=bob.id, on=True)
        blocked.request("typing", conv=conv)
        blocked.barrier()
        free.request("typing", conv=other)
        assert here.push("typing")["user"] == eve.id
        assert not [push for push in here.pushes if push["t"] == "typing"]


def test_users_of_a_box_that_stops_are_offline_at_once(new_box):
    one, two = new_box(), new_box()
    pair(one, two)
    ann, bob = one.person("ann"), one.person("bob")
    conv = conversation(ann, bob)
    there = eventually(lambda: signed_in(two, bob), "the account is known at the other box")
    knows(there, conv)
    with ann.chat() as here:
        away = there.chat()
        here.push("presence", lambda d: d["user"] == bob.id and d["online"])
        two.stop()
        assert away.closed().code in (4500, 1001, 1006)
        here.push("presence", lambda d: d["user"] == bob.id and not d["online"])
        other = next(item for item in boxes(one) if not item["isSelf"])
        assert other["liveness"] in ("leaving", "down") and other["onlineUsers"] == 0


# MARK: draining

@pytest.fixture
def drained(pair_of_boxes):
    """The first box, drained by the test and taken back after it."""
    one, two = pair_of_boxes
    yield one, two
    ok(one.admin.rest.post("/v1/admin/drain", {"on": False}))
    eventually(lambda: one.rest().get("/readyz").status_code == 200, "the box is ready again")
    eventually(lambda: assign(two, prev=box_id(one))["box"] == box_id(one), "clients may go there again")


def test_a_chat_client_is_sent_to_the_other_box_and_goes_on_there_without_loss_or_repetition(drained):
    one, two = drained
    ann, bob = one.person("ann"), one.person("bob")
    conv = conversation(ann, bob)
    with ann.chat() as here:
        sent = [here.text(conv, f"before {number}")["mid"] for number in range(5)]
        cursor = here.cursor
        assert ok(one.admin.rest.post("/v1/admin/drain", {"on": True})) == {"draining": True}
        told = here.push("moved")
        assert told["box"] == box_id(two) and told["endpoints"][0] == two.ws_url
        assert here.closed().code == 1012
    ready = one.rest().get("/readyz")
    assert ready.status_code == 503 and any("drained" in reason for reason in ready.json()["reasons"])
    assert assign(one)["box"] == assign(two)["box"] == box_id(two)
    assert assign(one, prev=box_id(one))["box"] == box_id(two)
    with Chat(told["endpoints"][0]) as there:
        eventually(lambda: knows_token(there.socket and two, ann), "the token is known at the other box")
        there.hello(ann.token, cursor=cursor, hop=told["token"])
        assert there.greeting["box"] == box_id(two)
        seen = [item["d"]["mid"] for item in there.sync(cursor)[0] if item["t"] == "msg"]
        ack = there.text(conv, "after")
        seen.append(there.message(ack["mid"])["mid"])
        eventually(lambda: history(there, conv) == sent + [ack["mid"]], "the history is whole, in order, each message once")
        assert len(seen) == len(set(seen))


def knows_token(box: Box, person: Person) -> bool:
    return box.rest(person.token).get("/v1/me").status_code == 200


def history(chat: Chat, conv: str) -> list[str]:
    return [message["mid"] for message in chat.request("history", conv=conv)["items"]]


def test_mqtt_clients_are_told_another_server_or_closed_and_refused_when_they_come_back(drained):
    one, two = drained
    ann = one.person("ann")
    new, old = ann.mqtt(), ann.mqtt(version=4)
    reference: list = []
    told = new.paho.on_disconnect

    def remember(client, userdata, flags, reason, properties):
        reference.append(getattr(properties, "ServerReference", None))
        told(client, userdata, flags, reason, properties)

    new.paho.on_disconnect = remember
    ok(one.admin.rest.post("/v1/admin/drain", {"on": True}))
    eventually(lambda: new.disconnected is not None and old.disconnected is not None, "both are disconnected", 40)
    assert new.disconnected.value == 0x9C
    assert reference == [f"127.0.0.1:{two.port('mqtt')}"]
    with pytest.raises(Refused) as refused:
        ann.mqtt()
    assert refused.value.value == 0x9C
    with pytest.raises(Refused) as refused:
        ann.mqtt(version=4)
    with RawMQTT(one.port("mqtt")) as raw:
        assert raw.connect(client_id="old", version=4)[1] == 3
    text = one.admin.rest.get("/metrics").text
    moved = next(line for line in text.splitlines() if line.startswith("skerry_clients_moved_total "))
    assert int(moved.split()[1]) >= 5


def test_a_client_that_was_sent_here_a_moment_ago_is_not_sent_on(drained):
    one, two = drained
    ann = one.person("ann")
    token = assign(two, prev=box_id(one))["token"]
    settled, free = Chat(one.ws_url), Chat(one.ws_url)
    with settled, free:
        settled.hello(ann.token, hop=token)
        free.hello(ann.token)
        ok(one.admin.rest.post("/v1/admin/drain", {"on": True}))
        assert free.closed(40).code == 1012
        settled.barrier()
        assert assign(one, prev=box_id(one), token=token)["box"] == box_id(one), "nor does an answer send it on"
        assert settled.is_open


def test_the_command_line_drains_and_says_so_in_the_list(drained):
    one, two = drained
    result = one.cli("drain")
    assert result.returncode == 0 and "sends its" in result.stdout
    eventually(lambda: next(item for item in boxes(two) if item["box"] == box_id(one))["isDraining"], "the other box knows")
    assert "draining" in two.cli("boxes").stdout
    assert one.cli("drain", "off").returncode == 0
    assert not boxes(one)[0]["isDraining"]
    assert one.cli("drain", "maybe").returncode != 0


@pytest.mark.long
def test_users_of_a_box_that_dies_go_offline_with_it(new_box):
    one, two = new_box(), new_box()
    pair(one, two)
    ann, bob = one.person("ann"), one.person("bob")
    conv = conversation(ann, bob)
    there = eventually(lambda: signed_in(two, bob), "the account is known at the other box")
    knows(there, conv)
    with ann.chat() as here:
        away = there.chat()
        here.push("presence", lambda d: d["user"] == bob.id and d["online"])
        two.kill()
        here.push("presence", lambda d: d["user"] == bob.id and not d["online"], 45)
        assert assign(one, prev=box_id(two))["box"] == box_id(one)
        two.start()
        alive(one, 2, 40)
        back = Person(two, bob.name, bob.password).chat()
        here.push("presence", lambda d: d["user"] == bob.id and d["online"])
        back.close()
        away.socket.close()
