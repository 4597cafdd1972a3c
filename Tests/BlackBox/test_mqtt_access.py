"""Access rules over MQTT topics, with mosquitto's own clients and on the wire: who is refused, who hears nothing, and from when on."""

import json
import secrets

import pytest

from harness import MQTTClient, Subscriber, mosquitto_pub
from harness.rest import ok

VERSIONS = pytest.mark.parametrize("version", ["311", "5"])


@pytest.fixture
def topic():
    return "acl/" + secrets.token_hex(6)


@pytest.fixture
def ann(box):
    return box.person("ann")


@pytest.fixture
def bob(box):
    return box.person("bob")


def rule(box, *words):
    """`skerry acl add …`; the rule as the box tells it."""
    result = box.cli("acl", "add", *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def take_back(box, made):
    result = box.cli("acl", "remove", made["id"])
    assert result.returncode == 0, result.stderr


def check(box, *words):
    result = box.cli("acl", "check", *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)["allowed"]


def publish(person, version, topic, text, *options):
    return mosquitto_pub("-V", version, *person.mosquitto(), "-t", topic, "-m", text, *options)


@VERSIONS
def test_a_denied_publish_reaches_nobody_and_version_5_hears_why(box, ann, bob, topic, version):
    rule(box, "deny", "publish", topic + "/#", "--user", ann.name)
    with Subscriber("-V", "5", *bob.mosquitto(), "-t", topic + "/#", "-q", "1").subscribed() as sub:
        for qos in ("0", "1", "2"):
            denied = publish(ann, version, topic + "/x", "denied", "-q", qos)
            if version == "5" and qos != "0":
                assert "Not authorized" in denied.stderr + denied.stdout
            else:
                assert denied.returncode == 0, denied.stderr
        assert publish(bob, version, topic + "/x", "bob's", "-q", "1").returncode == 0
        assert sub.message()["payload"] == "bob's"
        assert [m["payload"] for m in sub.messages] == ["bob's"]


@VERSIONS
def test_a_device_with_one_allow_rule_may_do_just_that(box, ann, bob, topic, version):
    rule(box, "allow", "all", topic + "/%u/#", "--user", ann.name)
    own = f"{topic}/{ann.name}"
    refused = Subscriber("-V", version, *ann.mosquitto(), "-t", topic + "/#")
    refused.ended()  # mosquitto_sub goes away when all its subscriptions were refused
    assert any("denied" in line for line in refused.output), refused.output
    with Subscriber("-V", version, *ann.mosquitto(), "-t", own + "/#", "-q", "1").subscribed() as sub:
        publish(ann, version, f"{topic}/{bob.name}/x", "not hers", "-q", "1")
        assert publish(bob, version, own + "/x", "for ann", "-q", "1").returncode == 0
        assert sub.message()["payload"] == "for ann"


@VERSIONS
def test_a_connected_subscriber_hears_nothing_while_a_rule_holds(box, ann, bob, topic, version):
    with Subscriber("-V", version, *ann.mosquitto(), "-t", topic + "/+", "-q", "1").subscribed() as sub:
        publish(bob, version, topic + "/a", "before", "-q", "1")
        assert sub.message()["payload"] == "before"
        made = rule(box, "deny", "subscribe", topic + "/a", "--user", ann.name)
        publish(bob, version, topic + "/a", "while it holds", "-q", "1")
        publish(bob, version, topic + "/b", "another topic", "-q", "1")
        assert sub.message(lambda m: m["topic"] == topic + "/b")
        take_back(box, made)
        publish(bob, version, topic + "/a", "after", "-q", "1")
        sub.message(lambda m: m["payload"] == "after")
        assert [m["payload"] for m in sub.messages] == ["before", "another topic", "after"]


@VERSIONS
def test_retained_and_queued_messages_are_judged_when_they_would_be_sent(box, ann, bob, topic, version):
    keep = ["-V", version, "-i", "acl-" + secrets.token_hex(4), "-c", "-q", "1", "-t", topic + "/#"] + (["-x", "3600"] if version == "5" else [])
    with Subscriber(*ann.mosquitto(), *keep).subscribed():
        pass
    for leaf in ("secret", "open"):
        publish(bob, version, f"{topic}/{leaf}", leaf, "-q", "1", "-r")
    made = rule(box, "deny", "subscribe", topic + "/secret", "--user", ann.name)
    with Subscriber(*ann.mosquitto(), *keep) as sub:
        assert sub.message(lambda m: m["retain"] == 0)["payload"] == "open"
        assert sub.message(lambda m: m["retain"] == 1)["payload"] == "open"
        publish(bob, version, topic + "/last", "last", "-q", "1")
        sub.message(lambda m: m["payload"] == "last")
        assert "secret" not in [m["payload"] for m in sub.messages]
    take_back(box, made)


def test_a_will_is_refused_at_connect(box, ann, topic):
    rule(box, "deny", "publish", topic, "--user", ann.name)
    result = publish(ann, "5", topic + "/other", "x", "--will-topic", topic, "--will-payload", "gone")
    assert result.returncode != 0 and "Not authorized" in result.stderr + result.stdout


def test_a_shared_subscription_gives_the_message_to_who_may_read_it(box, ann, bob, topic):
    share = f"$share/g/{topic}/#"
    rule(box, "deny", "subscribe", topic + "/secret", "--user", ann.name)
    with Subscriber("-V", "5", *ann.mosquitto(), "-t", share, "-q", "1").subscribed() as hers, \
            Subscriber("-V", "5", *bob.mosquitto(), "-t", share, "-q", "1").subscribed() as his:
        for number in range(6):
            publish(bob, "5", topic + "/secret", str(number), "-q", "1")
        his.message(lambda m: m["payload"] == "5")
        assert [m["payload"] for m in his.messages] == [str(number) for number in range(6)]
        assert hers.messages == []


def test_rules_for_clients_without_an_account_only_take_away(open_box, topic):
    made = rule(open_box, "deny", "all", topic + "/secret", "--role", "anonymous")
    where = ["-h", "127.0.0.1", "-p", str(open_box.port("mqtt"))]
    with Subscriber("-V", "5", *where, "-t", topic + "/#", "-q", "1").subscribed() as sub:
        denied = mosquitto_pub("-V", "5", *where, "-t", topic + "/secret", "-m", "no", "-q", "1")
        assert "Not authorized" in denied.stderr + denied.stdout
        assert mosquitto_pub("-V", "5", *where, "-t", topic + "/open", "-m", "yes", "-q", "1").returncode == 0
        assert sub.message()["payload"] == "yes"
    refused = open_box.cli("acl", "add", "allow", "all", "x/#", "--role", "anonymous")
    assert refused.returncode == 1 and "mqtt.anonymous" in refused.stderr
    assert check(open_box, "publish", topic + "/open") and not check(open_box, "publish", topic + "/secret")
    take_back(open_box, made)


def test_the_command_line_does_it_on_a_stopped_box_too_and_the_box_starts_with_it(new_box, topic):
    box = new_box()
    ann = box.person("ann")
    box.stop()
    made = rule(box, "allow", "publish", topic + "/%c", "--user", ann.name)
    again = box.cli("acl", "add", "allow", "publish", topic + "/%c", "--user", ann.name)
    assert again.returncode == 1 and "already" in again.stderr
    assert made["name"] == ann.name and made["filter"] == topic + "/%c"
    assert made["id"] in box.cli("acl", "list").stdout
    assert check(box, "publish", topic + "/one", "--user", ann.name, "--client", "one")
    assert not check(box, "publish", topic + "/two", "--user", ann.name, "--client", "one")
    box.start()
    assert publish(ann, "5", topic + "/one", "x", "-q", "1", "-i", "one").returncode == 0
    denied = publish(ann, "5", topic + "/two", "x", "-q", "1", "-i", "one")
    assert "Not authorized" in denied.stderr + denied.stdout
    why = box.cli("acl", "check", "publish", topic + "/two", "--user", ann.name, "--client", "one")
    assert why.stdout.startswith("no: ") and why.returncode == 0
    take_back(box, made)
    assert publish(ann, "5", topic + "/two", "x", "-q", "1", "-i", "one").returncode == 0
    assert "no access rules" in box.cli("acl", "list").stdout


def test_rest_lists_adds_checks_and_removes_and_a_connected_client_feels_it(box, ann, bob, topic):
    rest = box.admin.rest
    made = ok(rest.post("/v1/admin/access/rules", {"user": "@" + ann.name, "effect": "deny", "filter": topic}))
    assert made["access"] == "all" and made["by"] == box.admin.id
    assert made in ok(rest.get("/v1/admin/access/rules"))["items"]
    answer = ok(rest.get(f"/v1/admin/access/check?user=@{ann.name}&access=publish&topic={topic}"))
    assert answer["allowed"] is False and answer["rule"] == made
    with Subscriber("-V", "5", *bob.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        publish(ann, "5", topic, "denied", "-q", "1")
        assert rest.delete(f"/v1/admin/access/rules/{made['id']}").status_code == 204
        publish(ann, "5", topic, "allowed", "-q", "1")
        assert sub.message()["payload"] == "allowed"
    assert ann.rest.get("/v1/admin/access/rules").status_code == 403
    assert rest.post("/v1/admin/access/rules", {"role": "user", "effect": "deny", "filter": "a/#/b"}).status_code == 422


def test_there_are_so_many_rules_and_the_refusal_says_what_to_do(new_box):
    box = new_box(config="accounts.access_rules_max = 2\n")
    for number in range(2):
        rule(box, "deny", "all", f"a/{number}", "--role", "user")
    refused = box.cli("acl", "add", "deny", "all", "a/2", "--role", "user")
    assert refused.returncode == 1 and "accounts.access_rules_max" in refused.stderr


# MARK: what ends or changes a connected client's rights beside rules


@pytest.mark.parametrize("version", [4, 5])
def test_a_new_password_a_lock_and_a_revoked_token_close_open_connections(box, topic, version):
    ann = box.person("ann")

    def connected(secret):
        client = MQTTClient(box.port("mqtt"), version=version, username=ann.name, password=secret).connect()
        client.subscribe(topic)
        return client

    def closed(client):
        reason = client.wait_disconnected()
        assert version != 5 or reason.value == 0x87, reason
        client.drop()

    client = connected(ann.password)
    ok(ann.rest.post("/v1/me/password", {"old": ann.password, "new": "another word"}))
    closed(client)
    client = connected("another word")
    result = box.cli("user", "reset", ann.name, "--password-stdin", input="a third word\n")
    assert result.returncode == 0, result.stderr
    closed(client)
    client = connected("a third word")
    assert box.cli("user", "lock", ann.name).returncode == 0
    closed(client)
    assert box.cli("user", "unlock", ann.name).returncode == 0
    token = box.cli("token", ann.name, "--device", "pump").stdout.strip()
    client = connected(token)
    rest = box.rest(ok(box.rest().post("/v1/login", {"name": ann.name, "password": "a third word", "device": "tests"}))["token"])
    pump = next(device["id"] for device in ok(rest.get("/v1/me/devices"))["items"] if device["name"] == "pump")
    ok(rest.delete(f"/v1/me/devices/{pump}"))
    closed(client)


def test_a_changed_role_holds_at_once(box, topic):
    ann = box.person("ann")
    made = rule(box, "deny", "publish", topic, "--role", "user")
    client = ann.mqtt()
    assert client.publish(topic, "x", qos=1).value == 0x87
    assert client.subscribe("$SYS/broker/version")[0].is_failure
    ok(box.admin.rest.patch(f"/v1/admin/users/{ann.id}", {"role": "admin"}))
    assert not client.publish(topic, "x", qos=1).is_failure
    assert not client.subscribe("$SYS/broker/version")[0].is_failure
    client.message("$SYS/broker/version")
    ok(box.admin.rest.patch(f"/v1/admin/users/{ann.id}", {"role": "user"}))
    client.wait_disconnected()
    client.drop()
    with ann.mqtt() as back:
        assert back.publish(topic, "x", qos=1).value == 0x87
        assert back.subscribe("$SYS/broker/version")[0].is_failure
    take_back(box, made)
