"""What an administrator sees of the MQTT broker and does to it: statistics, figures, clients, retained messages, the log."""

import base64
import json
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import threading

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import MQTTClient, Subscriber, eventually, free_address, free_port
from harness.mqtt import Refused
from harness.rest import is_problem, ok

SYS = "$SYS/broker/"


def system_values(person, **options) -> dict:
    """What a new subscriber to `$SYS/#` is told at once."""
    with person.mqtt(**options) as client:
        client.subscribe("$SYS/#")
        client.barrier()
        assert all(message.retain for message in client.messages)
        return {message.topic: message.text for message in client.messages}


def metrics(box) -> dict:
    text = box.rest(address="127.0.0.1").get("/metrics").text
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}


# MARK: $SYS

@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="there is no Mosquitto to compare with (Debian package mosquitto)")
def test_sys_has_every_topic_that_mosquitto_has(new_box, tmp_path):
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n")
    mosquitto = subprocess.Popen(["mosquitto", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = eventually(lambda: connected(port), "Mosquitto answers")
        client.subscribe("$SYS/#")
        # Its last topics come with the first interval.
        eventually(lambda: any(message.topic.endswith("/15min") for message in client.messages), "Mosquitto's loads")
        theirs = {message.topic: message.text for message in client.messages}
        client.disconnect()
    finally:
        mosquitto.terminate()
        mosquitto.wait()
    box = new_box()
    ours = system_values(box.admin)
    assert set(ours) >= set(theirs), sorted(set(theirs) - set(ours))
    for topic, text in theirs.items():
        if topic != SYS + "version":
            # Numbers where Mosquitto has numbers, with as many digits behind the point, and "… seconds".
            assert re.sub(r"\d+", "0", ours[topic]) == re.sub(r"\d+", "0", text), (topic, ours[topic], text)


def connected(port):
    try:
        return MQTTClient(port, version=4).connect()
    except Refused:
        return None


def test_sys_tells_the_present_and_then_what_changes(new_box):
    box = new_box(config="mqtt.sys_seconds = 1\n")
    ann = box.person("ann")
    with box.admin.mqtt() as client:
        client.subscribe(SYS + "#")
        assert client.message(SYS + "clients/connected").text == "1"
        assert client.message(SYS + "version").text.startswith("skerry version ")
        with ann.mqtt(client_id="ann-1", expiry=600, clean=False) as other:
            other.subscribe("t", qos=1)
            other.publish("t", "12345", qos=1, retain=True)
            assert client.message(lambda m: m.topic == SYS + "clients/connected" and m.text == "2").retain is False
            client.message(lambda m: m.topic == SYS + "retained messages/count" and m.text == "1")
            client.message(lambda m: m.topic == SYS + "publish/bytes/received" and m.text == "5")
            client.message(lambda m: m.topic == SYS + "load/publish/received/1min" and float(m.text) > 0)
        client.message(lambda m: m.topic == SYS + "clients/disconnected" and m.text == "1")
        # Only what changes is said again.
        said = [message for message in client.all if message.topic == SYS + "version"]
        assert len(said) <= 2


def test_sys_is_for_administrators(box):
    with box.person("ann").mqtt() as client:
        assert all(reason.is_failure for reason in client.subscribe("$SYS/#", SYS + "uptime"))
        client.subscribe("#")
        client.barrier()
        assert not [message for message in client.messages if message.topic.startswith("$")]


# MARK: Clients

def test_clients_are_listed_in_pages_looked_at_disconnected_and_removed(new_box):
    box = new_box()
    ann, rest = box.person("ann"), box.admin.rest
    clients = [ann.mqtt(client_id=f"dev/{number:02}", version=5 if number % 2 else 4) for number in range(5)]
    away = ann.mqtt(client_id="gone é", clean=False, expiry=600)
    away.subscribe("sensors/#", qos=1)
    away.disconnect()
    clients[0].publish("sensors/1", "12345", qos=1)

    seen, after = [], {}
    while True:
        page = ok(rest.get("/v1/admin/mqtt/clients", params={"limit": 2, **after}))
        assert len(page["items"]) <= 2
        seen += page["items"]
        if "next" not in page:
            break
        after = {"after": page["next"]}
    assert [item["client"] for item in seen] == [f"dev/{number:02}" for number in range(5)] + ["gone é"]
    assert [item.get("version") for item in seen] == ["3.1.1", "5.0", "3.1.1", "5.0", "3.1.1", None]
    assert seen[0]["address"] == ann.address and seen[0]["name"] == ann.name and seen[0]["transport"] == "tcp"

    one = ok(rest.get("/v1/admin/mqtt/clients/gone%20%C3%A9"))
    assert not one["connected"] and one["durable"] and one["queuedMessages"] == 1 and one["queuedBytes"] > 5 and one["left"]
    assert ok(rest.get("/v1/admin/mqtt/clients/gone%20%C3%A9/subscriptions"))["items"][0]["filter"] == "sensors/#"
    assert [item["client"] for item in ok(rest.get("/v1/admin/mqtt/subscribers", params={"topic": "sensors/1"}))["items"]] == ["gone é"]
    assert [item["client"] for item in ok(rest.get("/v1/admin/mqtt/clients", params={"state": "away", "user": "@" + ann.name}))["items"]] == ["gone é"]

    ok(rest.post("/v1/admin/mqtt/clients/dev%2F01/kick"))
    assert clients[1].wait_disconnected().value == 0x98
    ok(rest.delete("/v1/admin/mqtt/clients/gone%20%C3%A9"))
    is_problem(rest.get("/v1/admin/mqtt/clients/gone%20%C3%A9"), 404, "not_found")
    back = ann.mqtt(client_id="gone é", clean=False, expiry=600)
    assert not back.session_present, "a removed session does not come back"
    is_problem(ann.rest.get("/v1/admin/mqtt/clients"), 403, "forbidden")
    for client in clients + [back]:
        client.drop()


def test_an_idle_list_of_many_clients_is_complete_while_messages_flow(new_box):
    box = new_box("--mqtt-anonymous", "#")
    count = 400
    sockets = [raw_client(box.port("mqtt"), f"c{number:04}") for number in range(count)]
    stop = threading.Event()

    def publish():
        with MQTTClient(box.port("mqtt"), client_id="zz").connect() as client:
            while not stop.is_set():
                client.publish("t", "x", qos=1)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for _ in range(3):
            seen, after = [], {}
            while True:
                page = ok(box.admin.rest.get("/v1/admin/mqtt/clients", params={"limit": 50, "prefix": "c", **after}))
                seen += [item["client"] for item in page["items"]]
                if "next" not in page:
                    break
                after = {"after": page["next"]}
            assert seen == [f"c{number:04}" for number in range(count)]
    finally:
        stop.set()
        thread.join()
        for one in sockets:
            one.close()


def raw_client(port: int, client_id: str) -> socket.socket:
    """A connection that has had its CONNACK; cheaper than a paho client with its thread."""
    one = socket.create_connection(("127.0.0.1", port))
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name
    one.sendall(bytes([0x10, len(body)]) + body)
    assert one.recv(4) == b"\x20\x02\x00\x00"
    return one


def test_the_command_line_lists_shows_and_kicks(new_box):
    box = new_box()
    ann = box.person("ann", exact=True)
    client = ann.mqtt(client_id="kitchen", clean=False, expiry=600)
    client.subscribe("lamp/#", qos=1)
    shown = box.cli("clients", "list")
    assert shown.returncode == 0 and re.search(r"kitchen +ann +connected", shown.stdout), shown.stdout + shown.stderr
    assert json.loads(box.cli("clients", "list", "--json", "--user", "ann").stdout)["items"][0]["client"] == "kitchen"
    assert "no such MQTT clients" in box.cli("clients", "list", "--prefix", "x").stdout
    assert re.search(r"kitchen +ann +connected +lamp/#", box.cli("clients", "list", "--topic", "lamp/1").stdout)
    assert "lamp/#" in box.cli("clients", "show", "kitchen").stdout
    assert box.cli("clients", "show", "nobody").returncode == 1
    kicked = box.cli("clients", "kick", "kitchen")
    assert kicked.returncode == 0 and client.wait_disconnected().value == 0x98
    assert re.search(r"kitchen +ann +away", box.cli("clients", "list", "--state", "away").stdout)
    assert box.cli("clients", "kick", "kitchen").returncode == 1
    assert box.cli("clients", "kick", "kitchen", "--remove").returncode == 0
    assert "no such MQTT clients" in box.cli("clients", "list").stdout
    box.stop()
    stopped = box.cli("clients", "list")
    assert stopped.returncode == 1 and "No box runs" in stopped.stderr


# MARK: Retained messages

def test_retained_messages_are_browsed_shown_and_cleared(new_box):
    box = new_box()
    rest = box.admin.rest
    with box.person("ann").mqtt() as client:
        for number in range(7):
            client.publish(f"a/{number}", f"value {number}", qos=1, retain=True)
        client.publish("b/bytes", bytes([0xFF, 0x00, 0x01]), qos=1, retain=True)
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType, properties.MessageExpiryInterval, properties.UserProperty = "text/plain", 600, ("k", "v")
        client.publish("b/typed", "21 °C", qos=1, retain=True, properties=properties)
        client.publish("b/long", "x" * 70_000, qos=1, retain=True)
    page = ok(rest.get("/v1/admin/mqtt/retained", params={"filter": "a/+", "limit": 4}))
    assert [item["topic"] for item in page["items"]] == ["a/0", "a/1", "a/2", "a/3"] and page["next"] == "a/3"
    assert len(ok(rest.get("/v1/admin/mqtt/retained"))["items"]) == 10
    typed = ok(rest.get("/v1/admin/mqtt/retained/message", params={"topic": "b/typed"}))
    assert typed["text"] == "21 °C" and typed["contentType"] == "text/plain" and 0 < typed["expiresIn"] <= 600
    assert typed["userProperties"] == [{"name": "k", "value": "v"}]
    assert base64.b64decode(ok(rest.get("/v1/admin/mqtt/retained/message", params={"topic": "b/bytes"}))["base64"]) == bytes([0xFF, 0x00, 0x01])
    long = ok(rest.get("/v1/admin/mqtt/retained/message", params={"topic": "b/long"}))
    assert long["size"] == 70_000 and long["shown"] == len(long["text"]) < 70_000
    ok(rest.delete("/v1/admin/mqtt/retained/message", params={"topic": "b/bytes"}))
    assert ok(rest.delete("/v1/admin/mqtt/retained", params={"filter": "a/#"}))["cleared"] == 7
    with box.person("bob").mqtt() as late:
        late.subscribe("#")
        late.message("b/typed")
        late.message("b/long")
        late.barrier()
        assert not late.messages


@pytest.mark.parametrize("name", ["a'; touch pwned; '", "a'\u0301; touch pwned; '"])
def test_what_the_command_line_says_comes_next_is_one_word_of_a_shell(new_box, name):
    box = new_box("--mqtt-anonymous", "#")
    for n in "12":
        with MQTTClient(port=box.port("mqtt")).connect() as pub:
            assert pub.publish(name + n, "line 1\r\nline 2", qos=1, retain=True).value in (0, 0x10)
    hint = box.cli("retained", "list", "--limit", "1").stdout.rsplit("--after ", 1)[1]
    assert shlex.split(hint) == [name + "1"]
    assert box.cli("retained", "show", name + "1").stdout == "line 1 \nline 2\n"


def test_the_command_line_asks_before_it_clears_many(new_box):
    box = new_box()
    with box.person("ann").mqtt() as client:
        for number in range(3):
            client.publish(f"a/{number}", f"\x1b[31mvalue {number}", qos=1, retain=True)
    listed = box.cli("retained", "list", "a/#", "--limit", "2")
    assert "a/0" in listed.stdout and "a/2" not in listed.stdout and "--after 'a/1'" in listed.stdout
    assert box.cli("retained", "show", "a/0").stdout == " [31mvalue 0\n", "what a client retained commands no terminal"
    refused = box.cli("retained", "clear", "a/#", input="no\n")
    assert refused.returncode == 1 and "nothing was cleared" in refused.stderr
    assert "1 retained message is" in box.cli("retained", "clear", "a/0").stdout
    assert "2 retained messages are" in box.cli("retained", "clear", "a/#", input="yes\n").stdout
    assert "0 retained" in box.cli("retained", "clear", "#", "--yes").stdout
    assert box.cli("retained", "show", "a/0").returncode == 1


# MARK: Figures

def test_metrics_tell_connections_refusals_queues_and_retained_messages(new_box):
    box = new_box()
    ann = box.person("ann")
    away = ann.mqtt(client_id="away", clean=False, expiry=600)
    away.subscribe("t", qos=1)
    away.disconnect()
    with ann.mqtt(version=4) as client:
        client.publish("t", "12345", qos=1, retain=True)
        with pytest.raises(Refused):
            MQTTClient(box.port("mqtt"), username=ann.name, password="wrong").connect()
        with MQTTClient(box.port("http"), transport="websockets", username=ann.name, password=ann.token).connect():
            found = metrics(box)
    assert found['skerry_mqtt_connections_opened_total{version="5.0",transport="tcp"}'] == 1
    assert found['skerry_mqtt_connections_opened_total{version="3.1.1",transport="tcp"}'] == 1
    assert found['skerry_mqtt_connections_opened_total{version="5.0",transport="ws"}'] == 1
    assert found['skerry_mqtt_connects_refused_total{reason="0x86"}'] == 1
    assert found['skerry_mqtt_disconnects_total{reason="0x00"}'] == 1
    assert found["skerry_mqtt_clients_connected"] == 2 and found["skerry_mqtt_kept_sessions"] == 3
    assert found["skerry_mqtt_queued_messages"] == 1 and found["skerry_mqtt_queued_bytes"] > 5
    assert found["skerry_mqtt_retained_messages"] == 1 and found["skerry_mqtt_retained_bytes"] > 5
    assert found["skerry_mqtt_bytes_received_total"] > 100 and found["skerry_mqtt_bytes_sent_total"] > 10
    assert found["skerry_mqtt_publish_bytes_received_total"] == 5 and found["skerry_mqtt_packets_received_total"] >= 6


# MARK: The log

def lines(box, text: str) -> list[str]:
    return [line for line in box.log().splitlines() if text in line]


def test_a_refusal_is_logged_with_everything_but_the_secret_and_forges_no_line(new_box):
    box = new_box()
    ann = box.person("ann", exact=True)
    with pytest.raises(Refused):
        MQTTClient(box.port("mqtt"), client_id="lamp\x85fake", version=4, username="ann", password="my own secret", address=ann.address).connect()
    line = eventually(lambda: lines(box, "MQTT connection refused"), "a line")[0]
    for part in (f"address={ann.address}", 'client="lamp fake"', "user=ann", "version=3.1.1", "transport=tcp", "reason="):
        assert part in line, (part, line)
    with pytest.raises(Refused):
        MQTTClient(box.port("mqtt"), client_id="x", username="hunter2", password="hunter2", address=free_address()).connect()
    eventually(lambda: len(lines(box, "MQTT connection refused")) == 2, "a second line")
    assert "my own secret" not in box.log() and "hunter2" not in box.log(), "a name that nobody has may be a password"


def test_garbage_and_a_stranger_are_logged_with_the_address(new_box):
    box = new_box()
    with socket.create_connection(("127.0.0.1", box.port("mqtt")), source_address=("127.77.7.7", 0)) as one:
        one.sendall(b"\x10\x0c\x00\x04HTTP\x04\x02\x00\x00\x00\x00")
        assert one.recv(100) in (b"", b"\x20\x02\x00\x01")
    line = eventually(lambda: lines(box, "MQTT connection refused"), "a line")[0]
    assert "address=127.77.7.7" in line and "0x84" in line


def test_refusals_of_one_address_are_few_lines_and_are_all_counted(new_box):
    box = new_box()
    address = free_address()
    for number in range(30):
        with pytest.raises(Refused):
            MQTTClient(box.port("mqtt"), client_id=f"c{number}", address=address).connect()
    eventually(lambda: metrics(box)["skerry_mqtt_refused_total"] == 30, "all are counted")
    assert 1 <= len(lines(box, "MQTT connection refused")) <= 10


@pytest.mark.parametrize("wanted", [True, False])
def test_connects_are_logged_when_the_administrator_wants_it(new_box, wanted):
    box = new_box(config=f"log.connects = {'true' if wanted else 'false'}\n")
    ann = box.person("ann", exact=True)
    with ann.mqtt(client_id="lamp-" + secrets.token_hex(3)) as client:
        name = client.client_id
    box.stop()
    for text in ("MQTT client connected", "MQTT client disconnected"):
        found = [line for line in lines(box, text) if f"client={name}" in line and "user=ann" in line and f"address={ann.address}" in line]
        assert len(found) == (1 if wanted else 0), box.log()
    assert ann.token not in box.log()


def test_a_client_that_an_administrator_disconnects_is_logged_in_any_case(new_box):
    box = new_box()
    client = box.person("ann").mqtt(client_id="lamp")
    ok(box.admin.rest.post("/v1/admin/mqtt/clients/lamp/kick"))
    client.wait_disconnected()
    line = eventually(lambda: lines(box, "MQTT client disconnected"), "a line")[0]
    assert "client=lamp" in line and "0x98" in line
