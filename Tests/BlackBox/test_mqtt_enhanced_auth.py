"""MQTT 5 enhanced authentication: AUTH with SCRAM-SHA-256, and re-authentication, against the real program."""

import secrets
import sqlite3
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import Box, MQTTClient, eventually, free_address
from harness.raw_mqtt import packet, string, varint
from harness.rest import ok
from harness.scram import METHOD, Scram
from harness.statements import statements
from harness.wire import Wire, properties

CONTINUE, AGAIN = 0x18, 0x19


@pytest.fixture(scope="module")
def scram_box(tmp_path_factory):
    """One box that speaks SCRAM and whose ordinary topics are open; its tests make people of their own."""
    box = Box(tmp_path_factory.mktemp("scram") / "data", "--mqtt-anonymous", "#", config="mqtt.scram = true\n").start()
    yield box
    box.stop()


@pytest.fixture
def bob(scram_box):
    return scram_box.person("bob")


def auth(reason: int, data: bytes | None = None, method: str | None = METHOD) -> bytes:
    encoded = properties(auth_method=method, auth_data=data)
    return packet(0xF0, bytes([reason]) + varint(len(encoded)) + encoded)


def begin(box, scram: Scram | None, sends_first: bool = True, address: str | None = None, **options) -> Wire:
    """A connection that has said CONNECT with the method."""
    wire = Wire(box, address=address or free_address())
    options.setdefault("auth_method", METHOD)
    if scram and sends_first:
        options.setdefault("auth_data", scram.first)
    wire.write(wire.connect_bytes("a" + secrets.token_hex(8), **options))
    return wire


def challenge(wire: Wire, method: str = METHOD) -> bytes:
    asked = wire.expect("AUTH")
    assert (asked.reason, asked.get("auth_method")) == (CONTINUE, method), asked
    return asked.get("auth_data")


def come_in(box, person, **options) -> Wire:
    """A connection that has been accepted by SCRAM."""
    scram = Scram(person.name, person.password)
    wire = begin(box, scram, **options)
    wire.write(auth(CONTINUE, scram.final(challenge(wire))))
    connack = wire.expect("CONNACK")
    assert (connack.reason, connack.get("auth_method")) == (0, METHOD), connack
    assert scram.believes(connack.get("auth_data"))
    return wire


def refused(wire: Wire, reason: int) -> None:
    last = wire.last_word()
    assert last is not None and (last.type, last.reason) == ("CONNACK", reason), last
    assert last.get("reason_string")


# MARK: coming in


@statements("MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
@pytest.mark.parametrize("sends_first", [True, False], ids=["with CONNECT", "after it"])
def test_a_client_comes_in_without_showing_its_password_and_the_box_proves_itself(scram_box, bob, sends_first):
    scram = Scram(bob.name, bob.password)
    wire = begin(scram_box, scram, sends_first)
    if not sends_first:
        assert challenge(wire) is None
        wire.write(auth(CONTINUE, scram.first))
    wire.write(auth(CONTINUE, scram.final(challenge(wire))))
    connack = wire.expect("CONNACK")
    assert (connack.reason, connack.get("auth_method")) == (0, METHOD)
    assert scram.believes(connack.get("auth_data"))
    # It is bob: the chat is his.
    assert wire.subscribe("v1/me/in").reasons == [0]
    wire.give("x/" + bob.name, b"hello", qos=1)
    wire.disconnect()


@statements("MQTT-4.12.0-6")
def test_a_client_that_names_no_method_is_answered_without_one(scram_box, bob):
    wire = Wire(scram_box)
    connack = wire.connect(username=bob.name, password=bob.password)
    assert connack.get("auth_method") is None and connack.get("auth_data") is None
    assert wire.pending() == []


@statements("MQTT-4.12.0-7")
@pytest.mark.parametrize("reason", [0x00, CONTINUE, AGAIN])
def test_an_auth_of_a_client_that_named_no_method_is_a_protocol_error(scram_box, reason):
    wire = Wire(scram_box)
    wire.connect()
    wire.write(auth(reason, b"x"))
    wire.closed_with(0x82)


@statements("MQTT-4.12.0-1")
@pytest.mark.parametrize("method", ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "scram-sha-256", "PLAIN", ""])
def test_a_method_that_the_box_does_not_speak_is_refused(scram_box, method):
    refused(begin(scram_box, None, auth_method=method), 0x8C)


@statements("MQTT-4.12.0-1")
def test_no_method_is_spoken_unless_the_setting_says_so_and_nothing_is_kept_for_one(box):
    person = box.person()
    refused(begin(box, Scram(person.name, person.password)), 0x8C)
    assert verifiers(box)[person.name] == ""


@statements("MQTT-4.12.0-4")
def test_a_wrong_password_and_a_name_that_nobody_has_are_refused_alike(scram_box, bob):
    seen = []
    for name in (bob.name, "nobody-" + secrets.token_hex(4)):
        scram = Scram(name, "wrong wrong")
        wire = begin(scram_box, scram)
        asked = challenge(wire)
        wire.write(auth(CONTINUE, scram.final(asked)))
        last = wire.last_word()
        fields = Scram.fields(asked)
        seen.append((fields["i"], len(fields["s"]), len(fields["r"]), last.type, last.reason, last.get("reason_string")))
    assert seen[0] == seen[1]
    assert seen[0][3:5] == ("CONNACK", 0x86)


def test_a_name_that_nobody_has_is_shown_the_same_salt_each_time_over_a_restart_too(new_box):
    box = new_box(config="mqtt.scram = true\n")
    name = "nobody"
    salts = {Scram.fields(challenge(begin(box, Scram(name, "x"))))["s"] for _ in range(2)}
    box.restart()
    salts.add(Scram.fields(challenge(begin(box, Scram(name.upper(), "x"))))["s"])
    assert len(salts) == 1
    assert Scram.fields(challenge(begin(box, Scram("somebody", "x"))))["s"] not in salts


@statements("MQTT-4.12.0-4")
@pytest.mark.parametrize("first", [
    b"", b"nonsense", b"n,,n=,r=abc", b"p=tls-unique,,n=user,r=abc", b"n,a=root,n=user,r=abc", b"n,,m=x,n=user,r=abc", b"n,,n=\xff,r=abc",
    b"n,,n=user,r=" + b"r" * 2_000])
def test_a_first_message_that_is_not_one_is_refused(scram_box, first):
    refused(begin(scram_box, None, auth_data=first), 0x87)


@statements("MQTT-4.12.0-4")
@pytest.mark.parametrize("change", ["nonce", "binding", "nothing", "garbage"])
def test_a_final_message_of_another_exchange_is_refused(scram_box, bob, change):
    scram = Scram(bob.name, bob.password)
    wire = begin(scram_box, scram)
    final = scram.final(challenge(wire)).decode()
    message = {"nonce": final.replace("r=", "r=x"), "binding": final.replace("c=biws", "c=eSws"), "nothing": "", "garbage": "p=" + "A" * 500}[change]
    wire.write(auth(CONTINUE, message.encode()))
    refused(wire, 0x87)


def test_a_proof_that_was_overheard_opens_nothing(scram_box, bob):
    scram = Scram(bob.name, bob.password)
    wire = begin(scram_box, scram)
    final = scram.final(challenge(wire))
    wire.write(auth(CONTINUE, final))
    assert wire.expect("CONNACK").reason == 0
    thief = begin(scram_box, scram)
    challenge(thief)
    thief.write(auth(CONTINUE, final))
    refused(thief, 0x87)


@statements("MQTT-3.1.2-30", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
@pytest.mark.parametrize("wrong", [
    packet(0xC0), packet(0x30, string("a") + b"\x00x"), packet(0x82, b"\x00\x01\x00" + string("a") + b"\x00"), packet(0xF0),
    auth(0x00, b"x"), auth(AGAIN, b"x"), auth(CONTINUE, b"x", "SCRAM-SHA-1"), auth(CONTINUE, b"x") + packet(0xC0), auth(CONTINUE, b"x") * 2],
    ids=["PINGREQ", "PUBLISH", "SUBSCRIBE", "empty AUTH", "AUTH 0x00", "AUTH 0x19", "other method", "AUTH and PINGREQ", "AUTH twice"])
def test_between_connect_and_connack_nothing_but_one_auth_of_the_method_may_come(scram_box, bob, wrong):
    wire = begin(scram_box, Scram(bob.name, bob.password))
    challenge(wire)
    wire.write(wrong)
    refused(wire, 0x82)


@statements("MQTT-3.15.1-1", "MQTT-3.14.0-1")
@pytest.mark.parametrize("wrong, reason", [
    (b"\xf1\x00", 0x81), (packet(0xF0, b"\x18\x00"), 0x82), (packet(0xF0, b"\x17\x00"), 0x82), (packet(0xF0, b"\x18\x05\x15"), 0x81),
    (packet(0xF0, b"\x18\x08" + properties(auth_method="M") * 2), 0x82), (packet(0x00), 0x81)],
    ids=["flags", "no method", "unknown reason", "cut", "method twice", "type 0"])
def test_an_auth_that_is_malformed_before_connack_is_refused_by_a_connack(scram_box, bob, wrong, reason):
    wire = begin(scram_box, Scram(bob.name, bob.password))
    challenge(wire)
    wire.write(wrong)
    refused(wire, reason)


def test_an_auth_of_a_stranger_is_bounded_as_its_connect_is(scram_box, bob):
    wire = begin(scram_box, Scram(bob.name, bob.password))
    challenge(wire)
    wire.write(b"\xf0" + varint(200 * 1024))
    refused(wire, 0x95)


@statements("MQTT-3.1.2-30")
def test_a_client_may_give_up_between_connect_and_connack(scram_box, bob):
    wire = begin(scram_box, Scram(bob.name, bob.password))
    challenge(wire)
    wire.write(packet(0xE0))
    assert wire.last_word() is None


def test_what_is_sent_behind_connect_before_the_challenge_is_too_early(scram_box, bob):
    scram = Scram(bob.name, bob.password)
    wire = Wire(scram_box)
    connect = wire.connect_bytes("a" + secrets.token_hex(8), auth_method=METHOD, auth_data=scram.first)
    wire.write(connect + packet(0x30, string("a") + b"\x00x"))
    challenge(wire)
    refused(wire, 0x82)


@pytest.mark.parametrize("name, reason", [("own", 0), ("other", 0x86)])
def test_a_user_name_in_connect_is_that_of_who_is_proved(scram_box, bob, name, reason):
    other = scram_box.person("other")
    scram = Scram(bob.name, bob.password)
    wire = begin(scram_box, scram, username=bob.name if name == "own" else other.name, password="not looked at")
    wire.write(auth(CONTINUE, scram.final(challenge(wire))))
    assert wire.expect("CONNACK").reason == reason


@statements("MQTT-4.12.0-4")
@pytest.mark.long
def test_an_exchange_that_stands_still_is_ended_with_a_reason_in_bounded_time(scram_box, bob):
    wire = begin(scram_box, Scram(bob.name, bob.password))
    challenge(wire)
    last = wire.last_word(seconds=45)
    assert (last.type, last.reason) == ("CONNACK", 0x87)


def test_a_locked_account_hears_so_only_with_the_right_proof(scram_box, bob):
    assert scram_box.cli("user", "lock", bob.name).returncode == 0
    for password, reason in [(bob.password, 0x8A), ("wrong wrong", 0x86)]:
        scram = Scram(bob.name, password)
        wire = begin(scram_box, scram)
        wire.write(auth(CONTINUE, scram.final(challenge(wire))))
        refused(wire, reason)


def test_guesses_by_scram_count_with_those_by_password(scram_box, bob):
    for _ in range(4):
        scram = Scram(bob.name, "wrong wrong")
        wire = begin(scram_box, scram)
        wire.write(auth(CONTINUE, scram.final(challenge(wire))))
        refused(wire, 0x86)
    # Given up is a try too.
    begin(scram_box, Scram(bob.name, bob.password)).drop()
    refused(begin(scram_box, Scram(bob.name, bob.password)), 0x9F)
    wire = Wire(scram_box)
    wire.connect(username=bob.name, password=bob.password, reason=0x9F)


def test_guesses_at_ever_new_names_count_against_their_address(scram_box):
    address = free_address()
    answers = []
    for number in range(25):
        wire = begin(scram_box, Scram(f"name{number}", "x"), address=address)
        answers.append(wire.receive().type)
        wire.close()
    assert answers[:20] == ["AUTH"] * 20
    assert "CONNACK" in answers[20:]


# MARK: re-authentication


@statements("MQTT-4.12.1-1", "MQTT-4.12.0-5")
def test_a_client_proves_itself_anew_while_its_messages_go_on(scram_box, bob):
    wire = come_in(scram_box, bob)
    topic = "again/" + secrets.token_hex(4)
    wire.subscribe((topic, 1))
    for _ in range(3):
        scram = Scram(bob.name, bob.password)
        wire.write(auth(AGAIN, scram.first))
        asked = challenge(wire)
        id = wire.send_publish(topic, b"meanwhile", qos=1)
        found = {packet.type: packet for packet in (wire.receive(), wire.receive())}
        assert found["PUBACK"].id == id and found["PUBLISH"].payload == b"meanwhile"
        wire.ack("PUBACK", found["PUBLISH"].id)
        wire.write(auth(CONTINUE, scram.final(asked)))
        done = wire.expect("AUTH")
        assert (done.reason, done.get("auth_method")) == (0, METHOD)
        assert scram.believes(done.get("auth_data"))
    wire.nothing()


@statements("MQTT-4.12.1-2")
@pytest.mark.parametrize("who", ["wrong password", "another user", "malformed"])
def test_a_re_authentication_that_fails_ends_the_connection(scram_box, bob, who):
    wire = come_in(scram_box, bob)
    other = scram_box.person("other")
    scram = Scram(bob.name, "wrong wrong") if who == "wrong password" else Scram(other.name, other.password)
    wire.write(auth(AGAIN, b"nonsense" if who == "malformed" else scram.first))
    if who != "malformed":
        wire.write(auth(CONTINUE, scram.final(challenge(wire))))
    wire.closed_with(0x87)


@statements("MQTT-4.12.1-1", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
@pytest.mark.parametrize("wrong", [auth(AGAIN, b"x", "SCRAM-SHA-1"), auth(CONTINUE, b"x"), auth(0x00, b"x"), packet(0xF0), auth(AGAIN, b"n,,n=x,r=y") * 2],
                         ids=["other method", "nothing was asked", "AUTH 0x00", "empty", "twice"])
def test_an_auth_that_nothing_asked_for_is_a_protocol_error(scram_box, bob, wrong):
    wire = come_in(scram_box, bob)
    wire.write(wrong)
    wire.closed_with(0x82)


@statements("MQTT-3.15.1-1")
def test_an_auth_with_flags_is_malformed(scram_box, bob):
    wire = come_in(scram_box, bob)
    wire.write(b"\xf2\x00")
    wire.closed_with(0x81)


@statements("MQTT-3.15.2-2", "MQTT-3.15.2-3")
def test_an_auth_of_the_box_has_neither_reason_string_nor_user_property(scram_box, bob):
    scram = Scram(bob.name, bob.password)
    wire = begin(scram_box, scram)
    asked = wire.expect("AUTH")
    assert [name for name, _ in asked.properties] == ["auth_method", "auth_data"]
    small = begin(scram_box, scram, maximum_packet_size=len(asked.raw) - 1)
    assert small.last_word().reason == 0x95
    exact = begin(scram_box, scram, maximum_packet_size=len(asked.raw))
    assert len(exact.expect("AUTH").raw) == len(asked.raw)


# MARK: what is kept


def verifiers(box) -> dict[str, str]:
    with sqlite3.connect(f"file:{box.directory / 'skerry.db'}?mode=ro", uri=True) as db:
        return dict(db.execute("SELECT name, scram FROM user"))


def test_a_user_from_before_can_use_scram_after_one_sign_in_with_the_password(new_box):
    box = new_box()
    person = box.person("old")
    box.stop()
    box.options += ["--config", str(box.directory.parent / "on.conf")]
    (box.directory.parent / "on.conf").write_text("mqtt.scram = true\n")
    box.start()
    scram = Scram(person.name, person.password)
    wire = begin(box, scram)
    wire.write(auth(CONTINUE, scram.final(challenge(wire))))
    refused(wire, 0x86)

    Wire(box).connect(username=person.name, password=person.password)
    eventually(lambda: verifiers(box)[person.name].startswith("SCRAM-SHA-256$"), "a verifier was made")
    come_in(box, person).disconnect()
    before = verifiers(box)[person.name]
    person.login()
    box.restart()
    come_in(box, person).disconnect()
    assert verifiers(box)[person.name] == before

    # Off again: the next sign-in with the password takes the verifier away.
    box.stop()
    (box.directory.parent / "on.conf").write_text("mqtt.scram = false\n")
    box.start()
    person.login()
    eventually(lambda: verifiers(box)[person.name] == "", "the verifier is gone")


def test_a_new_password_ends_connections_made_by_scram_and_the_old_one_opens_nothing(new_box):
    box = new_box(config="mqtt.scram = true\n")
    person = box.person()
    old = person.password
    wire = come_in(box, person)
    ok(person.rest.post("/v1/me/password", {"old": old, "new": "another word"}))
    wire.closed_with(0x87)
    scram = Scram(person.name, old)
    refusal = begin(box, scram)
    refusal.write(auth(CONTINUE, scram.final(challenge(refusal))))
    refused(refusal, 0x86)
    person.password = "another word"
    come_in(box, person).disconnect()


def test_neither_password_nor_verifier_is_in_the_log(new_box):
    box = new_box(config="mqtt.scram = true\nlog.level = trace\n")
    person = box.person()
    come_in(box, person).disconnect()
    scram = Scram(person.name, "wrong wrong")
    wire = begin(box, scram)
    wire.write(auth(CONTINUE, scram.final(challenge(wire))))
    refused(wire, 0x86)
    parts = verifiers(box)[person.name].split("$")[2:]
    box.stop()
    log = box.log()
    assert all(secret not in log for secret in [person.password, "wrong wrong", *parts])


# MARK: clients of others


def test_paho_hears_that_its_method_is_not_spoken(scram_box):
    client = MQTTClient(scram_box.port("mqtt"), address=free_address())
    props = Properties(PacketTypes.CONNECT)
    props.AuthenticationMethod = "KERBEROS"
    props.AuthenticationData = b"ticket"
    heard = []
    client.paho.on_connect = lambda _client, _data, _flags, reason, _props: heard.append(reason)
    client.paho.connect("127.0.0.1", scram_box.port("mqtt"), properties=props, bind_address=client.address)
    deadline = time.monotonic() + 20
    while not heard and time.monotonic() < deadline:
        client.paho.loop(0.1)
    assert heard and heard[0].value == 0x8C
