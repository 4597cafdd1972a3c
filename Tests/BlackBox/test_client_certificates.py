"""TLS client certificates: who holds a good one is the user of the name in it."""

import secrets
import socket
import ssl

import pytest

from harness import MQTTClient, Subscriber, eventually, free_address, mosquitto_pub
from harness.certificates import Authority, client_context
from harness.mqtt import Refused
from harness.raw import Raw
from harness.raw_mqtt import connect
from harness.rest import ok
from harness.wire import properties

NOT_AUTHORISED = 0x87


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def box(authority, tmp_path_factory):
    """MQTT over TLS takes certificates, the listener `strict` wants one, and so does nobody else."""
    from harness import Box
    box = Box(tmp_path_factory.mktemp("certificates") / "data", config=(
        f"tls.client_authority = {authority.certificate}\nmqtts.client_certificates = optional\nhttps.client_certificates = optional\n"
        "mqtt.listeners.strict.bind = 127.0.0.1:0\nmqtt.listeners.strict.tls = true\nmqtt.listeners.strict.client_certificates = required\n")).start()
    yield box
    box.stop()


@pytest.fixture
def ann(box, authority):
    """A user and her certificate, signed for her name."""
    person = box.person("ann")
    person.certificate = authority.sign(person.name)
    return person


def client(box, certificate=None, kind="mqtts", **options):
    if kind == "wss":
        return MQTTClient(port=box.port("https"), transport="websockets", tls=client_context(certificate), **options)
    return MQTTClient(port=box.port(kind), tls=client_context(certificate), **options)


def strict_port(box) -> int:
    return next(listener["port"] for listener in box.endpoints["listeners"] if listener.get("name") == "strict")


def refusal(client) -> int:
    with pytest.raises(Refused) as refused:
        client.connect()
    return refused.value.value


@pytest.mark.parametrize("kind", ["mqtts", "wss"])
@pytest.mark.parametrize("version", [4, 5])
def test_a_certificate_needs_no_password(box, ann, kind, version):
    with client(box, ann.certificate, kind, version=version).connect() as first:
        online = box.admin.rest.get("/v1/admin/online").json()["items"]
        assert [item["name"] for item in online if item["client"] == first.client_id] == [ann.name]
        assert first.publish("certified/" + ann.name, "hi", qos=1) is not None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_with_both_versions_of_tls_and_again_and_again(box, ann, version):
    context = client_context(ann.certificate, version=version)
    for _ in range(3):  # a resumed session knows the certificate as well
        with MQTTClient(port=box.port("mqtts"), tls=context).connect() as c:
            c.barrier()


def test_mosquitto_comes_in_with_its_certificate(box, ann, authority):
    topic = "m/" + secrets.token_hex(4)
    certificate, key = ann.certificate
    login = ["-h", "127.0.0.1", "-p", str(box.port("mqtts")), "--cafile", str(box.directory / "box-cert.pem"), "--insecure", "--cert", str(certificate), "--key", str(key)]
    with Subscriber("-V", "5", *login, "-t", topic, "-q", "1").subscribed() as sub:
        assert mosquitto_pub("-V", "311", *login, "-t", topic, "-m", "x", "-q", "1").returncode == 0
        assert sub.message()["payload"] == "x"


def test_naming_oneself_is_allowed_and_the_password_does_not_matter(box, ann):
    with client(box, ann.certificate, username=ann.name, password="wrong").connect() as c:
        c.barrier()


@pytest.mark.parametrize("version, code", [(5, NOT_AUTHORISED), (4, NOT_AUTHORISED)])
def test_naming_another_user_is_refused_even_with_their_password(box, ann, version, code):
    """paho gives the return code 5 of 3.1.1 as 0x87."""
    bob = box.person("bob")
    assert refusal(client(box, ann.certificate, version=version, username=bob.name, password=bob.password)) == code


def test_without_a_certificate_a_password_is_asked_for_as_ever(box, ann):
    assert refusal(client(box)) == NOT_AUTHORISED
    with client(box, username=ann.name, password=ann.password).connect() as c:
        c.barrier()


def test_a_certificate_of_nobody_says_nothing(box, ann, authority):
    stranger = authority.sign("nobody-" + secrets.token_hex(4))
    assert refusal(client(box, stranger)) == NOT_AUTHORISED
    with client(box, stranger, username=ann.name, password=ann.password).connect() as c:
        c.barrier()


def test_a_certificate_of_another_authority_or_out_of_date_does_not_get_through_the_handshake(box, ann, tmp_path, authority):
    forged = Authority(tmp_path, "forger").sign(ann.name)
    past = authority.sign(ann.name, days=-1, file="past-" + ann.name) if _takes_negative_days(authority) else None
    for certificate in filter(None, (forged, past)):
        for kind in ("mqtts", "wss"):
            address = free_address()
            with pytest.raises((Refused, AssertionError, OSError, ssl.SSLError)):
                client(box, certificate, kind, address=address).connect()
            eventually(lambda: f"address={address}" in box.log(), "the refusal is in the log, with the address")


def _takes_negative_days(authority) -> bool:
    try:
        authority.sign("probe", days=-1, file="probe")
    except Exception:  # newer versions of openssl want dates for it
        return False
    return True


def test_locking_the_user_revokes_the_certificate_and_ends_the_connection(box, ann):
    c = client(box, ann.certificate).connect()
    assert box.cli("user", "lock", ann.name).returncode == 0
    c.wait_disconnected()
    assert refusal(client(box, ann.certificate)) in (0x8A, NOT_AUTHORISED)
    assert box.cli("user", "unlock", ann.name).returncode == 0
    with client(box, ann.certificate).connect() as again:
        again.barrier()


def test_a_changed_password_does_not_end_a_connection_by_certificate_and_a_reset_does(box, ann):
    c = client(box, ann.certificate).connect()
    by_password = client(box, username=ann.name, password=ann.password).connect()
    ok(ann.rest.post("/v1/me/password", {"old": ann.password, "new": "another good word"}))
    by_password.wait_disconnected()
    c.barrier()
    assert box.cli("user", "reset", ann.name, "--password-stdin", input="and another good word\n").returncode == 0
    c.wait_disconnected()
    with client(box, ann.certificate).connect() as d:
        d.barrier()


def test_required_keeps_out_who_shows_none(box, ann):
    with MQTTClient(port=strict_port(box), tls=client_context(ann.certificate)).connect() as c:
        c.barrier()
    with pytest.raises((Refused, AssertionError, OSError)):
        MQTTClient(port=strict_port(box), tls=client_context(), username=ann.name, password=ann.password).connect()


def test_two_common_names_are_nobody(box, ann, authority):
    double = authority.sign(ann.name, subject=f"/CN={ann.name}/CN=other", file="double-" + ann.name)
    assert refusal(client(box, double)) == NOT_AUTHORISED


@pytest.mark.parametrize("naming, alternatives", [("email", "email:{name}@example.org"), ("uri", "URI:skerry:user:{name}")])
def test_the_name_is_taken_from_where_the_setting_says(new_box, authority, naming, alternatives):
    box = new_box(config=f"tls.client_authority = {authority.certificate}\nmqtts.client_certificates = optional\ntls.client_name = {naming}\n")
    ann, bob = box.people("ann", "bob")
    # The common name is another's: it must not count.
    certificate = authority.sign(ann.name, subject=f"/CN={bob.name}", alternatives=alternatives.format(name=ann.name))
    with client(box, certificate).connect() as c:
        items = box.admin.rest.get("/v1/admin/online").json()["items"]
        assert [item["name"] for item in items if item["client"] == c.client_id] == [ann.name]
    assert refusal(client(box, authority.sign(ann.name, file="cn-" + ann.name))) == NOT_AUTHORISED


def test_a_certificate_and_an_authentication_method_are_one_too_many(box, ann):
    with socket.create_connection(("127.0.0.1", box.port("mqtts")), timeout=20) as plain, client_context(ann.certificate).wrap_socket(plain) as tls:
        tls.sendall(connect("both", properties=properties(auth_method="SCRAM-SHA-256", auth_data=b"n,,n=ann,r=abc")))
        answer = tls.recv(1_000)
        assert answer[0] == 0x20 and answer[3] == 0x8C


def test_a_certificate_signs_nobody_in_over_https(box, ann):
    with socket.create_connection(("127.0.0.1", box.port("https")), timeout=20) as plain, client_context(ann.certificate).wrap_socket(plain) as tls:
        tls.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert tls.recv(1_000).startswith(b"HTTP/1.1 401")


def test_a_plain_port_knows_no_certificates(box, ann):
    with socket.create_connection(("127.0.0.1", box.port("mqtt")), timeout=20) as plain, pytest.raises((ssl.SSLError, OSError)):
        client_context(ann.certificate).wrap_socket(plain)
    assert Raw(box.port("mqtt")).write(b"")
