"""MQTT listeners with limits of their own, the PROXY protocol in front of any port, and rates by address."""

import socket
import struct

import pytest

from harness import MQTTClient, REST, eventually, free_address
from harness.mqtt import Refused
from harness.raw import Raw
from harness.raw_mqtt import RawMQTT, connect, packet, publish, string

PROXY = "127.77.0.1"


def port(box, name: str) -> int:
    return next(listener["port"] for listener in box.endpoints["listeners"] if listener.get("name") == name)


def metric(box, name: str) -> int:
    text = box.admin.rest.get("/metrics").text
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in text.splitlines() if line.startswith(name + " ") or line.startswith(name + "{"))


def header(address: str, version: int = 1) -> bytes:
    if version == 1:
        return f"PROXY TCP4 {address} 10.0.0.1 5000 1883\r\n".encode()
    return b"\r\n\r\n\x00\r\nQUIT\n" + bytes([0x21, 0x11, 0, 12]) + socket.inet_aton(address) + socket.inet_aton("10.0.0.1") + struct.pack(">HH", 5000, 1883)


class Proxied(RawMQTT):
    """A connection of the proxy that the box trusts, for a client at `client`."""

    def __init__(self, port: int, client: str | None, version: int = 1):
        super().__init__(port, address=PROXY)
        if client:
            self.write(header(client, version))


# MARK: listeners

def test_each_listener_announces_its_own_limits(new_box):
    box = new_box("--mqtt-anonymous", "#", config=(
        "mqtt.topic_alias_max = 5\nmqtt.receive_max = 20\n"
        "mqtt.listeners.small.bind = 127.0.0.1:0\nmqtt.listeners.small.packet_bytes_max = 2K\nmqtt.listeners.small.receive_max = 3\n"
        "mqtt.listeners.small.topic_alias_max = 0\nmqtt.listeners.small.keep_alive_seconds_max = 30\nmqtt.listeners.small.session_seconds_max = 60\n"))
    with MQTTClient(port=box.port("mqtt"), expiry=3600, keepalive=600).connect() as wide:
        given = wide.connack_properties
        assert (given.ReceiveMaximum, given.TopicAliasMaximum) == (20, 5)
        assert not hasattr(given, "ServerKeepAlive") and not hasattr(given, "SessionExpiryInterval")
    with MQTTClient(port=port(box, "small"), expiry=3600, keepalive=600).connect() as small:
        given = small.connack_properties
        assert (given.ReceiveMaximum, given.MaximumPacketSize, given.ServerKeepAlive, given.SessionExpiryInterval) == (3, 2048, 30, 60)
        assert not hasattr(given, "TopicAliasMaximum")
    assert (metric(box, "skerry_mqtt_keep_alives_shortened_total"), metric(box, "skerry_mqtt_session_expiries_shortened_total")) == (1, 1)


def test_a_session_has_the_limits_of_the_listener_it_comes_through(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.listeners.deep.bind = 127.0.0.1:0\nmqtt.listeners.deep.levels_max = 3\n")
    with MQTTClient(port=box.port("mqtt"), client_id="walker", clean=False, expiry=600).connect() as c:
        c.publish("a/b/c/d", "x", qos=1)
    with MQTTClient(port=port(box, "deep"), client_id="walker", clean=False, expiry=600).connect() as c:
        assert c.session_present
        c.publish("a/b/c", "x", qos=1)
        c.publish("a/b/c/d", "x", qos=1, wait=False)
        assert c.wait_disconnected().value == 0x90
    assert metric(box, "skerry_mqtt_topics_too_deep_total") == 1


def test_connections_of_one_listener_are_bounded_and_the_others_go_on(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.listeners.two.bind = 127.0.0.1:0\nmqtt.listeners.two.connections_max = 2\n")
    clients = [MQTTClient(port=port(box, "two")).connect() for _ in range(2)]
    with pytest.raises(Refused) as refused:
        MQTTClient(port=port(box, "two")).connect()
    assert refused.value.value == 0x97
    assert metric(box, "skerry_mqtt_connections_full_total") == 1
    with MQTTClient(port=box.port("mqtt")).connect() as other:
        other.barrier()
    clients[0].disconnect()
    eventually(lambda: _enters(port(box, "two")), "who left makes room")
    clients[1].disconnect()


def _enters(port: int) -> bool:
    try:
        with MQTTClient(port=port).connect():
            return True
    except Refused:
        return False


def test_what_clients_without_an_account_may_use_is_up_to_their_listener(new_box):
    box = new_box(config=(
        "mqtt.listeners.open.bind = 127.0.0.1:0\nmqtt.listeners.open.anonymous = sensors/#\n"
        "mqtt.listeners.closed.bind = 127.0.0.1:0\nmqtt.listeners.closed.anonymous =\nmqtt.anonymous = public/#\n"))
    with MQTTClient(port=port(box, "open")).connect() as c:
        assert c.publish("sensors/a", "x", qos=1).value != 0x87
        assert c.publish("public/a", "x", qos=1).value == 0x87
        assert [r.value for r in c.subscribe("sensors/#", "public/#", qos=1)] == [1, 0x87]
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        assert c.publish("sensors/a", "x", qos=1).value == 0x87
        assert c.publish("public/a", "x", qos=1).value != 0x87
    with pytest.raises(Refused):
        MQTTClient(port=port(box, "closed")).connect()


def test_the_policy_of_a_full_queue_is_that_of_the_publishers_listener(new_box):
    box = new_box("--mqtt-anonymous", "#", config=(
        "mqtt.queued_messages_max = 3\nmqtt.listeners.old.bind = 127.0.0.1:0\nmqtt.listeners.old.queue_policy = drop_oldest\n"
        "mqtt.listeners.new.bind = 127.0.0.1:0\nmqtt.listeners.new.queue_policy = drop_new\n"))
    with MQTTClient(port=box.port("mqtt"), client_id="away", clean=False, expiry=600).connect() as away:
        away.subscribe("q", qos=1)
    with MQTTClient(port=box.port("mqtt")).connect() as c:
        assert [c.publish("q", f"refuse {n}", qos=1).value for n in range(4)] == [0, 0, 0, 0x97]
    with MQTTClient(port=port(box, "new")).connect() as c:
        assert c.publish("q", "new", qos=1).value == 0
    with MQTTClient(port=port(box, "old")).connect() as c:
        assert [c.publish("q", f"oldest {n}", qos=1).value for n in range(2)] == [0, 0]
    with MQTTClient(port=box.port("mqtt"), client_id="away", clean=False, expiry=600).connect() as away:
        assert [away.message("q").text for _ in range(3)] == ["refuse 2", "oldest 0", "oldest 1"]
        away.barrier()
        assert away.messages == []
    assert metric(box, "skerry_mqtt_queue_full_total") >= 2


def test_a_listener_may_be_bound_to_one_address_of_the_box(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.listeners.lan.bind = 127.0.0.9:0\n")
    with MQTTClient(port=port(box, "lan"), host="127.0.0.9").connect() as c:
        c.barrier()
    with pytest.raises(Refused):
        MQTTClient(port=port(box, "lan"), host="127.0.0.1").connect()


def test_a_listener_may_be_bound_to_a_network_interface(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.listeners.lo.bind = 0.0.0.0:0\nmqtt.listeners.lo.interface = lo\n", start=False)
    try:
        box.start()
    except AssertionError as error:
        assert "does not let Skerry listen on one interface" in str(error)
        pytest.skip("this system lets nobody bind to an interface")
    with MQTTClient(port=port(box, "lo")).connect() as c:
        c.barrier()
    other = new_box("--mqtt-anonymous", "#", config="mqtt.listeners.no.bind = 0.0.0.0:0\nmqtt.listeners.no.interface = nothere9\n", start=False)
    with pytest.raises(AssertionError, match="no network interface nothere9"):
        other.start()


# MARK: limits that close a connection, each with its reason and its figure

@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    from harness import Box
    box = Box(tmp_path_factory.mktemp("limited") / "data", "--mqtt-anonymous", "#", config=(
        "mqtt.packet_bytes_max = 2K\nmqtt.receive_max = 2\nmqtt.topic_alias_max = 2\nmqtt.levels_max = 4\nmqtt.subscriptions_per_packet_max = 3\n"
        "mqtt.repeated_properties_max = 2\n")).start()
    yield box
    box.stop()


USER = b"\x26" + string("k") + string("v")


@pytest.mark.parametrize("what, bytes, reason, name", [
    ("packet size", publish("a", b"x" * 3_000), 0x95, "skerry_mqtt_packets_too_large_total"),
    ("topic alias", publish("a", b"x", properties=b"\x23\x00\x03"), 0x94, "skerry_mqtt_topic_alias_invalid_total"),
    ("levels", publish("a/b/c/d/e", b"x"), 0x90, "skerry_mqtt_topics_too_deep_total"),
    ("filters of a packet", packet(0x82, b"\x00\x01\x00" + b"".join(string(f"f/{n}") + b"\x00" for n in range(4))), 0x97, "skerry_mqtt_packet_items_over_total"),
    ("repeated properties", publish("a", b"x", properties=USER * 3), 0x97, "skerry_mqtt_packet_items_over_total"),
    ("receive maximum", b"".join(publish("a", b"x", qos=2, id=n) for n in (1, 2, 3)), 0x93, "skerry_mqtt_receive_maximum_exceeded_total"),
], ids=lambda v: v if isinstance(v, str) and " " not in v.strip("skerry") else None)
def test_a_limit_that_is_broken_closes_with_its_reason_and_is_counted(limited, what, bytes, reason, name):
    before = metric(limited, name)
    with RawMQTT(limited.port("mqtt")) as raw:
        raw.connect(client_id=what.replace(" ", ""))
        raw.write(bytes)
        assert raw.goodbye() == reason, what
    assert metric(limited, name) == before + 1, what


@pytest.mark.parametrize("bytes", [
    publish("a", b"x" * 2_000), publish("a", b"x", properties=b"\x23\x00\x02"), publish("a/b/c/d", b"x"),
    packet(0x82, b"\x00\x01\x00" + b"".join(string(f"f/{n}") + b"\x00" for n in range(3))), publish("a", b"x", properties=USER * 2),
    b"".join(publish("a", b"x", qos=2, id=n) for n in (1, 2)),
], ids=["packet size", "topic alias", "levels", "filters", "properties", "receive maximum"])
def test_what_just_keeps_a_limit_is_taken(limited, bytes):
    with RawMQTT(limited.port("mqtt")) as raw:
        raw.connect(client_id="just")
        raw.write(bytes + packet(0xC0))
        while raw.packet()[0] != 0xD0:
            pass


def test_connects_of_one_address_are_slowed_down_with_a_reason(new_box):
    box = new_box("--mqtt-anonymous", "#", config="mqtt.connect_burst = 3\nmqtt.connects_per_second = 1\n")
    flood, other = free_address(), free_address()
    answers = []
    for n in range(6):
        with RawMQTT(box.port("mqtt"), address=flood) as raw:
            answers.append(raw.connect(client_id=f"c{n}")[1])
    assert answers[:3] == [0, 0, 0] and 0x9F in answers[3:]
    with RawMQTT(box.port("mqtt"), address=flood) as raw:
        assert raw.connect(client_id="old", version=4)[1] in (0, 3)  # 3.1.1 has no word for it: "server unavailable"
    with RawMQTT(box.port("mqtt"), address=other) as raw:
        assert raw.connect(client_id="other")[1] == 0
    assert metric(box, "skerry_mqtt_connects_limited_total") >= 1
    assert flood in box.log(), "the refusal says from where"


def test_connections_of_one_address_are_slowed_down_before_a_word_is_said(new_box):
    box = new_box("--mqtt-anonymous", "#", config="connections.per_address_burst = 3\nconnections.per_address_per_second = 1\n")
    flood = free_address()
    for _ in range(8):
        Raw(box.port("mqtt"), address=flood)
    with RawMQTT(box.port("mqtt"), address=free_address()) as raw:
        assert raw.connect(client_id="other")[1] == 0
    eventually(lambda: metric(box, "skerry_connections_limited_total") >= 3, "what came too fast was closed")
    assert f"address={flood}" in box.log()


# MARK: PROXY

@pytest.fixture(scope="module")
def proxied(tmp_path_factory):
    from harness import Box
    box = Box(tmp_path_factory.mktemp("proxied") / "data", config=f"proxy.trusted = 127.77.0.0/24\nmqtt.listeners.lan.bind = 127.0.0.1:0\nlog.level = debug\n").start()
    yield box
    box.stop()


@pytest.mark.parametrize("version", [1, 2])
def test_the_address_in_the_header_is_the_clients(proxied, version):
    ann = proxied.person("ann")
    for where in (proxied.port("mqtt"), port(proxied, "lan")):
        client = f"203.0.113.{version}"
        with Proxied(where, client, version) as raw:
            assert raw.connect(client_id=f"behind{version}", username=ann.name, password=ann.token)[1] == 0
            items = proxied.admin.rest.get("/v1/admin/online").json()["items"]
            assert [item["address"] for item in items if item["client"] == f"behind{version}"] == [client]


def test_every_cut_of_header_and_connect_is_understood(proxied):
    ann = proxied.person("ann")
    data = header("203.0.113.9", 2) + connect("cut", username=ann.name, password=ann.token)
    for cut in (1, 11, 12, 13, 15, 16, 20, 27, 28, 29, 40):
        with RawMQTT(proxied.port("mqtt"), address=PROXY) as raw:
            raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            raw.write(data[:cut])
            raw.write(data[cut:])
            assert raw.packet()[0] == 0x20, cut


def test_behind_a_proxy_tls_begins_after_the_header(proxied):
    import ssl
    ann = proxied.person("ann")
    plain = socket.socket()
    plain.settimeout(20)
    plain.bind((PROXY, 0))
    plain.connect(("127.0.0.1", proxied.port("mqtts")))
    plain.sendall(header("203.0.113.4"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(plain) as tls:
        tls.sendall(connect("sealed", username=ann.name, password=ann.token))
        assert tls.recv(100)[0] == 0x20


@pytest.mark.parametrize("version", [1, 2])
def test_rest_and_the_chat_know_the_clients_address_too(proxied, version):
    ann = proxied.person("ann")
    client = f"198.51.100.{version}"
    with Raw(proxied.port("http"), address=PROXY) as raw:
        body = b'{"name":"%s","password":"wrong word"}' % ann.name.encode()
        raw.write(header(client, version) + b"POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert raw.drain().startswith(b"HTTP/1.1 401")
    eventually(lambda: f"address={client}" in proxied.log(), "the refusal is logged with the client's address")
    with Raw(proxied.port("http"), address=PROXY) as raw:
        raw.write(header(client, version) + (
            b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: skerry.v1.json\r\n\r\n"))
        assert raw.read(12) == b"HTTP/1.1 101"


def test_guesses_count_against_the_client_and_not_the_proxy(proxied):
    ann = proxied.person("ann")
    guesser, other = "203.0.113.66", "203.0.113.67"
    reasons = []
    for n in range(30):
        with Proxied(proxied.port("mqtt"), guesser) as raw:
            reasons.append(raw.connect(client_id="guess", username=f"nobody{n}", password="guess")[1])
        if reasons[-1] == 0x9F:
            break
    assert reasons[-1] == 0x9F, reasons
    with Proxied(proxied.port("mqtt"), other) as raw:
        assert raw.connect(client_id="other", username=ann.name, password=ann.password)[1] == 0
    assert f"{guesser}" in proxied.log() and f"address={PROXY}" not in proxied.log()


@pytest.mark.parametrize("kind", ["mqtt", "http", "mqtts", "https"])
@pytest.mark.parametrize("data", [connect("x"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PROXY TCP4 nonsense\r\n", b"PROXY " + b"A" * 200, b"\r\n\r\n\x00\r\nQUIT\n\x31\x11\x00\x00",
                                  b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff" + bytes(100)],
                         ids=["mqtt", "http", "bad line", "endless line", "version 3", "too long"])
def test_a_trusted_proxy_without_a_right_header_is_closed_and_counted(proxied, kind, data):
    before = metric(proxied, "skerry_proxy_headers_refused_total")
    with Raw(proxied.port(kind), address=PROXY) as raw:
        raw.write(data)
        assert raw.drain() == b""
    assert metric(proxied, "skerry_proxy_headers_refused_total") == before + 1


def test_a_trusted_proxy_that_says_nothing_is_cut(proxied):
    with Raw(proxied.port("mqtt"), address=PROXY) as raw:
        raw.write(b"PROXY TCP4 1.2")
        assert raw.drain(15) == b""


@pytest.mark.parametrize("kind", ["mqtt", "http"])
@pytest.mark.parametrize("version", [1, 2])
def test_nobody_else_may_say_who_they_are(proxied, kind, version):
    before = metric(proxied, "skerry_proxy_headers_refused_total")
    address = free_address()
    with Raw(proxied.port(kind), address=address) as raw:
        raw.write(header("203.0.113.5", version) + connect("liar"))
        assert raw.drain() == b""
    assert metric(proxied, "skerry_proxy_headers_refused_total") == before + 1
    assert f"address={address}" in proxied.log()


def test_where_no_proxy_is_trusted_a_header_is_just_wrong(box):
    for kind in ("mqtt", "http"):
        with Raw(box.port(kind), address=free_address()) as raw:
            raw.write(header("203.0.113.5") + b"\r\n")
            answer = raw.drain()
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), answer


def test_health_checks_of_the_proxy_pass(proxied):
    with Raw(proxied.port("http"), address=PROXY) as raw:
        raw.write(b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00" + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert raw.drain().startswith(b"HTTP/1.1 200")
    with Raw(proxied.port("http"), address=PROXY) as raw:
        raw.write(b"PROXY UNKNOWN\r\nGET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert raw.drain().startswith(b"HTTP/1.1 200")


def test_others_are_served_as_ever_beside_a_proxy(proxied):
    ann = proxied.person("ann")
    with ann.mqtt() as c, ann.chat() as chat:
        c.barrier()
        chat.barrier()
    assert REST(proxied.url).get("/healthz").status_code == 200
    with Raw(proxied.port("http"), address=free_address()) as raw:  # begins like a header and is none
        raw.write(b"P")
        raw.write(b"UT /v1/nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert raw.drain().startswith(b"HTTP/1.1 4")
