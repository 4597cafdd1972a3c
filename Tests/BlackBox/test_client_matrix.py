"""Real clients over every transport, in every version and with every QoS: what one says another hears, once."""

import itertools
import secrets

import pytest

from harness import MQTTClient, Subscriber, mosquitto_pub
from harness.certificates import client_context

TRANSPORTS = ["tcp", "tls", "ws", "wss"]
QOS = [0, 1, 2]


@pytest.fixture(scope="module")
def ann(box):
    return box.person("matrix")


def paho(box, ann, transport: str, version: int, **options) -> MQTTClient:
    kind = {"tcp": "mqtt", "tls": "mqtts", "ws": "http", "wss": "https"}[transport]
    if transport in ("ws", "wss"):
        options["transport"] = "websockets"
    if transport in ("tls", "wss"):
        options["tls"] = client_context()
    return MQTTClient(port=box.port(kind), username=ann.name, password=ann.token, version=version, **options).connect()


def mosquitto(box, ann, transport: str) -> list[str]:
    if transport == "tcp":
        return ann.mosquitto()
    # `--insecure`: the certificate is trusted, whatever it calls the box.
    return ["-h", "127.0.0.1", "-p", str(box.port("mqtts")), "-u", ann.name, "-P", ann.token, "--cafile", str(box.directory / "box-cert.pem"), "--insecure"]


@pytest.mark.parametrize("publisher, subscriber", list(itertools.product(TRANSPORTS, TRANSPORTS)))
@pytest.mark.parametrize("version", [(4, 5), (5, 4)], ids=["311 to 5", "5 to 311"])
def test_paho_over_every_pair_of_transports(box, ann, publisher, subscriber, version):
    topic = "matrix/" + secrets.token_hex(4)
    with paho(box, ann, publisher, version[0]) as a, paho(box, ann, subscriber, version[1]) as b:
        for qos in QOS:
            b.subscribe(f"{topic}/{qos}", qos=qos)
        payloads = [b"", "潮汐🌊".encode(), bytes(range(256)) * 300]
        for qos in QOS:
            for payload in payloads:
                a.publish(f"{topic}/{qos}", payload, qos=qos)
            for payload in payloads:
                message = b.message(f"{topic}/{qos}")
                assert (message.payload, message.qos, message.retain) == (payload, qos, False)
        b.barrier()
        assert b.messages == []


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
@pytest.mark.parametrize("publisher, subscriber", list(itertools.product(["tcp", "tls"], ["tcp", "tls"])))
@pytest.mark.parametrize("qos", QOS)
def test_mosquitto_over_tcp_and_tls(box, ann, version, publisher, subscriber, qos):
    topic = "matrix/" + secrets.token_hex(4)
    # mosquitto's clients of 3.1 keep client ids within the 23 bytes of that version.
    with Subscriber("-V", version, "-i", "s" + secrets.token_hex(8), *mosquitto(box, ann, subscriber), "-t", topic, "-q", str(qos)).subscribed() as sub:
        result = mosquitto_pub("-V", version, "-i", "p" + secrets.token_hex(8), *mosquitto(box, ann, publisher), "-t", topic, "-m", "hello 世界", "-q", str(qos))
        assert result.returncode == 0, result.stderr
        message = sub.message()
        assert (message["payload"], message["qos"], message["retain"]) == ("hello 世界", qos, 0)
        assert len(sub.messages) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("qos", QOS)
def test_mosquitto_and_paho_hear_each_other(box, ann, transport, qos):
    topic = "matrix/" + secrets.token_hex(4)
    with paho(box, ann, transport, 5) as c, Subscriber("-V", "mqttv311", *mosquitto(box, ann, "tls"), "-t", topic + "/out", "-q", str(qos)).subscribed() as sub:
        c.subscribe(topic + "/in", qos=qos)
        assert mosquitto_pub("-V", "mqttv5", *mosquitto(box, ann, "tcp"), "-t", topic + "/in", "-m", "in", "-q", str(qos)).returncode == 0
        assert c.message(topic + "/in").qos == qos
        c.publish(topic + "/out", "out", qos=qos)
        assert sub.message()["payload"] == "out"


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("version", [4, 5])
def test_a_session_and_a_will_over_every_transport(box, ann, transport, version):
    topic = "matrix/" + secrets.token_hex(4)
    keep = {"client_id": "keep" + secrets.token_hex(4), "clean": False, "expiry": 600}
    with paho(box, ann, "tcp", 5) as other:
        other.subscribe(topic + "/will", qos=1)
        kept = paho(box, ann, transport, version, will=(topic + "/will", "gone", 1, False), **keep)
        kept.subscribe(topic + "/kept", qos=2)
        kept.drop()
        assert other.message(topic + "/will").text == "gone"
        for qos in (1, 2):
            other.publish(topic + "/kept", str(qos), qos=qos)
    with paho(box, ann, transport, version, **keep) as kept:
        assert kept.session_present
        assert [(m.text, m.qos) for m in (kept.message(topic + "/kept") for _ in range(2))] == [("1", 1), ("2", 2)]
