"""How a WebSocket comes, stays and goes: handshake, hello, close codes, heartbeat, slow consumers, limits."""

import json
import socket
import time

import pytest
from websockets.exceptions import InvalidHandshake

from harness import Chat, ChatClosed, ChatRefused
from harness.chat import new_cid
from harness.raw import WebSocketRaw, http_exchange


def test_without_hello_the_connection_is_closed_with_4408_in_5_seconds(box):
    began = time.monotonic()
    chat = Chat(box.ws_url)
    assert chat.closed(15).code == 4408
    assert 4 < time.monotonic() - began < 10


def test_frames_that_are_no_hello_do_not_put_the_deadline_off(box):
    chat = Chat(box.ws_url)
    began = time.monotonic()
    while chat.is_open and time.monotonic() - began < 12:
        try:
            chat.request("ping")
        except ChatRefused as refusal:
            assert refusal.code in ("unauthenticated", "bad_request")
        except ChatClosed:
            break
        time.sleep(0.2)
    assert chat.closed(5).code in (4408, 4400, 4401)


@pytest.mark.parametrize("token", ["", "sk_" + "a" * 52, "nonsense", "sk_" + "a" * 5_000, "sc_" + "a" * 52])
def test_a_wrong_token_is_refused_and_closed_with_4401(box, token):
    chat = Chat(box.ws_url)
    with pytest.raises(ChatRefused) as refusal:
        chat.hello(token)
    assert refusal.value.code in ("unauthenticated", "payload_invalid")
    assert chat.closed().code == 4401


def test_a_revoked_token_closes_the_live_connection_with_4401(box):
    ann = box.person("ann")
    with ann.chat() as chat:
        ann.rest.post("/v1/logout")
        assert chat.closed().code == 4401


def test_ten_bad_frames_in_a_row_close_with_4400(box):
    ann = box.person("ann")
    chat = ann.chat()
    for number in range(10):
        chat.send_text("this is not JSON" if number % 2 else "[1,2,3]")
    assert chat.closed().code == 4400
    assert len([p for p in chat.pushes if p.get("error", {}).get("code") == "bad_request"]) >= 9


def test_a_good_frame_between_bad_ones_starts_the_count_again(box):
    ann = box.person("ann")
    with ann.chat() as chat:
        for _ in range(4):
            for _ in range(8):
                chat.send_text("{")
                assert chat.error_push()["code"] == "bad_request"
            chat.barrier()


@pytest.mark.parametrize("frame", [
    "", "null", "7", '"text"', "[]", "{", "{}", '{"t":5,"id":1}', '{"id":1}', '{"t":"ping","id":"one"}', '{"t":"ping","id":-1}', '{"t":"ping","id":1.5}',
    '{"t":"ping","id":9007199254740993}', '{"t":"ping","id":1,"d":[]}', '{"t":"ping","id":1,"d":null' + "}" * 3, '{"t":"ping"' + ',"a":' + "[" * 20 + "]" * 20 + "}",
    '{"t":"send","id":1,"d":{"conv":5}}', '{"t":"ping","id":1,"d":{}}garbage', "\ufeff{}", '{"t":"ping","t":"send","id":1}', '{"t":"\\ud800","id":1}', "NaN", '{"t":"ping","id":1e400}',
], ids=lambda f: repr(f)[:40])
def test_a_frame_that_is_not_understood_is_answered_and_the_connection_stays(box, frame):
    ann = box.person("ann")
    with ann.chat() as chat:
        chat.send_text(frame)
        chat.request("ping")  # a number of its own, so an answer to the frame before never stands in for it
        assert chat.is_open
        bad = [p for p in chat.pushes if "error" in p] + [r for r in chat._replies.values() if "error" in r]
        assert all(p["error"]["code"] in ("bad_request", "payload_invalid") for p in bad)


def test_an_unknown_verb_and_unknown_fields_do_no_harm(box):
    ann = box.person("ann")
    with ann.chat() as chat:
        assert chat.refused("dance")["code"] == "bad_request"
        assert chat.request("ping", extra={"deep": [1, {"er": None}]})["time"]


def test_a_binary_frame_is_answered_with_bad_request_and_the_connection_stays(box):
    ann = box.person("ann")
    with ann.chat() as chat:
        chat.send_bytes(b"\x00\xff" * 50)
        assert chat.error_push()["code"] == "bad_request"
        chat.barrier()


def test_nesting_deeper_than_16_is_refused_before_anything_is_built(box):
    ann = box.person("ann")
    with ann.chat() as chat:
        chat.send_text('{"t":"ping","id":900,"d":{"a":' + "[" * 14 + "]" * 14 + "}}")
        assert chat.reply(900)["time"]
        for depth in (15, 1_000, 20_000):
            chat.send_text('{"t":"ping","id":901,"d":{"a":' + "[" * depth + "]" * depth + "}}")
        chat.barrier()
        assert chat.is_open


def test_a_frame_over_the_limit_closes_with_1009(box):
    ann = box.person("ann")
    chat = ann.chat()
    limit = chat.greeting["maxFrame"]
    fits = json.dumps({"t": "ping", "id": 70, "d": {"pad": ""}})
    chat.send_text(json.dumps({"t": "ping", "id": 70, "d": {"pad": "x" * (limit - len(fits))}}))
    assert chat.reply(70)["time"]
    chat.send_text("x" * (limit + 1))
    assert chat.closed().code == 1009


def test_an_answer_comes_in_the_order_of_its_request_from_one_client(box):
    ann, bob = box.people("ann", "bob")
    with ann.chat() as chat:
        conv = chat.text("@" + bob.name, "0")["conv"]
        ids = [chat.start("send", conv=conv, cid=new_cid(), kind="text", text=str(n)) for n in range(200)]
        orders = [chat.reply(id)["order"] for id in ids]
        assert orders == sorted(orders) and len(set(orders)) == 200


def test_the_handshake_needs_the_subprotocol(box):
    with pytest.raises(InvalidHandshake):
        Chat(box.ws_url, subprotocols=["nonsense"])


def test_the_boxs_own_page_and_programs_without_an_origin_get_a_socket(box):
    port = box.port("http")
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: skerry.v1.json\r\n"
    upgrade = f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}"
    assert http_exchange(port, upgrade + f"Origin: http://127.0.0.1:{port}\r\n\r\n", until_headers=True).startswith(b"HTTP/1.1 101")
    assert http_exchange(port, upgrade + "\r\n", until_headers=True).startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize("change", [
    ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 12"), ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""), ("Upgrade: websocket\r\n", ""),
    ("GET", "POST"), ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: short"),
], ids=["version", "no key", "no upgrade", "POST", "bad key"])
def test_a_wrong_handshake_is_refused_over_http(box, change):
    port = box.port("http")
    request = (f"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: skerry.v1.json\r\n\r\n")
    answer = http_exchange(port, request.replace(*change), until_headers=True)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:100]
    if "12" in change[1]:
        assert answer.startswith(b"HTTP/1.1 426") or answer.startswith(b"HTTP/1.1 400")


def test_the_close_handshake_is_answered(box):
    ann = box.person("ann")
    raw = WebSocketRaw(box.port("http"))
    raw.text(json.dumps({"t": "hello", "id": 1, "d": {"token": ann.token}}))
    assert raw.frame()[0] == 1
    raw.send(0x8, (1000).to_bytes(2, "big") + b"bye")
    assert raw.close_code() == 1000
    assert raw.ended()


def test_ping_frames_are_answered_with_their_payload(box):
    raw = WebSocketRaw(box.port("http"))
    raw.send(0x9, b"are you there")
    opcode, payload = raw.frame()
    assert (opcode, payload) == (0xA, b"are you there")


def test_a_message_may_come_in_fragments_with_control_frames_between(box):
    ann = box.person("ann")
    raw = WebSocketRaw(box.port("http"))
    hello = json.dumps({"t": "hello", "id": 1, "d": {"token": ann.token, "x": "潮汐🌊"}}, ensure_ascii=False).encode()
    cut = hello.index("汐".encode()) + 1  # in the middle of a character
    raw.send(0x1, hello[:cut], fin=False)
    raw.send(0x9, b"p")
    raw.send(0x0, hello[cut:cut + 5], fin=False)
    raw.send(0x0, b"", fin=False)
    raw.send(0x0, hello[cut + 5:])
    assert raw.frame() == (0xA, b"p")
    opcode, payload = raw.frame()
    assert opcode == 1 and json.loads(payload)["d"]["user"] == ann.id


def test_a_client_that_does_not_read_is_closed_and_delays_nobody(box):
    ann, bob = box.people("ann", "bob")
    slow = WebSocketRaw(box.port("http"), receive_buffer=4_096)
    slow.text(json.dumps({"t": "hello", "id": 1, "d": {"token": bob.token}}))
    assert slow.frame()[0] == 1
    with ann.chat() as a:
        conv = a.text("@" + bob.name, "start")["conv"]
        sent = 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for id in [a.start("send", conv=conv, cid=new_cid(), kind="text", text="x" * 7_900) for _ in range(50)]:
                a.reply(id)
                sent += 1
            online = [i for i in box.admin.rest.get("/v1/admin/online").json()["items"] if i["user"] == bob.id]
            if not online:
                break
        assert not online, f"still connected after {sent} messages of 8 kB unread"
        assert sent * 7_900 > 256 * 1024, "closed far too early"
        began = time.monotonic()
        a.text(conv, "quick")
        assert time.monotonic() - began < 2
    with bob.chat() as b:
        assert len(b.history(conv, limit=200)) == sent + 2, "what was acknowledged is there for the slow client to fetch"


@pytest.mark.long
def test_an_idle_client_is_cut_after_two_and_a_half_heartbeats(box):
    """The heartbeat is 25 s by contract, so this takes a minute; it runs beside the other tests."""
    ann = box.person("ann")
    chat = ann.chat()
    heartbeat = chat.greeting["heartbeat"]
    began = time.monotonic()
    closed = chat.closed(heartbeat * 4)
    assert closed.code == 4510
    assert heartbeat * 2 < time.monotonic() - began < heartbeat * 3.2


@pytest.mark.long
def test_a_client_that_pings_stays(box):
    ann = box.person("ann")
    with ann.chat() as chat:
        heartbeat = chat.greeting["heartbeat"]
        until = time.monotonic() + heartbeat * 2.5 + 5
        while time.monotonic() < until:
            chat.request("ping")
            time.sleep(heartbeat * 0.8 if until - time.monotonic() > heartbeat * 0.8 else 1)
        chat.barrier()


def test_sending_too_fast_for_long_is_slowed_down_not_cut(new_box):
    box = new_box(config="chat.send_burst = 20\nchat.send_per_second = 5\n")
    ann, bob = box.people("ann", "bob")
    with ann.chat() as chat:
        conv = chat.request("create", type="direct", user=bob.id)["conversation"]["id"]
        refused = None
        for n in range(60):
            try:
                chat.text(conv, str(n))
            except ChatRefused as refusal:
                refused = refusal.error
                break
        assert refused and refused["code"] == "rate_limited" and refused["temporary"] is True and refused["retryAfter"] >= 1
        deadline = time.monotonic() + 10
        while True:
            try:
                chat.text(conv, "later")
                break
            except ChatRefused as refusal:
                assert refusal.code == "rate_limited" and time.monotonic() < deadline
            time.sleep(0.2)


def test_many_connections_of_one_user_are_bounded(new_box):
    box = new_box()
    ann = box.person("ann")
    chats = []
    try:
        for _ in range(70):
            try:
                chats.append(ann.chat())
            except ChatRefused as refusal:
                assert refusal.code in ("quota_exceeded", "rate_limited")
                break
        else:
            pytest.fail("70 connections of one user")
        assert len(chats) >= 60
        chats[0].barrier()
    finally:
        for chat in chats:
            chat.socket.socket.close()
