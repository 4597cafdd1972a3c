"""Settings and certificates that change while the box runs: SIGHUP and `skerry reload`."""

import hashlib
import json
import signal
import socket
import ssl

import pytest

from harness import MQTTClient, eventually
from harness.certificates import Authority, client_context
from harness.mqtt import Refused
from harness.raw_mqtt import RawMQTT, publish


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def shown(port: int, name: str | None = None) -> bytes:
    """The hash of the certificate that the box shows to who asks for `name`."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, client_context().wrap_socket(plain, server_hostname=name) as tls:
        return hashlib.sha256(tls.getpeercert(binary_form=True)).digest()


def digest(pem) -> bytes:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.read_text())).digest()


def configure(box, text: str) -> None:
    (box.directory.parent / (box.directory.name + ".conf")).write_text(text, encoding="utf-8")


def reload(box, expect: int = 0) -> dict:
    result = box.cli("reload", "--json")
    assert result.returncode == expect, result.stderr + result.stdout
    return json.loads(result.stdout or result.stderr.removeprefix("skerry: "))


def install(pair, certificate, key) -> None:
    certificate.write_bytes(pair[0].read_bytes())
    key.write_bytes(pair[1].read_bytes())


@pytest.mark.parametrize("how", ["signal", "command"])
def test_a_new_certificate_is_for_new_handshakes_and_connections_go_on(new_box, authority, tmp_path, how):
    first, second = authority.sign("first"), authority.sign("second")
    certificate, key = tmp_path / "box.pem", tmp_path / "box.key"
    install(first, certificate, key)
    box = new_box("--mqtt-anonymous", "#", config=f"tls.certificate = {certificate}\ntls.key = {key}\n")
    assert shown(box.port("mqtts")) == shown(box.port("https")) == digest(first[0])
    with MQTTClient(port=box.port("mqtts"), tls=client_context()).connect() as old, MQTTClient(port=box.port("https"), transport="websockets", tls=client_context()).connect() as web:
        old.subscribe("a", qos=1)
        web.subscribe("a", qos=1)
        install(second, certificate, key)
        if how == "signal":
            box.process.send_signal(signal.SIGHUP)
        else:
            reload(box)
        eventually(lambda: shown(box.port("mqtts")) == digest(second[0]), "the new certificate is shown")
        assert shown(box.port("https")) == digest(second[0])
        with MQTTClient(port=box.port("mqtts"), tls=client_context()).connect() as new:
            new.publish("a", "over the new one", qos=1)
        assert old.message("a").text == web.message("a").text == "over the new one"
        assert old.disconnected is None and web.disconnected is None


@pytest.mark.parametrize("damage", ["garbage", "missing", "wrong key"])
def test_a_bad_certificate_keeps_the_old_one_and_says_so(new_box, authority, tmp_path, damage):
    first, second = authority.sign("first"), authority.sign("second")
    certificate, key = tmp_path / "box.pem", tmp_path / "box.key"
    install(first, certificate, key)
    config = f"tls.certificate = {certificate}\ntls.key = {key}\n"
    box = new_box("--mqtt-anonymous", "#", config=config)
    if damage == "garbage":
        certificate.write_text("not PEM")
    elif damage == "missing":
        certificate.unlink()
    else:
        key.write_bytes(second[1].read_bytes())
    configure(box, config + "mqtt.receive_max = 5\n")
    report = reload(box, expect=1)
    assert str(certificate) in report["problems"][0] and report["changed"] == ["mqtt.receive_max"]
    assert str(certificate) in box.log()
    assert shown(box.port("https")) == digest(first[0])
    install(second, certificate, key)
    assert reload(box)["problems"] == []
    assert shown(box.port("https")) == digest(second[0])


def test_certificates_by_name(new_box, authority):
    chat = authority.sign("chat", alternatives="DNS:chat.example.org,DNS:*.wild.example.org")
    config = f"tls.extra.chat.certificate = {chat[0]}\ntls.extra.chat.key = {chat[1]}\n"
    box = new_box("--mqtt-anonymous", "#", config=config)
    own = shown(box.port("mqtts"))
    assert own != digest(chat[0])
    for name in ("chat.example.org", "CHAT.example.org", "a.wild.example.org"):
        assert shown(box.port("mqtts"), name) == shown(box.port("https"), name) == digest(chat[0]), name
    for name in ("localhost", "example.org", "wild.example.org", "a.b.wild.example.org"):
        assert shown(box.port("mqtts"), name) == own, name
    other = authority.sign("other", alternatives="DNS:other.example.org")
    configure(box, config + f"tls.extra.other.certificate = {other[0]}\ntls.extra.other.key = {other[1]}\n")
    reload(box)
    assert shown(box.port("mqtts"), "other.example.org") == digest(other[0])
    configure(box, "")
    reload(box)
    assert shown(box.port("mqtts"), "chat.example.org") == own


def test_a_certificate_beside_the_first_must_name_a_host(new_box, authority):
    nameless = authority.sign("nameless")
    box = new_box(config=f"tls.extra.a.certificate = {nameless[0]}\ntls.extra.a.key = {nameless[1]}\n", start=False)
    with pytest.raises(AssertionError, match="names no host"):
        box.start()


def test_limits_change_for_who_comes_next_and_stay_for_who_is_there(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.receive_max = 10\nmqtt.packet_bytes_max = 4K\n")
    with MQTTClient(port=box.port("mqtt")).connect() as old:
        assert old.connack_properties.ReceiveMaximum == 10 and old.connack_properties.MaximumPacketSize == 4096
        configure(box, "mqtt.receive_max = 3\nmqtt.packet_bytes_max = 2K\nmqtt.port = 1\n")
        report = reload(box)
        assert set(report["changed"]) == {"mqtt.receive_max", "mqtt.packet_bytes_max"} and report["restart"] == []  # the port is an option's
        old.publish("a", b"x" * 3_000, qos=1)  # was promised
        with MQTTClient(port=box.port("mqtt")).connect() as new:
            assert new.connack_properties.ReceiveMaximum == 3 and new.connack_properties.MaximumPacketSize == 2048
    with RawMQTT(box.port("mqtt")) as raw:
        raw.connect(client_id="big")
        raw.write(publish("a", b"x" * 3_000))
        assert raw.goodbye() == 0x95


def test_topics_without_an_account_open_and_close_while_clients_are_there(new_box):
    box = new_box(config="mqtt.anonymous = open/#\n")
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        assert c.publish("more/a", "x", qos=1).value == 0x87
        configure(box, "mqtt.anonymous = open/#, more/#\n")
        assert reload(box)["changed"] == ["mqtt.anonymous"]
        eventually(lambda: c.publish("more/a", "x", qos=1).value != 0x87, "what was opened is open")
        configure(box, "mqtt.anonymous = more/#\n")
        reload(box)
        eventually(lambda: c.publish("open/a", "x", qos=1).value == 0x87, "what was closed is closed")
    configure(box, "")
    reload(box)
    with pytest.raises(Refused):
        MQTTClient(port=box.port("mqtt")).connect()


def test_the_queue_policy_and_limits_of_queues_change(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.queued_messages_max = 2\n")
    with MQTTClient(port=box.port("mqtt"), client_id="away", clean=False, expiry=600).connect() as away:
        away.subscribe("q", qos=1)
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        assert [c.publish("q", str(n), qos=1).value for n in range(3)] == [0, 0, 0x97]
        configure(box, "mqtt.queued_messages_max = 4\n")
        reload(box)
        assert [c.publish("q", str(n), qos=1).value for n in range(3, 6)] == [0, 0, 0x97]
        configure(box, "mqtt.queued_messages_max = 4\nmqtt.queue_policy = drop_new\n")
        reload(box)
    with MQTTClient(port=box.port("mqtt")).connect() as c:  # the policy is among a connection's terms
        assert c.publish("q", "6", qos=1).value == 0
    with MQTTClient(port=box.port("mqtt"), client_id="away", clean=False, expiry=600).connect() as away:
        assert [away.message("q").text for _ in range(4)] == ["0", "1", "3", "4"]


def test_the_log_says_more_or_less_at_once(new_box):
    box = new_box("--mqtt-anonymous", "#", config="log.level = error\n")
    configure(box, "log.level = info\n")
    reload(box)
    assert "settings and certificates read" in box.log() and "changed=log.level" in box.log()
    configure(box, "log.level = error\n")
    reload(box)
    lines = len(box.log().splitlines())
    reload(box)
    assert len(box.log().splitlines()) == lines


def test_an_invalid_file_changes_nothing_and_names_its_lines(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.receive_max = 10\n")
    path = box.directory.parent / (box.directory.name + ".conf")
    configure(box, "mqtt.receive_max = 3\nmqtt.levels_max = many\nnonsense = 1\n")
    report = reload(box, expect=1)
    assert report["changed"] == [] and [problem.split(": ")[0] for problem in report["problems"]] == [f"{path}:3", f"{path}:2"]
    assert f"{path}:2" in box.log()
    box.process.send_signal(signal.SIGHUP)
    eventually(lambda: box.log().count(f"{path}:2") >= 2, "the signal is answered in the log")
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        assert c.connack_properties.ReceiveMaximum == 10
    path.unlink()
    assert "there is no such settings file" in reload(box, expect=1)["problems"][0]
    assert box.is_running


def test_what_needs_a_restart_is_named_until_then(new_box):
    box = new_box("--mqtt-anonymous", "#", config="")
    configure(box, "accounts.token_days = 5\nmqtt.listeners.lan.bind = 127.0.0.1:0\nmqtt.listeners.lan.receive_max = 4\n")
    for _ in range(2):
        assert set(reload(box)["restart"]) == {"accounts.token_days", "mqtt.listeners.lan.bind", "mqtt.listeners.lan.receive_max"}
    assert "this setting takes a restart key=accounts.token_days" in box.log()
    box.restart()
    assert reload(box)["restart"] == []


def test_reload_without_a_box_says_so(new_box):
    box = new_box(start=False)
    result = box.cli("reload")
    assert result.returncode == 1 and "No box runs" in result.stderr


def test_a_hundred_signals_do_no_harm(new_box):
    box = new_box("--mqtt-anonymous", "#")
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        for _ in range(100):
            box.process.send_signal(signal.SIGHUP)
        c.publish("a", "x", qos=1)
    box.stop()
