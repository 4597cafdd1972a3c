"""TLS on every listener: the box's own certificate, or one that was given."""

import hashlib
import json
import socket
import ssl
import subprocess

import pytest

from harness import Chat
from harness.box import run_cli
from harness.raw import Raw
from harness.rest import REST


def context(cafile=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cafile:
        context.load_verify_locations(cafile)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def certificate(port) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, context().wrap_socket(plain) as tls:
        return tls.getpeercert(binary_form=True)


def test_https_serves_the_same_as_http(box):
    rest = REST(box.https_url, box.admin.token, verify=False)
    with pytest.warns(Warning):
        assert rest.get("/v1/me").json()["name"] == "admin"
        page = rest.get("/")
    assert page.text == box.rest().get("/").text


def test_the_chat_over_wss(box):
    ann, bob = box.people("ann", "bob")
    with bob.chat() as b:
        with Chat(f"wss://127.0.0.1:{box.port('https')}/v1/ws", ssl=context()) as a:
            a.hello(ann.token)
            ack = a.text("@" + bob.name, "sealed")
            assert b.message(ack["mid"])["text"] == "sealed"


def test_mqtt_over_tls_and_over_wss(box):
    ann = box.person("ann")
    with ann.mqtt(port=box.port("mqtts"), tls=context()) as sealed, ann.mqtt(port=box.port("https"), transport="websockets", tls=context()) as web:
        sealed.subscribe("t/tls-" + ann.name, qos=1)
        web.publish("t/tls-" + ann.name, b"z" * 100_000, qos=1)
        assert sealed.message().payload == b"z" * 100_000


def test_both_listeners_show_one_certificate_that_stays_over_a_restart(new_box):
    box = new_box()
    first = certificate(box.port("https"))
    assert first == certificate(box.port("mqtts"))
    box.restart()
    assert certificate(box.port("https")) == first


def test_two_boxes_have_two_certificates(box, new_box):
    assert certificate(box.port("https")) != certificate(new_box().port("https"))


def test_the_key_is_nobody_elses_to_read(new_box):
    box = new_box()
    keys = [path for path in box.directory.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()[:200]]
    assert keys
    for path in keys:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(box, version):
    ctx = context()
    ctx.minimum_version = ctx.maximum_version = version
    with socket.create_connection(("127.0.0.1", box.port("https")), timeout=20) as plain, ctx.wrap_socket(plain) as tls:
        assert tls.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_1_is_not(box):
    ctx = context()
    ctx.minimum_version = ssl.TLSVersion.TLSv1
    ctx.maximum_version = ssl.TLSVersion.TLSv1_1
    ctx.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(("127.0.0.1", box.port("https")), timeout=20) as plain, pytest.raises((ssl.SSLError, OSError)):
        ctx.wrap_socket(plain)


def test_a_given_certificate_is_used_and_a_wrong_one_refused_at_start(new_box, tmp_path):
    pem, key = tmp_path / "box.pem", tmp_path / "box.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2",
                    "-subj", "/CN=box.test", "-addext", "subjectAltName=DNS:box.test,IP:127.0.0.1"], check=True, capture_output=True)
    config = f"tls.certificate = {pem}\ntls.key = {key}\n"
    box = new_box(config=config)
    with socket.create_connection(("127.0.0.1", box.port("https")), timeout=20) as plain:
        ctx = context(str(pem))
        ctx.check_hostname = True
        with ctx.wrap_socket(plain, server_hostname="box.test") as tls:
            assert hashlib.sha256(tls.getpeercert(binary_form=True)).digest()
    for name, text in (("nothing", None), ("garbage", "not PEM"), ("the wrong key", pem.read_text())):
        wrong = tmp_path / "wrong.key"
        wrong.unlink(missing_ok=True)
        if text is not None:
            wrong.write_text(text)
        result = run_cli("serve", "--data", str(tmp_path / "other"), "--bind", "127.0.0.1", "--http-port", "0", "--mqtt-port", "0", "--https-port", "0", "--mqtts-port", "0",
                         "--config", str(_config(tmp_path, pem, wrong)))
        assert result.returncode > 0, name
        assert "wrong.key" in result.stderr or "tls." in result.stderr, f"{name}: {result.stderr}"


def _config(tmp_path, pem, key):
    path = tmp_path / "tls.conf"
    path.write_text(f"tls.certificate = {pem}\ntls.key = {key}\n")
    return path


@pytest.mark.parametrize("kind", ["https", "mqtts"])
@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00", b"\x16\x03\x01\xff\xff" + b"\x01" * 100, bytes(1_000)],
                         ids=["plain http", "plain mqtt", "broken hello", "zeros"])
def test_what_is_not_tls_on_a_tls_port_is_closed_and_harms_nobody(box, kind, data):
    raw = Raw(box.port(kind))
    raw.write(data)
    raw.half_close()
    raw.drain()
    with pytest.warns(Warning):
        assert REST(box.https_url, verify=False).get("/healthz").status_code == 200


def test_plain_words_and_sealed_ones_stay_apart(box):
    raw = Raw(box.port("http"))
    raw.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    raw.half_close()
    answer = raw.drain()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400"), answer[:60]
    assert json.loads(box.rest().get("/readyz").text)["ready"] is True
