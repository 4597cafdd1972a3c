"""Catching up after being away: nothing is missing, nothing comes twice, whatever happened in between."""

import random

from harness import eventually
from harness.chat import new_cid


def fold(items):
    """What a client shows after applying `items` in order: text by mid."""
    shown = {}
    for item in items:
        d = item["d"]
        if item["t"] == "msg":
            shown[d["mid"]] = None if d.get("recalled") else d["text"]
        elif item["t"] == "change" and d["kind"] == "edit" and d["mid"] in shown:
            shown[d["mid"]] = d["text"]
        elif item["t"] == "change" and d["kind"] == "recall" and d["mid"] in shown:
            shown[d["mid"]] = None
    return shown


def test_what_was_said_while_away_comes_with_sync(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a:
        conv = a.text("@" + bob.name, "first")["conv"]
        with bob.chat() as b:
            b.message(a.text(conv, "second")["mid"])
            b.barrier()
            cursor = b.cursor
        acks = [a.text(conv, f"line {n}") for n in range(30)]
        edited = a.request("edit", mid=acks[3]["mid"], text="line three")
        a.request("recall", mid=acks[4]["mid"])
        with bob.chat(cursor=cursor) as b:
            assert b.greeting["sync"] == "ok"
            items, after, statuses = b.sync(cursor, limit=7)
            assert set(statuses) == {"ok"}
            mids = [i["d"]["mid"] for i in items if i["t"] == "msg"]
            assert mids == [ack["mid"] for ack in acks]
            shown = fold(items)
            assert shown[acks[3]["mid"]] == "line three" and shown[acks[4]["mid"]] is None and shown[acks[5]["mid"]] == "line 5"
            again, _, _ = b.sync(after)
            assert again == []
        assert edited["order"] > acks[-1]["order"]


def test_the_cursor_of_hello_joins_sync_and_live_without_a_gap(box):
    """Messages keep coming while a client connects and pages: live pushes and sync together hold each at least once."""
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a:
        conv = a.text("@" + bob.name, "start")["conv"]
        with bob.chat() as b:
            b.barrier()
            cursor = b.greeting["live"]
        pending = []
        for _ in range(40):
            pending.append(a.start("send", conv=conv, cid=new_cid(), kind="text", text="before"))
        with bob.chat(cursor=cursor) as b:
            for _ in range(40):
                pending.append(a.start("send", conv=conv, cid=new_cid(), kind="text", text="during"))
            items, _, _ = b.sync(cursor, limit=5)
            for _ in range(40):
                pending.append(a.start("send", conv=conv, cid=new_cid(), kind="text", text="after"))
            acked = {a.reply(id)["mid"] for id in pending}
            synced = [i["d"]["mid"] for i in items if i["t"] == "msg"]
            live = lambda: [p["d"]["mid"] for p in list(b.pushes) if p.get("t") == "msg"]
            eventually(lambda: acked <= set(live()) | set(synced), "every message came live or with sync")
            b.barrier()
            live = live()
            assert len(live) == len(set(live)), "a live push came twice"
            assert len(synced) == len(set(synced)), "sync gave a message twice"


def test_every_kind_of_change_comes_with_sync(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with ann.chat() as a:
        with bob.chat() as b:
            cursor = b.greeting["live"]
        conv = a.request("create", type="group", title="Reef", members=[bob.id], cid=new_cid())["conversation"]["id"]
        sent = a.text(conv, "hello")
        a.request("react", mid=sent["mid"], emoji="🐠", on=True)
        a.request("receipt", conv=conv, read=sent["order"])
        a.request("update", conv=conv, title="Reef 2")
        a.request("invite", conv=conv, users=[eve.id])
        gone = a.request("create", type="group", title="Short", members=[bob.id], cid=new_cid())["conversation"]["id"]
        a.request("remove", conv=gone, user=bob.id)
        with bob.chat(cursor=cursor) as b:
            items, _, _ = b.sync(cursor)
            kinds = [(i["t"], i["d"].get("kind")) for i in items]
            assert ("msg", "text") in kinds and ("change", "react") in kinds and ("change", "conversation") in kinds
            assert any(i["t"] == "receipt" and i["d"]["user"] == ann.id and i["d"]["read"] == sent["order"] for i in items)
            latest = [i["d"]["conversation"] for i in items if i["t"] == "change" and i["d"].get("kind") == "conversation" and i["d"]["conversation"]["id"] == conv][-1]
            assert latest["title"] == "Reef 2" and {m["user"] for m in latest["members"]} == {ann.id, bob.id, eve.id}
            assert any(i["t"] == "change" and i["d"].get("kind") == "left" and i["d"]["conv"] == gone for i in items)


def test_a_cursor_holds_over_restart_and_kill(new_box, rng):
    box = new_box()
    ann, bob = box.people("ann", "bob")
    with bob.chat() as b:
        cursor = b.greeting["live"]
    expected = []
    for round in range(6):
        with ann.chat() as a:
            expected += [a.text("@" + bob.name, f"{round}.{n}")["mid"] for n in range(rng.randint(1, 15))]
        (box.kill if round % 2 else box.stop)()
        box.start()
    with bob.chat(cursor=cursor) as b:
        assert b.greeting["sync"] == "ok"
        items, _, _ = b.sync(cursor, limit=10)
        assert [i["d"]["mid"] for i in items if i["t"] == "msg"] == expected


def test_without_a_cursor_the_answer_is_to_reload(box):
    ann = box.person("ann")
    with ann.chat() as a:
        page = a.request("sync")
        assert page["status"] == "reset" and page["done"] is True and page["cursor"]
        items, _, statuses = a.sync(page["cursor"])
        assert items == [] and statuses == ["ok"]


def test_a_cursor_that_cannot_be_read_is_never_taken_for_a_good_one(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a:
        a.text("@" + bob.name, "hello")
        live = a.greeting["live"]
        for wrong in ("x", "", "A" * 5_000, live + "x", live[:-1], "🌊", random.Random(7).randbytes(40).hex()):
            try:
                page = a.request("sync", since=wrong)
            except Exception as refusal:
                assert getattr(refusal, "code", None) in ("payload_invalid", "bad_request"), refusal
            else:
                assert page["status"] in ("reset", "limited"), f"{wrong!r} was taken as {page['status']}"


def test_a_cursor_shows_nobody_elses_conversations(box):
    ann, bob, eve = box.people("ann", "bob", "eve")
    with eve.chat() as e, ann.chat() as a:
        before = a.greeting["live"]
        a.text("@" + bob.name, "only for bob")
        items, _, _ = e.sync(before)
        assert not any("only for bob" in str(i) for i in items)


def test_pages_of_sync_keep_their_limit(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as a:
        cursor = a.greeting["live"]
        conv = a.text("@" + bob.name, "0")["conv"]
        for id in [a.start("send", conv=conv, cid=new_cid(), kind="text", text=str(n)) for n in range(1, 25)]:
            a.reply(id)
        page = a.request("sync", since=cursor, limit=10)
        assert 0 < len(page["items"]) <= 10 and page["done"] is False
        assert a.refused("sync", since=cursor, limit=501)["code"] in ("bad_request", "payload_invalid")
        assert a.refused("sync", since=cursor, limit=0)["code"] in ("bad_request", "payload_invalid")
