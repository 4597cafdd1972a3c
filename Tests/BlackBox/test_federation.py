"""Two and three boxes of one federation: the same people, conversations and history at each of them."""

import shutil

import pytest

from harness import Box, Chat, ChatRefused, Person, eventually, free_port
from harness.federation import adopt, alive, at, boxes, invite, join, pair
from harness.rest import ok


@pytest.fixture
def pairs(new_box):
    """Two boxes that belong together."""
    first, second = placed(new_box), placed(new_box)
    pair(first, second)
    return first, second


def placed(new_box) -> Box:
    """A box whose federation port is the same after every start, as that of a real one."""
    return new_box("--federation-port", str(free_port()))


def known(box: Box, person: Person) -> Person:
    """The person at another box, once the account has come there."""
    return eventually(lambda: person_at(box, person), f"{person.name} can sign in at the other box")


def person_at(box: Box, person: Person):
    answer = box.rest().post("/v1/login", {"name": person.name, "password": person.password, "device": "other"})
    return Person(box, person.name, person.password, answer.json()) if answer.status_code == 200 else None


def told(chat, conv: str) -> list[dict]:
    """The history without what only the sender, or only one box, knows."""
    return [{name: value for name, value in message.items() if name not in ("cid", "replicated")} for message in chat.history(conv)]


def direct(chat, person) -> str:
    return chat.request("create", type="direct", user=person.id)["conversation"]["id"]


def test_a_message_sent_at_one_box_is_shown_at_the_other_and_its_sender_hears_that_it_is_replicated(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here, bob_there.chat() as there:
        conv = direct(here, bob)
        ack = here.text(conv, "across the water")
        shown = there.message(ack["mid"])
        assert (shown["text"], shown["order"], shown["from"]) == ("across the water", ack["order"], anna.id)
        here.push("replicated", lambda d: ack["mid"] in d["mids"])
        back = there.text(conv, "and back")
        assert here.message(back["mid"])["order"] == back["order"] > ack["order"]
        eventually(lambda: len(told(here, conv)) == 2 and told(here, conv) == told(there, conv), "both are in the history of both")


def test_a_token_of_one_box_is_good_at_the_other_and_dies_there_too_when_it_is_revoked(pairs):
    first, second = pairs
    anna = first.person("anna")
    eventually(lambda: second.rest(anna.token).get("/v1/me").status_code == 200, "the token is known at the other box")
    ok(anna.rest.post("/v1/logout", {}))
    eventually(lambda: second.rest(anna.token).get("/v1/me").status_code == 401, "the token is refused at the other box")


def test_edits_recalls_reactions_and_receipts_cross(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here, bob_there.chat() as there:
        conv = direct(here, bob)
        one, two = here.text(conv, "one"), here.text(conv, "two")
        there.message(two["mid"])
        here.request("edit", mid=one["mid"], text="uno")
        there.push("change", lambda d: d.get("mid") == one["mid"] and d.get("text") == "uno")
        there.request("react", mid=one["mid"], emoji="👍", on=True)
        here.push("change", lambda d: d.get("mid") == one["mid"] and d.get("emoji") == "👍")
        here.request("recall", mid=two["mid"])
        there.push("change", lambda d: d.get("mid") == two["mid"])
        there.request("receipt", conv=conv, read=two["order"])
        here.push("receipt", lambda d: d["user"] == bob.id and d.get("read") == two["order"])
        eventually(lambda: told(there, conv) == told(here, conv), "the same history at both")


def test_a_cursor_of_one_box_goes_on_at_the_other_without_a_gap_or_a_repetition(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here, bob.chat() as before:
        conv = direct(here, bob)
        acks = [here.text(conv, f"{i}") for i in range(20)]
        before.message(acks[9]["mid"])
        before.message(acks[-1]["mid"])
        cursor = before.cursor
        later = [here.text(conv, f"later {i}") for i in range(20)]
    with bob_there.chat() as there:
        got: list[str] = []

        def more() -> bool:
            nonlocal cursor
            items, cursor, statuses = there.sync(cursor)
            assert "reset" not in statuses
            got.extend(item["d"]["mid"] for item in items if item["t"] == "msg")
            return len(got) >= len(later)

        eventually(more, "all that was said later has come")
        assert got == [ack["mid"] for ack in later]


def test_a_box_that_was_off_catches_up_and_what_it_wrote_alone_reaches_the_others(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here, bob_there.chat() as there:
        conv = direct(here, bob)
        there.message(here.text(conv, "both are there")["mid"])
    second.kill()
    with anna.chat() as here:
        alone = [here.text(conv, f"alone {i}")["mid"] for i in range(50)]
    first.kill()
    second.start()
    with bob_there.chat() as there:
        mine = [there.text(conv, f"meanwhile {i}")["mid"] for i in range(50)]
    first.start()
    alive(first, 2)
    with anna.chat() as here, bob_there.chat() as there:
        eventually(lambda: {m["mid"] for m in here.history(conv)} >= {*alone, *mine}, "the first box has all")
        eventually(lambda: told(here, conv) == told(there, conv), "both tell the same, in the same order")


def test_a_box_joins_with_its_own_people_and_history(new_box):
    first, second = new_box(), new_box()
    first.admin
    carol, dave = second.people("carol", "dave")
    with carol.chat() as chat:
        conv = direct(chat, dave)
        mids = [chat.text(conv, f"before {i}")["mid"] for i in range(10)]
    join(second, invite(first))
    carol_there = known(first, carol)
    with carol_there.chat() as chat:
        eventually(lambda: [m["mid"] for m in chat.history(conv)] == mids, "her history has come along")


def test_two_people_of_the_same_name_keep_one_name_and_both_can_sign_in(new_box):
    first, second = new_box(), new_box()
    one = first.person("sam", exact=True)
    other = second.person("sam", exact=True)
    join(second, invite(first))
    adopt(first, second)
    assert known(second, one).id == one.id
    eventually(lambda: any(user["name"].startswith("sam~") for user in ok(first.admin.rest.get("/v1/users?prefix=sam"))["items"]), "the later one has a tail")
    names = {user["id"]: user["name"] for user in ok(first.admin.rest.get("/v1/users?prefix=sam"))["items"]}
    assert names[one.id] == "sam" and names[other.id].startswith("sam~")
    answer = first.rest().post("/v1/login", {"name": names[other.id], "password": other.password, "device": "x"})
    assert answer.status_code == 200 and answer.json()["user"] == other.id


def test_who_is_online_at_another_box_is_online_and_is_not_any_more_when_that_box_dies(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here:
        direct(here, bob)
        there = bob_there.chat()
        here.push("presence", lambda d: d["user"] == bob.id and d["online"])
        there.close()
        here.push("presence", lambda d: d["user"] == bob.id and not d["online"])
        there = bob_there.chat()
        here.push("presence", lambda d: d["user"] == bob.id and d["online"])
        second.kill()
        here.push("presence", lambda d: d["user"] == bob.id and not d["online"], seconds=60)


def test_typing_crosses(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here, bob_there.chat() as there:
        conv = direct(here, bob)
        eventually(lambda: conv in {c["id"] for c in there.request("conversations")["items"]}, "the conversation is known there")
        here.push("presence", lambda d: d["user"] == bob.id and d["online"])
        there.request("typing", conv=conv)
        here.push("typing", lambda d: d["conv"] == conv and d["user"] == bob.id)


def test_a_lost_box_is_cut_off_and_stays_out(pairs):
    first, second = pairs
    them = next(box for box in boxes(first) if not box["isSelf"])["box"]
    bob = first.person("bob")
    token = known(second, bob).token
    eventually(lambda: first.rest(token).get("/v1/me").status_code == 200, "the token of the other box is known here")
    live = Chat(first.ws_url)
    live.hello(token)
    ok(first.admin.rest.delete(f"/v1/admin/boxes/{them}", params={"lost": "true", "reason": "stolen"}))
    eventually(lambda: next(box for box in boxes(first) if box["box"] == them)["standing"] == "removed", "it is off the list")
    assert live.closed().code == 4401
    eventually(lambda: first.rest(token).get("/v1/me").status_code == 401, "a token that the lost box gave out opens nothing")
    assert bob.rest.get("/v1/me").status_code == 200
    anna = first.person("anna")
    second.restart()
    assert person_at(second, anna) is None


def test_a_copied_card_is_noticed(new_box, tmp_path):
    # The box with the lower id dials: the card and its copy both come to the founder.
    second, first = sorted((placed(new_box), placed(new_box)), key=lambda box: box.endpoints["box"])
    pair(first, second)
    second.stop()
    twin = Box(tmp_path / "twin")
    shutil.copytree(second.directory, twin.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("run"))
    second.start()
    try:
        twin.start()
        eventually(lambda: any(box["sync"].get("quarantine") == "clone" for box in boxes(first)), "the founder sees two boxes with one identity", 60)
        assert any("copied" in (box.get("trouble") or "") for box in boxes(first))
    finally:
        twin.kill()


def test_a_restored_backup_fetches_back_what_it_has_lost(pairs, tmp_path):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    second.stop()
    shutil.copytree(second.directory, tmp_path / "backup", ignore=shutil.ignore_patterns("run"))
    second.start()
    alive(second, 2)
    with anna.chat() as here, bob_there.chat() as there:
        conv = direct(here, bob)
        eventually(lambda: conv in {c["id"] for c in there.request("conversations")["items"]}, "the conversation is known there")
        mids = [there.text(conv, f"{i}")["mid"] for i in range(20)]
        here.message(mids[-1])
    second.kill()
    shutil.rmtree(second.directory)
    shutil.copytree(tmp_path / "backup", second.directory)
    second.start()
    with bob_there.chat() as there:
        eventually(lambda: conv in {c["id"] for c in there.request("conversations")["items"]}, "the conversation has come back")
        eventually(lambda: [m["mid"] for m in there.history(conv)] == mids, "its own messages have come back")
        again = there.text(conv, "after the restore")
    with anna.chat() as here:
        eventually(lambda: [m["mid"] for m in here.history(conv)] == [*mids, again["mid"]], "nothing is lost, nothing twice, in order")


def test_a_pairing_token_is_good_once(new_box):
    first, second, third = new_box(), new_box(), new_box()
    first.admin
    token = invite(first)
    join(second, token)
    result = third.cli("pair", "join", input=token + "\n")
    assert result.returncode != 0 and "token" in result.stderr.lower()


def test_a_wrong_conversation_partner_stays_refused_at_both_boxes(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    bob_there = known(second, bob)
    with anna.chat() as here, bob_there.chat() as there:
        here.request("block", user=bob.id, on=True)
        conv = direct(here, bob)

        def refused():
            try:
                there.text(conv, "hello?")
            except ChatRefused as refusal:
                return refusal.code == "blocked"
            return False

        eventually(refused, "the block of the first box holds at the second")


def test_what_one_writes_twice_at_two_boxes_is_one_message(pairs):
    first, second = pairs
    anna, bob = first.people("anna", "bob")
    anna_there = known(second, anna)
    with anna.chat() as here, anna_there.chat() as there, bob.chat() as reader:
        conv = direct(here, bob)
        eventually(lambda: conv in {c["id"] for c in there.request("conversations")["items"]}, "the conversation is known there")
        for number in range(10):
            a, b = here.start("send", conv=conv, cid=f"same-{number}", kind="text", text="once"), there.start(
                "send", conv=conv, cid=f"same-{number}", kind="text", text="once")
            one, two = here.reply(a), there.reply(b)
            assert one["mid"] == two["mid"]
        eventually(lambda: len(here.history(conv)) == len(there.history(conv)) == 10, "ten messages, once each")
        eventually(lambda: told(here, conv) == told(there, conv), "in one order")
        reader.barrier()
        mids = [frame["d"]["mid"] for frame in reader.pushes if frame.get("t") == "msg"]
        assert len(set(mids)) == 10


def test_at_is_the_same_person(pairs):
    first, second = pairs
    anna = first.person("anna")
    known(second, anna)
    assert at(second, anna).id == anna.id
