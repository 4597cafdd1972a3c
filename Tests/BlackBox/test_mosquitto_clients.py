"""mosquitto_pub and mosquitto_sub, the tools people have at hand, in both versions of the protocol."""

import secrets
import subprocess

import pytest

from harness import Subscriber, mosquitto_pub

VERSIONS = pytest.mark.parametrize("version", ["311", "5"])


@pytest.fixture
def ann(box):
    return box.person("ann")


@pytest.fixture
def topic():
    return "m/" + secrets.token_hex(6)


def publish(person, version, *options, input=None):
    result = mosquitto_pub("-V", version, *person.mosquitto(), *options, input=input)
    assert result.returncode == 0, result.stderr + result.stdout
    return result


@VERSIONS
@pytest.mark.parametrize("qos", ["0", "1", "2"])
def test_sub_hears_pub(ann, topic, version, qos):
    with Subscriber("-V", version, *ann.mosquitto(), "-t", topic, "-q", qos).subscribed() as sub:
        publish(ann, version, "-t", topic, "-m", "hello 世界", "-q", qos)
        message = sub.message()
        assert (message["topic"], message["payload"], message["qos"], message["retain"]) == (topic, "hello 世界", int(qos), 0)


@pytest.mark.parametrize("publisher, subscriber", [("311", "5"), ("5", "311"), ("31", "5")])
def test_versions_of_the_protocol_speak_with_each_other(ann, topic, publisher, subscriber):
    with Subscriber("-V", subscriber, *ann.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        publish(ann, publisher, "-t", topic, "-m", "hi", "-q", "1")
        assert sub.message()["payload"] == "hi"


@VERSIONS
def test_many_lines_come_in_order(ann, topic, version):
    with Subscriber("-V", version, *ann.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        publish(ann, version, "-t", topic, "-q", "1", "-l", input="".join(f"line {n}\n" for n in range(500)))
        sub.message(lambda m: m["payload"] == "line 499")
        assert [m["payload"] for m in sub.messages] == [f"line {n}" for n in range(500)]


@VERSIONS
def test_retained_and_wildcards(ann, topic, version):
    for leaf in ("one", "two"):
        publish(ann, version, "-t", f"{topic}/{leaf}", "-m", leaf, "-r", "-q", "1")
    with Subscriber("-V", version, *ann.mosquitto(), "-t", topic + "/+").subscribed() as sub:
        for leaf in ("one", "two"):
            assert sub.message(lambda m: m["payload"] == leaf)["retain"] == 1


@VERSIONS
def test_a_will_reaches_mosquitto_sub(ann, topic, version):
    with Subscriber("-V", version, *ann.mosquitto(), "-t", topic, "-q", "1").subscribed() as sub:
        dying = Subscriber("-V", version, *ann.mosquitto(), "-t", topic + "/other", "--will-topic", topic, "--will-payload", "gone", "--will-qos", "1").subscribed()
        dying.process.kill()
        dying.process.wait()
        assert sub.message()["payload"] == "gone"


@VERSIONS
def test_a_persistent_session_gets_what_it_missed_over_a_restart(new_box, topic, version):
    box = new_box()
    ann = box.person("ann")
    keep = ["-V", version, "-i", "log-keeper", "-c", "-q", "1", "-t", topic] + (["-x", "3600"] if version == "5" else [])
    with Subscriber(*ann.mosquitto(), *keep).subscribed():
        pass
    publish(ann, version, "-t", topic, "-m", "before the restart", "-q", "1")
    box.restart()
    publish(ann, version, "-t", topic, "-m", "after it", "-q", "1")
    with Subscriber(*ann.mosquitto(), *keep) as sub:
        sub.message(lambda m: m["payload"] == "after it")
        assert [m["payload"] for m in sub.messages] == ["before the restart", "after it"]


@VERSIONS
def test_a_wrong_password_is_refused_with_a_word(box, ann, version):
    result = mosquitto_pub("-V", version, "-h", "127.0.0.1", "-p", str(box.port("mqtt")), "-u", ann.name, "-P", "wrong password", "-t", "x", "-m", "y")
    assert result.returncode != 0
    assert "not authorised" in (result.stderr + result.stdout).lower() or "bad user" in (result.stderr + result.stdout).lower(), result.stderr


@VERSIONS
def test_nobody_comes_in_without_a_name(box, version):
    result = mosquitto_pub("-V", version, "-h", "127.0.0.1", "-p", str(box.port("mqtt")), "-t", "x", "-m", "y")
    assert result.returncode != 0


def test_what_was_opened_is_open(new_box):
    box = new_box("--mqtt-anonymous", "#")
    with Subscriber("-h", "127.0.0.1", "-p", str(box.port("mqtt")), "-t", "any/thing").subscribed() as sub:
        result = mosquitto_pub("-h", "127.0.0.1", "-p", str(box.port("mqtt")), "-t", "any/thing", "-m", "hi", "-q", "1")
        assert result.returncode == 0, result.stderr
        assert sub.message()["payload"] == "hi"


@VERSIONS
def test_tls_with_the_boxs_own_certificate(box, ann, topic, version, tmp_path):
    certificate = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{box.port('mqtts')}", "-showcerts"], input="", capture_output=True, text=True, timeout=20)
    begin = certificate.stdout.index("-----BEGIN CERTIFICATE-----")
    end = certificate.stdout.rindex("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    cafile = tmp_path / "box.pem"
    cafile.write_text(certificate.stdout[begin:end])
    login = ["-h", "127.0.0.1", "-p", str(box.port("mqtts")), "-u", ann.name, "-P", ann.token, "--cafile", str(cafile), "--insecure"]
    with Subscriber("-V", version, *login, "-t", topic, "-q", "1").subscribed() as sub:
        result = mosquitto_pub("-V", version, *login, "-t", topic, "-m", "sealed", "-q", "1")
        assert result.returncode == 0, result.stderr
        assert sub.message()["payload"] == "sealed"


def test_mosquitto_rr_gets_its_answer(ann, topic):
    """Request and response of MQTT 5: the responder is mosquitto_sub and a plain publish."""
    rr = subprocess.Popen(["mosquitto_rr", "-V", "5", *ann.mosquitto(), "-t", topic + "/ask", "-e", topic + "/answer", "-m", "the time?", "-q", "1", "-W", "20"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with ann.mqtt() as responder:
        responder.subscribe(topic + "/ask", qos=1)
        try:
            request = responder.message(topic + "/ask", 3)
        except AssertionError:  # it asked before the subscription was there
            rr.kill()
            rr = subprocess.Popen(["mosquitto_rr", "-V", "5", *ann.mosquitto(), "-t", topic + "/ask", "-e", topic + "/answer", "-m", "the time?", "-q", "1", "-W", "20"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            request = responder.message(topic + "/ask")
        assert request.text == "the time?"
        responder.publish(request.properties.ResponseTopic, "noon", qos=1)
        output, _ = rr.communicate(timeout=20)
        assert "noon" in output


def test_clients_that_say_one_thing_and_leave_are_heard(ann, topic):
    """mosquitto_pub sends QoS 0, DISCONNECT and the end of the stream at once, right behind CONNACK."""
    with ann.mqtt() as sub:
        sub.subscribe(topic, qos=0)
        count = 200
        for first in range(0, count, 10):
            clients = [subprocess.Popen(["mosquitto_pub", "-V", version, *ann.mosquitto(), "-t", topic, "-m", str(first + n)]) for n, version in enumerate(["5", "311"] * 5)]
            assert [client.wait(30) for client in clients] == [0] * 10
        assert {sub.message(topic).text for _ in range(count)} == {str(n) for n in range(count)}
