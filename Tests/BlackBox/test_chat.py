"""The chat between people on WebSockets: every verb, what it pushes to whom, and what it refuses."""

import pytest

from harness import eventually
from harness.chat import new_cid
from harness.rest import ok


@pytest.fixture
def two(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a, bob.chat() as b:
        yield ann, a, bob, b


def direct(chat, person) -> str:
    return chat.request("create", type="direct", user=person.id)["conversation"]["id"]


def group(chat, *members, title="Harbour") -> str:
    return chat.request("create", type="group", title=title, members=[m.id for m in members], cid=new_cid())["conversation"]["id"]


# MARK: hello

def test_hello_tells_who_one_is_and_what_the_limits_are(two):
    ann, a, _, _ = two
    assert a.greeting["user"] == ann.id and a.greeting["name"] == ann.name and a.greeting["role"] == "user"
    assert a.greeting["device"] == ann.device and len(a.greeting["box"]) == 16
    assert a.greeting["heartbeat"] >= 5 and a.greeting["maxFrame"] >= 40_960
    assert a.greeting["time"].endswith("Z") and a.greeting["live"]
    assert isinstance(a.greeting["features"], list) and isinstance(a.greeting["limits"], dict)
    assert a.socket.subprotocol == "skerry.v1.json"


def test_a_second_hello_is_refused_and_the_connection_stays(two):
    ann, a, _, _ = two
    assert a.refused("hello", token=ann.token)["code"] == "bad_request"
    a.barrier()


def test_ping_answers_with_the_time(two):
    assert two[1].request("ping")["time"].endswith("Z")


# MARK: send

def test_a_message_reaches_the_other_and_ones_own_devices_once(two):
    ann, a, bob, b = two
    with ann.chat() as a2:
        ack = a.text("@" + bob.name, "在吗")
        for chat in (a, a2, b):
            message = chat.message(ack["mid"])
            assert message["text"] == "在吗" and message["from"] == ann.id and message["kind"] == "text"
            assert (message["conv"], message["order"], message["ts"]) == (ack["conv"], ack["order"], ack["ts"])
        for chat in (a, a2, b):
            chat.barrier()
            assert not [p for p in chat.pushes if p.get("t") == "msg" and p["d"]["mid"] == ack["mid"]], "shown twice"


def test_only_the_sender_sees_the_cid(two):
    ann, a, bob, b = two
    cid = new_cid()
    ack = a.text("@" + bob.name, "hello", cid=cid)
    assert ack["cid"] == cid and ack["dup"] is False
    assert a.message(ack["mid"])["cid"] == cid
    assert "cid" not in b.message(ack["mid"])


@pytest.mark.parametrize("kind, body", [
    ("text", {"text": "plain"}), ("text", {"text": "e\u0301 🏝️ 你好 \u202e \n\t"}), ("text", {"text": "x" * 8_000}), ("emoji", {"text": "🦭"}),
    ("location", {"lat": -89.5, "lon": 179.999, "label": "the pole 極", "accuracy": 3.5}), ("location", {"lat": 0, "lon": 0}),
    ("custom", {"type": "app/x", "data": "{\"any\":\"thing\"}"}),
], ids=lambda v: v if isinstance(v, str) else "-".join(v)[:24])
def test_every_kind_of_message_arrives_as_it_was_sent(two, kind, body):
    ann, a, bob, b = two
    ack = a.request("send", conv="@" + bob.name, cid=new_cid(), kind=kind, **body)
    message = b.message(ack["mid"])
    assert message["kind"] == kind
    for name, value in body.items():
        assert message[name] == value
    stored = b.request("history", conv=ack["conv"], limit=1)["items"][-1]
    assert {k: stored[k] for k in body} == body


@pytest.mark.parametrize("d, code", [
    ({"kind": "text", "text": ""}, "payload_invalid"), ({"kind": "text"}, "payload_invalid"), ({"kind": "text", "text": "x" * 8_001}, "too_large"),
    ({"kind": "text", "text": "a\u0000b"}, "payload_invalid"), ({"kind": "emoji", "text": "x" * 65}, "too_large"), ({"kind": "song", "text": "la"}, "payload_invalid"),
    ({"kind": "location", "lat": 91, "lon": 0}, "payload_invalid"), ({"kind": "location", "lat": 0, "lon": -180.5}, "payload_invalid"),
    ({"kind": "location", "lat": 1}, "payload_invalid"), ({"kind": "custom", "type": "t" * 65, "data": ""}, "too_large"),
    ({"kind": "picture", "media": {"hash": "x", "size": "1", "type": "image/png"}}, "payload_invalid"),
    ({"kind": "text", "text": "hi", "cid": ""}, "payload_invalid"), ({"kind": "text", "text": "hi", "cid": "a" * 65}, "payload_invalid"),
    ({"kind": "text", "text": "hi", "cid": "not ok"}, "payload_invalid"), ({"kind": "text", "text": "hi", "cid": None}, "payload_invalid"),
    ({"kind": "text", "text": "hi", "conv": "nonsense"}, "payload_invalid"), ({"kind": "text", "text": "hi", "conv": "a" * 25 + "0"}, "not_found"),
    ({"kind": "text", "text": "hi", "conv": "@nobody-at-all"}, "not_found"), ({"kind": "text", "text": "hi", "replyTo": "?"}, "payload_invalid"),
], ids=lambda v: v if isinstance(v, str) else None)
def test_a_wrong_message_is_refused_with_its_reason_and_nothing_is_sent(two, d, code):
    ann, a, bob, b = two
    request = {"conv": "@" + bob.name, "cid": new_cid(), **d}
    if request["cid"] is None:
        del request["cid"]
    error = a.refused("send", **request)
    # A field may be refused as invalid where only its size is wrong, but never the other way round.
    assert error["code"] == code or (code == "too_large" and error["code"] == "payload_invalid"), error
    assert isinstance(error["status"], int) and error["title"] and error["temporary"] is False
    a.barrier()
    b.barrier()
    assert not [p for p in b.pushes if p.get("t") == "msg"]


def test_a_repeated_send_is_acknowledged_alike_and_shown_once(two):
    ann, a, bob, b = two
    cid = new_cid()
    first = a.text("@" + bob.name, "once", cid=cid)
    again = a.text("@" + bob.name, "once", cid=cid)
    assert again == {**first, "dup": True}
    assert a.refused("send", conv="@" + bob.name, cid=cid, kind="text", text="something else")["code"] == "conflict"
    b.message(first["mid"])
    b.barrier()
    assert not [p for p in b.pushes if p.get("t") == "msg"]
    assert [m["mid"] for m in b.history(first["conv"])] == [first["mid"]]


def test_two_people_may_use_the_same_cid(two):
    ann, a, bob, b = two
    cid = new_cid()
    one, other = a.text("@" + bob.name, "mine", cid=cid), b.text("@" + ann.name, "mine", cid=cid)
    assert one["mid"] != other["mid"] and not other["dup"] and one["conv"] == other["conv"]


def test_the_same_cid_sent_on_two_connections_at_once_is_one_message(two):
    ann, a, bob, b = two
    conv = direct(a, bob)
    with ann.chat() as a2:
        for round in range(20):
            cid = new_cid()
            ids = [(chat, chat.start("send", conv=conv, cid=cid, kind="text", text=f"race {round}")) for chat in (a, a2)]
            acks = [chat.reply(id) for chat, id in ids]
            assert acks[0]["mid"] == acks[1]["mid"] and acks[0]["order"] == acks[1]["order"]
            assert sorted(ack["dup"] for ack in acks) == [False, True]
    assert len(b.history(conv)) == 20


def test_a_repeated_send_is_recognised_after_a_restart_and_after_a_kill(new_box):
    box = new_box()
    ann, bob = box.people("ann", "bob")
    cid = new_cid()
    with ann.chat() as a:
        first = a.text("@" + bob.name, "once", cid=cid)
    for stop in (box.stop, box.kill):
        stop()
        box.start()
        with ann.chat() as a, bob.chat() as b:
            assert a.text("@" + bob.name, "once", cid=cid) == {**first, "dup": True}
            assert a.refused("send", conv="@" + bob.name, cid=cid, kind="text", text="other")["code"] == "conflict"
            assert [m["mid"] for m in b.history(first["conv"])] == [first["mid"]]


def test_a_reply_names_what_it_answers(two):
    ann, a, bob, b = two
    first = a.text("@" + bob.name, "when?")
    reply = b.text(first["conv"], "at noon", replyTo=first["mid"])
    assert a.message(reply["mid"])["replyTo"] == first["mid"]
    assert b.refused("send", conv=first["conv"], cid=new_cid(), kind="text", text="x", replyTo="a" * 25 + "0")["code"] in ("not_found", "payload_invalid")


def test_both_people_see_one_conversation_and_one_order(two):
    ann, a, bob, b = two
    conv = direct(a, bob)
    assert direct(b, ann) == conv
    pending = []
    for number in range(50):
        pending.append((a, a.start("send", conv=conv, cid=new_cid(), kind="text", text=f"a{number}")))
        pending.append((b, b.start("send", conv=conv, cid=new_cid(), kind="text", text=f"b{number}")))
    acks = [chat.reply(id) for chat, id in pending]
    of_a, of_b = a.history(conv, limit=7), b.history(conv)
    assert [m["mid"] for m in of_a] == [m["mid"] for m in of_b] and len(of_a) == 100
    assert {m["mid"] for m in of_a} == {ack["mid"] for ack in acks}
    assert [m["text"] for m in of_a if m["from"] == ann.id] == [f"a{n}" for n in range(50)]
    for chat in (a, b):
        live = lambda: [p["d"]["order"] for p in list(chat.pushes) if p.get("t") == "msg"]
        eventually(lambda: len(live()) >= 100, "all are shown")
        chat.barrier()
        assert live() == sorted(live()) and len(live()) == 100


def test_a_direct_conversation_is_made_once(two):
    ann, a, bob, b = two
    first = a.request("create", type="direct", user=bob.id)
    again = a.request("create", type="direct", user="@" + bob.name.upper())
    assert first["dup"] is False and again["dup"] is True
    assert first["conversation"]["id"] == again["conversation"]["id"]
    assert first["conversation"]["type"] == "direct" and {m["user"] for m in first["conversation"]["members"]} == {ann.id, bob.id}
    assert b.push("change", lambda d: d["kind"] == "conversation")["conversation"]["id"] == first["conversation"]["id"]


# MARK: edit, recall, react

def test_an_edit_shows_everywhere(two):
    ann, a, bob, b = two
    sent = a.text("@" + bob.name, "teh tide")
    edit = a.request("edit", mid=sent["mid"], text="the tide")
    for chat in (a, b):
        change = chat.push("change", lambda d: d["kind"] == "edit")
        assert (change["mid"], change["text"], change["by"], change["order"]) == (sent["mid"], "the tide", ann.id, edit["order"])
        message = chat.request("history", conv=sent["conv"])["items"][-1]
        assert message["text"] == "the tide" and message["edited"]["order"] == edit["order"] and message["order"] == sent["order"]


def test_only_ones_own_text_can_be_edited(two):
    ann, a, bob, b = two
    sent = a.text("@" + bob.name, "mine")
    assert b.refused("edit", mid=sent["mid"], text="yours")["code"] == "forbidden"
    emoji = a.request("send", conv=sent["conv"], cid=new_cid(), kind="emoji", text="🐚")
    assert a.refused("edit", mid=emoji["mid"], text="text")["code"] == "payload_invalid"
    assert a.refused("edit", mid=sent["mid"], text="")["code"] == "payload_invalid"
    assert a.refused("edit", mid="a" * 25 + "0", text="x")["code"] == "not_found"
    assert b.history(sent["conv"])[0]["text"] == "mine"


def test_a_recalled_message_has_no_body_anywhere(two):
    ann, a, bob, b = two
    sent = a.text("@" + bob.name, "forget this")
    assert b.refused("recall", mid=sent["mid"])["code"] == "forbidden"
    recall = a.request("recall", mid=sent["mid"])
    for chat in (a, b):
        change = chat.push("change", lambda d: d["kind"] == "recall")
        assert change["mid"] == sent["mid"] and change["order"] == recall["order"]
        message = chat.history(sent["conv"])[0]
        assert message["recalled"] is True and "text" not in message
        items, _, _ = chat.sync(None)
        assert not any("forget this" in str(item) for item in items)
    assert a.refused("edit", mid=sent["mid"], text="back")["code"] == "gone"
    assert b.refused("react", mid=sent["mid"], emoji="👍", on=True)["code"] == "gone"


def test_reactions_are_put_and_taken_back(two):
    ann, a, bob, b = two
    sent = a.text("@" + bob.name, "land ahoy")
    b.request("react", mid=sent["mid"], emoji="🎉", on=True)
    change = a.push("change", lambda d: d["kind"] == "react")
    assert (change["mid"], change["emoji"], change["on"], change["by"]) == (sent["mid"], "🎉", True, bob.id)
    a.request("react", mid=sent["mid"], emoji="🎉", on=True)
    b.request("react", mid=sent["mid"], emoji="🎉", on=True)
    b.request("react", mid=sent["mid"], emoji="👍", on=True)
    reactions = {r["emoji"]: set(r["users"]) for r in a.history(sent["conv"])[0]["reactions"]}
    assert reactions == {"🎉": {ann.id, bob.id}, "👍": {bob.id}}
    b.request("react", mid=sent["mid"], emoji="🎉", on=False)
    b.request("react", mid=sent["mid"], emoji="👍", on=False)
    assert a.history(sent["conv"])[0]["reactions"] == [{"emoji": "🎉", "users": [ann.id]}]
    assert a.refused("react", mid=sent["mid"], emoji="x" * 33, on=True)["code"] in ("payload_invalid", "too_large")


# MARK: receipts, typing, presence

def test_receipts_only_move_up_and_reach_the_other(two):
    ann, a, bob, b = two
    first, second = a.text("@" + bob.name, "one"), a.text("@" + bob.name, "two")
    conv = first["conv"]
    assert b.request("conversation", conv=conv)["conversation"]["unread"] == 2
    assert b.request("receipt", conv=conv, recv=second["order"], read=second["order"]) == {}
    receipt = a.push("receipt", lambda d: d.get("read") == second["order"])
    assert receipt["user"] == bob.id and receipt["conv"] == conv
    b.request("receipt", conv=conv, read=first["order"])
    view = a.request("conversation", conv=conv)["conversation"]
    member = next(m for m in view["members"] if m["user"] == bob.id)
    assert member["read"] == second["order"] and member["recv"] == second["order"]
    assert b.request("conversation", conv=conv)["conversation"]["unread"] == 0
    assert b.refused("receipt", conv=conv)["code"] == "payload_invalid"
    assert b.refused("receipt", conv=conv, read="not an order")["code"] == "payload_invalid"


def test_reading_on_one_device_clears_the_other(two):
    ann, a, bob, b = two
    sent = a.text("@" + bob.name, "one")
    with bob.chat() as b2:
        b.request("receipt", conv=sent["conv"], read=sent["order"])
        assert b2.push("receipt", lambda d: d["user"] == bob.id)["read"] == sent["order"]


def test_typing_reaches_the_other_but_not_oneself_and_not_too_often(two):
    ann, a, bob, b = two
    conv = direct(a, bob)
    for _ in range(5):
        assert a.request("typing", conv=conv) == {}
    assert b.push("typing") == {"conv": conv, "user": ann.id}
    a.barrier()
    b.barrier()
    assert not [p for p in b.pushes if p.get("t") == "typing"], "more than one in 3 s"
    assert not [p for p in a.pushes if p.get("t") == "typing"]


def test_presence_follows_connections(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a:
        a.text("@" + bob.name, "are you there?")
        assert a.request("presence", users=[bob.id])["items"][0]["online"] is False
        b = bob.chat()
        assert a.push("presence", lambda d: d["user"] == bob.id)["online"] is True
        assert {i["user"]: i["online"] for i in a.request("presence")["items"]}[bob.id] is True
        second = bob.chat()
        b.close()
        a.barrier()
        assert not [p for p in a.pushes if p.get("t") == "presence" and p["d"]["user"] == bob.id and not p["d"]["online"]], "a device is still there"
        second.close()
        assert a.push("presence", lambda d: d["user"] == bob.id and not d["online"])
        gone = a.request("presence", users=["@" + bob.name])["items"][0]
        assert gone["online"] is False and gone.get("lastSeen", "Z").endswith("Z")


def test_a_connection_that_was_just_cut_counts_as_gone(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a, bob.chat() as b:
        a.text("@" + bob.name, "hello")
        b.message(a.push("msg")["mid"])
        b.socket.socket.shutdown(2)
        assert a.push("presence", lambda d: d["user"] == bob.id and not d["online"])


# MARK: groups

def test_a_group_is_made_and_everybody_hears_of_it(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a, bob.chat() as b, eve.chat() as e:
        cid = new_cid()
        made = a.request("create", type="group", title="Hafen ⚓", members=[bob.id, "@" + eve.name], cid=cid)
        conversation = made["conversation"]
        assert made["dup"] is False and conversation["title"] == "Hafen ⚓" and conversation["role"] == "owner"
        assert {m["user"]: m["role"] for m in conversation["members"]} == {ann.id: "owner", bob.id: "member", eve.id: "member"}
        again = a.request("create", type="group", title="Hafen ⚓", members=[bob.id, "@" + eve.name], cid=cid)
        assert again["dup"] is True and again["conversation"]["id"] == conversation["id"]
        for chat in (b, e):
            seen = chat.push("change", lambda d: d["kind"] == "conversation")["conversation"]
            assert seen["id"] == conversation["id"] and seen["role"] == "member"
        ack = b.text(conversation["id"], "hello all")
        for chat in (a, b, e):
            assert chat.message(ack["mid"])["from"] == bob.id


def test_who_is_not_a_member_sees_and_does_nothing(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a, eve.chat() as e:
        conv = group(a, bob)
        sent = a.text(conv, "among us")
        for t, d in [("send", {"conv": conv, "cid": new_cid(), "kind": "text", "text": "let me in"}), ("history", {"conv": conv}), ("conversation", {"conv": conv}),
                     ("typing", {"conv": conv}), ("receipt", {"conv": conv, "read": sent["order"]}), ("update", {"conv": conv, "title": "mine"}),
                     ("invite", {"conv": conv, "users": [eve.id]}), ("remove", {"conv": conv, "user": bob.id}), ("role", {"conv": conv, "user": eve.id, "role": "owner"}),
                     ("leave", {"conv": conv}), ("edit", {"mid": sent["mid"], "text": "x"}), ("recall", {"mid": sent["mid"]}), ("react", {"mid": sent["mid"], "emoji": "👎"})]:
            assert e.refused(t, **d)["code"] == "not_found", t
        e.barrier()
        assert not [p for p in e.pushes if "among us" in str(p) or conv in str(p)]
        assert conv not in [c["id"] for c in e.request("conversations")["items"]]
        items, _, _ = e.sync(None)
        assert not any(conv in str(item) for item in items)
        assert [m["text"] for m in a.history(conv)] == ["among us"]


def test_a_new_member_sees_what_is_said_from_then_on(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a, eve.chat() as e:
        conv = group(a, bob)
        before = a.text(conv, "before")
        a.request("invite", conv=conv, users=[eve.id])
        assert e.push("change", lambda d: d["kind"] == "conversation")["conversation"]["id"] == conv
        after = a.text(conv, "after")
        assert e.message(after["mid"])
        assert [m["text"] for m in e.history(conv)] == ["after"]
        assert e.refused("react", mid=before["mid"], emoji="👍", on=True)["code"] == "not_found"


def test_who_is_removed_hears_nothing_more(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a, bob.chat() as b, eve.chat() as e:
        conv = group(a, bob, eve)
        a.text(conv, "all of us")
        a.request("remove", conv=conv, user=eve.id)
        assert e.push("change", lambda d: d["kind"] == "left")["conv"] == conv
        e.pushes.clear()
        secret = a.text(conv, "without eve")
        assert b.message(secret["mid"])
        e.barrier()
        assert not [p for p in e.pushes if conv in str(p)]
        assert e.refused("history", conv=conv)["code"] == "not_found"
        assert e.refused("send", conv=conv, cid=new_cid(), kind="text", text="?")["code"] == "not_found"
        items, _, _ = e.sync(e.greeting["live"])
        assert not any("without eve" in str(item) for item in items)


def test_leaving_is_ones_own_choice_and_the_owner_hands_over(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a, bob.chat() as b, eve.chat() as e:
        conv = group(a, bob, eve)
        a.request("role", conv=conv, user=eve.id, role="admin")
        assert a.request("leave", conv=conv) == {}
        view = eventually(lambda: (v := b.request("conversation", conv=conv)["conversation"]) and len(v["members"]) == 2 and v, "Ann has left")
        assert {m["user"]: m["role"] for m in view["members"]} == {eve.id: "owner", bob.id: "member"}
        assert a.refused("conversation", conv=conv)["code"] == "not_found"
        direct_conv = direct(b, eve)
        assert b.refused("leave", conv=direct_conv)["code"] in ("forbidden", "bad_request", "payload_invalid", "conflict")


def test_roles_decide_who_may_manage(box):
    ann, bob, eve, dan = box.people("ann", "bob", "eve", "dan")
    with ann.chat() as a, bob.chat() as b, eve.chat() as e:
        conv = group(a, bob, eve)
        for t, d in [("update", {"title": "mine"}), ("invite", {"users": [dan.id]}), ("remove", {"user": eve.id}), ("role", {"user": bob.id, "role": "admin"})]:
            assert b.refused(t, conv=conv, **d)["code"] == "forbidden", t
        a.request("role", conv=conv, user=bob.id, role="admin")
        assert b.request("update", conv=conv, title="The quay")["conversation"]["title"] == "The quay"
        assert e.push("change", lambda d: d["kind"] == "conversation" and d["conversation"].get("title") == "The quay")
        b.request("invite", conv=conv, users=[dan.id])
        assert b.refused("role", conv=conv, user=eve.id, role="admin")["code"] == "forbidden"
        assert b.refused("remove", conv=conv, user=ann.id)["code"] == "forbidden"
        said = e.text(conv, "spam")
        b.request("recall", mid=said["mid"])
        assert a.history(conv)[-1]["recalled"] is True
        a.request("role", conv=conv, user=bob.id, role="owner")
        roles = {m["user"]: m["role"] for m in a.request("conversation", conv=conv)["conversation"]["members"]}
        assert roles[bob.id] == "owner" and roles[ann.id] in ("admin", "member") and list(roles.values()).count("owner") == 1
        assert a.refused("role", conv=conv, user=eve.id, role="admin")["code"] == "forbidden"


@pytest.mark.parametrize("d, codes", [
    ({"type": "group", "title": "", "members": []}, ("payload_invalid",)), ({"type": "group", "title": "x" * 201, "members": []}, ("payload_invalid", "too_large")),
    ({"type": "group", "title": "ok", "members": ["nonsense"]}, ("payload_invalid",)), ({"type": "group", "title": "ok", "members": ["@nobody-at-all"]}, ("not_found",)),
    ({"type": "crowd", "title": "ok", "members": []}, ("payload_invalid",)), ({"type": "direct"}, ("payload_invalid",)),
    ({"type": "group", "title": "ok", "members": [], "cid": ""}, ("payload_invalid",)),
], ids=str)
def test_a_wrong_conversation_is_not_made(two, d, codes):
    _, a, _, _ = two
    assert a.refused("create", **{"cid": new_cid(), **d})["code"] in codes
    assert a.request("conversations")["items"] == []


# MARK: block, users, lists

def test_a_blocked_person_is_refused_with_the_reason(two):
    ann, a, bob, b = two
    sent = a.text("@" + bob.name, "hello")
    b.message(sent["mid"])
    assert b.request("block", user=ann.id, on=True) == {}
    assert b.request("blocks")["items"] == [ann.id]
    assert a.refused("send", conv=sent["conv"], cid=new_cid(), kind="text", text="hello?")["code"] == "blocked"
    b.barrier()
    assert not [p for p in b.pushes if "hello?" in str(p)]
    b.request("block", user=ann.id, on=False)
    assert b.request("blocks")["items"] == []
    assert b.message(a.text(sent["conv"], "again")["mid"])


def test_people_are_found_by_the_beginning_of_their_name(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a, bob.chat():
        found = a.request("users", q=bob.name.upper())["items"]
        assert [(u["id"], u["name"], u["online"]) for u in found] == [(bob.id, bob.name, True)]
        assert a.request("users", q="no-such-beginning-")["items"] == []
        page = a.request("users", limit=1)
        assert len(page["items"]) == 1 and page["next"]
        assert a.request("users", limit=1, after=page["next"])["items"][0]["id"] != page["items"][0]["id"]
        assert a.refused("users", limit=101)["code"] in ("bad_request", "payload_invalid")


def test_conversations_come_most_recent_first_and_in_pages(box):
    ann, *others = box.people("ann", "p1", "p2", "p3", "p4", "p5")
    with ann.chat() as a:
        convs = [a.text("@" + other.name, "hi " + other.name)["conv"] for other in others]
        a.text(convs[1], "most recent")
        seen, after = [], None
        while True:
            page = a.request("conversations", limit=2, **({"after": after} if after else {}))
            seen += page["items"]
            after = page.get("next")
            if not after:
                break
        assert [c["id"] for c in seen] == [convs[1], convs[4], convs[3], convs[2], convs[0]]
        assert seen[0]["last"]["text"] == "most recent"
        assert a.refused("conversations", limit=201)["code"] in ("bad_request", "payload_invalid")


def test_history_is_paged_both_ways_without_gap_or_repetition(two):
    ann, a, bob, b = two
    conv = direct(a, bob)
    ids = [a.start("send", conv=conv, cid=new_cid(), kind="text", text=str(n)) for n in range(120)]
    for id in ids:
        a.reply(id)
    newest = b.request("history", conv=conv)
    assert [m["text"] for m in newest["items"]] == [str(n) for n in range(70, 120)] and newest["more"] is True
    older = b.request("history", conv=conv, before=newest["items"][0]["order"], limit=100)
    assert [m["text"] for m in older["items"]] == [str(n) for n in range(70)] and older["more"] is False
    forward, after = [], older["items"][0]["order"]
    while True:
        page = b.request("history", conv=conv, after=after, limit=11)
        forward += page["items"]
        if not page["more"]:
            break
        after = page["items"][-1]["order"]
    assert [m["text"] for m in forward] == [str(n) for n in range(1, 120)]
    assert b.refused("history", conv=conv, limit=201)["code"] in ("bad_request", "payload_invalid")
    assert b.refused("history", conv=conv, before="x")["code"] == "payload_invalid"


# MARK: the same over REST

def test_the_chat_over_rest_is_the_same_chat(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with bob.chat() as b:
        cid = new_cid()
        sent = ann.rest.post(f"/v1/conversations/@{bob.name}/messages", {"cid": cid, "kind": "text", "text": "by REST"})
        ack = ok(sent, 201)
        assert b.message(ack["mid"])["text"] == "by REST"
        again = ann.rest.post(f"/v1/conversations/{ack['conv']}/messages", {"cid": cid, "kind": "text", "text": "by REST"})
        assert ok(again, 200) == {**ack, "dup": True}
        ok(ann.rest.patch(f"/v1/messages/{ack['mid']}", {"text": "by REST, edited"}))
        assert b.push("change", lambda d: d["kind"] == "edit")["text"] == "by REST, edited"
        ok(bob.rest.put(f"/v1/messages/{ack['mid']}/reactions", {"emoji": "🌊", "on": True}))
        history = ok(bob.rest.get(f"/v1/conversations/{ack['conv']}/messages", params={"limit": 10}))
        assert history["items"][0]["text"] == "by REST, edited" and history["items"][0]["reactions"][0]["emoji"] == "🌊" and history["more"] is False
        assert bob.rest.post(f"/v1/conversations/{ack['conv']}/receipt", {"read": ack["order"]}).status_code == 204
        assert ok(bob.rest.get(f"/v1/conversations/{ack['conv']}"))["conversation"]["unread"] == 0
        ok(ann.rest.delete(f"/v1/messages/{ack['mid']}"))
        assert b.push("change", lambda d: d["kind"] == "recall")["mid"] == ack["mid"]

        made = ann.rest.post("/v1/conversations", {"type": "group", "title": "Pier", "members": [bob.id], "cid": new_cid()})
        conv = ok(made, 201)["conversation"]["id"]
        assert ann.rest.post("/v1/conversations", {"type": "direct", "user": bob.id}).status_code == 200
        assert ok(ann.rest.patch(f"/v1/conversations/{conv}", {"title": "Pier 2"}))["conversation"]["title"] == "Pier 2"
        ok(ann.rest.post(f"/v1/conversations/{conv}/members", {"users": [eve.id]}))
        ok(ann.rest.put(f"/v1/conversations/{conv}/members/{bob.id}", {"role": "admin"}))
        assert ok(ann.rest.delete(f"/v1/conversations/{conv}/members/{eve.id}")) is not False
        assert bob.rest.delete(f"/v1/conversations/{conv}/members/{bob.id}").status_code == 204
        assert [m["user"] for m in ok(ann.rest.get(f"/v1/conversations/{conv}"))["conversation"]["members"]] == [ann.id]
        assert bob.rest.get(f"/v1/conversations/{conv}").status_code == 404

        assert ann.rest.put(f"/v1/blocks/{eve.id}").status_code == 204
        assert ok(ann.rest.get("/v1/blocks"))["items"] == [eve.id]
        assert ann.rest.delete(f"/v1/blocks/{eve.id}").status_code == 204
        assert ok(ann.rest.get("/v1/users", params={"q": bob.name}))["items"][0]["id"] == bob.id
        first = ok(ann.rest.get("/v1/sync"))
        assert first["status"] == "reset" and first["cursor"]
        assert conv in [c["id"] for c in ok(ann.rest.get("/v1/conversations"))["items"]]
