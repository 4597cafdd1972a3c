"""The command line: help, exit codes, settings refused with their place, and no secret among the arguments."""

import json
import os
import re
import signal
import stat

import pytest

from harness import Person, eventually, free_port
from harness.box import run_cli
from harness.rest import is_problem, ok

VERBS = [
    (), ("serve",), ("claim",), ("user",), ("user", "add"), ("user", "list"), ("user", "lock"), ("user", "reset"), ("token",), ("check",), ("version",),
    ("settings",), ("clients",), ("clients", "list"), ("clients", "show"), ("clients", "kick"), ("retained",), ("retained", "list"), ("retained", "show"),
    ("retained", "clear"),
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb) or "skerry")
def test_every_verb_explains_itself(verb):
    result = run_cli(*verb, "--help")
    assert result.returncode == 0, result.stderr
    assert "USAGE: skerry" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize("verb", [("nonsense",), ("serve", "--nonsense"), ("user", "add"), ("user", "nonsense"), ("token",), ("user", "add", "ann", "--role", "king")],
                         ids=" ".join)
def test_a_wrong_command_line_is_refused_with_64_and_a_word(verb):
    result = run_cli(*verb)
    assert result.returncode == 64, (result.returncode, result.stderr)
    assert result.stderr.startswith("Error: ")
    assert result.stdout == ""


def test_version_prints_a_version_on_one_line():
    result = run_cli("version")
    assert result.returncode == 0
    assert re.fullmatch(r"(skerry )?\d+\.\d+\.\d+\S*( .*)?\n", result.stdout), result.stdout
    assert run_cli("--version").stdout.split()[-1] in result.stdout


@pytest.mark.parametrize("line, name", [
    ("http.prot = 80", "http.prot"), ("http.port = eighty", "http.port"), ("mqtt.anonymous = a//#/b", "mqtt.anonymous"), ("log.level = loud", "log.level"),
    ("bind = localhost", "bind"), ("tls.key = /k", "tls.key"),
])
def test_a_wrong_setting_is_refused_at_start_with_name_file_and_line(tmp_path, line, name):
    config = tmp_path / "box.conf"
    config.write_text(f"# settings\n\n{line}\n")
    result = run_cli("serve", "--data", str(tmp_path / "data"), "--config", str(config))
    assert result.returncode not in (0, None) and result.returncode > 0
    assert f"{config}:3: " in result.stderr and name in result.stderr, result.stderr
    assert not (tmp_path / "data" / "run" / "endpoints.json").exists()


def test_a_wrong_variable_of_the_environment_is_refused_by_name(tmp_path):
    result = run_cli("serve", "--data", str(tmp_path / "data"), env={"SKERRY_HTTP_PROT": "80"})
    assert result.returncode > 0
    assert "SKERRY_HTTP_PROT" in result.stderr and "SKERRY_HTTP_PORT" in result.stderr, result.stderr


def test_a_wrong_option_is_refused_by_name(tmp_path):
    result = run_cli("serve", "--data", str(tmp_path / "data"), "--http-port", "99999")
    assert result.returncode > 0
    assert "--http-port" in result.stderr, result.stderr


def test_a_data_directory_that_cannot_be_made_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = run_cli("serve", "--data", str(tmp_path / "file" / "data"), "--bind", "127.0.0.1", "--http-port", "0", "--mqtt-port", "0")
    assert result.returncode > 0
    assert str(tmp_path / "file") in result.stderr, result.stderr
    assert "Fatal error" not in result.stderr


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path, new_box):
    http, mqtt, https = free_port(), free_port(), free_port()
    config = tmp_path / "all.conf"
    config.write_text(f"http.port = 1\nmqtt.port = 2\nhttps.port = {https}\n")
    os.environ["SKERRY_MQTT_PORT"] = str(mqtt)  # the harness takes it out again; settings are asked of the program itself
    try:
        result = run_cli("settings", "--config", str(config), "--data", str(tmp_path / "d"), env={"SKERRY_MQTT_PORT": str(mqtt), "SKERRY_HTTP_PORT": "3"})
    finally:
        del os.environ["SKERRY_MQTT_PORT"]
    assert result.returncode == 0, result.stderr
    assert re.search(rf"http\.port += 3 +\(environment variable SKERRY_HTTP_PORT\)", result.stdout), result.stdout
    assert re.search(rf"mqtt\.port += {mqtt} ", result.stdout)
    assert re.search(rf"https\.port += {https} +\({re.escape(str(config))}:3\)", result.stdout)
    box = new_box("--config", str(config), "--http-port", str(http), "--mqtt-port", str(mqtt), "--https-port", str(https))
    assert (box.port("http"), box.port("mqtt"), box.port("https")) == (http, mqtt, https)


def test_the_default_settings_file_is_accepted_as_it_is(tmp_path, new_box):
    defaults = run_cli("settings", "--defaults")
    assert defaults.returncode == 0
    assert "#http.port = 8080" in defaults.stdout and "#mqtt.anonymous" in defaults.stdout
    box = new_box(config=defaults.stdout)
    assert box.rest().get("/healthz").status_code == 200


def test_chosen_ports_are_published_and_written_to_the_log(box):
    assert {(listener["kind"], listener["tls"]) for listener in box.endpoints["listeners"]} == {("http", False), ("http", True), ("mqtt", False), ("mqtt", True), ("federation", True)}
    for listener in box.endpoints["listeners"]:
        assert listener["address"] == "127.0.0.1" and listener["port"] > 0
        assert str(listener["port"]) in box.log()
    assert box.endpoints["http"] == box.url


def test_a_port_that_is_taken_is_refused_with_a_word(tmp_path, box):
    result = run_cli("serve", "--data", str(tmp_path / "data"), "--bind", "127.0.0.1", "--http-port", str(box.port("http")), "--mqtt-port", "0",
                     "--https-port", "0", "--mqtts-port", "0")
    assert result.returncode > 0
    assert str(box.port("http")) in result.stderr and "Fatal error" not in result.stderr, result.stderr
    assert box.rest().get("/healthz").status_code == 200


def test_a_second_box_on_the_same_directory_is_refused_and_the_first_goes_on(new_box):
    box = new_box()
    result = run_cli("serve", "--data", str(box.directory), "--bind", "127.0.0.1", "--http-port", "0", "--mqtt-port", "0", "--https-port", "0", "--mqtts-port", "0")
    assert result.returncode > 0
    assert str(box.directory) in result.stderr, result.stderr
    assert box.rest().get("/healthz").status_code == 200
    assert box.claim_link()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_it_stops_with_0_when_asked_and_frees_what_it_published(new_box, sig):
    box = new_box()
    with box.admin.chat() as chat, box.admin.mqtt() as mqtt:
        box.process.send_signal(sig)
        assert box.process.wait(20) == 0
        box.process = None
        assert chat.closed().code in (4500, 1001, 1012)
        mqtt.wait_disconnected()
    assert not (box.directory / "run" / "endpoints.json").exists()
    assert box.start().is_running


def test_the_claim_link_is_a_secret_of_the_directory_and_vanishes_with_the_claim(new_box):
    box = new_box()
    path = box.directory / "run" / "claim.link"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().count("\n") == 1
    assert re.search(r"/#/claim/sc_[0-9a-v]{52}$", box.claim_link())
    assert box.admin
    eventually(lambda: not path.exists(), "the claim link is removed")


def test_the_claim_link_can_be_opened_again_until_the_box_is_claimed(new_box):
    box = new_box()
    first = box.claim_token()
    result = box.cli("claim")
    assert result.returncode == 0, result.stderr
    second = re.search(r"sc_[0-9a-v]{52}", result.stdout).group()
    assert second != first
    is_problem(box.rest().post("/v1/claim", {"token": first, "name": "eve", "password": "long enough"}), 410, "gone")
    ok(box.rest().post("/v1/claim", {"token": second, "name": "ann", "password": "long enough"}))
    refused = box.cli("claim")
    assert refused.returncode > 0 and "sc_" not in refused.stdout
    assert "administrator" in refused.stderr


def test_users_are_added_listed_locked_and_reset(new_box):
    box = new_box()
    added = box.cli("user", "add", "ann", "--role", "admin", "--password-stdin", input="correct horse\n")
    assert added.returncode == 0, added.stderr
    ann = Person(box, "ann", "correct horse")
    assert ok(ann.rest.get("/v1/me"))["role"] == "admin"
    assert box.cli("user", "add", "bob", "--password-stdin", input="battery staple\n").returncode == 0
    bob = Person(box, "bob", "battery staple")

    listed = box.cli("user", "list")
    assert listed.returncode == 0
    assert re.search(r"\bann\b.*\badmin\b", listed.stdout) and re.search(r"\bbob\b.*\buser\b", listed.stdout), listed.stdout

    again = box.cli("user", "add", "BOB", "--password-stdin", input="another word\n")
    assert again.returncode > 0 and "name" in again.stderr

    chat = bob.chat()
    locked = box.cli("user", "lock", "bob")
    assert locked.returncode == 0, locked.stderr
    assert chat.closed().code in (4401, 4403)
    is_problem(box.rest().post("/v1/login", {"name": "bob", "password": "battery staple"}), 403, "forbidden")

    reset = box.cli("user", "reset", "ann")
    assert reset.returncode == 0, reset.stderr
    token = re.search(r"sr_[0-9a-v]{52}", reset.stdout).group()
    login = ok(box.rest().post("/v1/reset", {"token": token, "password": "a new password"}))
    assert login["name"] == "ann"
    is_problem(box.rest().post("/v1/login", {"name": "ann", "password": "correct horse"}), 401, "unauthenticated")


def test_a_token_made_on_the_command_line_opens_the_door(new_box):
    box = new_box()
    assert box.cli("user", "add", "sensor", "--password-stdin", input="not used again\n").returncode == 0
    result = box.cli("token", "sensor")
    assert result.returncode == 0, result.stderr
    token = result.stdout.strip().splitlines()[-1]
    assert re.fullmatch(r"sk_[0-9a-v]{52}", token)
    assert ok(box.rest(token).get("/v1/me"))["name"] == "sensor"
    unknown = box.cli("token", "nobody")
    assert unknown.returncode > 0 and unknown.stdout == "" and unknown.stderr


def test_passwords_are_taken_from_standard_input_only(new_box):
    box = new_box()
    for arguments in (("--password", "secret123"), ("--password=secret123",)):
        assert box.cli("user", "add", "ann", *arguments).returncode == 64
    short = box.cli("user", "add", "ann", "--password-stdin", input="short\n")
    assert short.returncode > 0 and "8" in short.stderr and "short" not in short.stderr.replace("shorter", "").replace("too short", "").replace("shortest", "")
    empty = box.cli("user", "add", "ann", "--password-stdin", input="")
    assert empty.returncode > 0
    assert "secret123" not in box.log()


def test_administration_works_on_the_directory_of_a_box_that_does_not_run(new_box):
    box = new_box()
    ann = box.person("ann")
    box.stop()
    listed = box.cli("user", "list")
    assert listed.returncode == 0 and ann.name in listed.stdout, listed.stderr
    token = box.cli("token", ann.name)
    assert token.returncode == 0, token.stderr
    assert box.cli("user", "add", "late", "--password-stdin", input="correct horse\n").returncode == 0
    for verb in ("online", "status"):
        result = box.cli(verb)
        assert result.returncode > 0 and "skerry serve" in result.stderr, result.stderr
    box.start()
    assert ok(box.rest(token.stdout.strip().splitlines()[-1]).get("/v1/me"))["name"] == ann.name
    assert Person(box, "late", "correct horse").id


def test_a_verb_that_begins_a_data_directory_leaves_nothing_for_others_to_read(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    result = run_cli("user", "add", "ann", "--role", "admin", "--password-stdin", "--data", str(data), input="a long enough one\n")
    assert result.returncode == 0, result.stderr
    files = [path for path in data.rglob("*") if path.is_file()]
    assert any(path.name == "skerry.db" for path in files)
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_administration_of_nothing_says_so(tmp_path):
    for number, verb in enumerate((("check",), ("token", "ann"), ("user", "lock", "ann"), ("online",), ("status",))):
        result = run_cli(*verb, "--data", str(tmp_path / f"nothing{number}" / "there"))
        assert result.returncode > 0 and result.stderr.startswith("skerry: "), f"{verb}: {result.returncode} {result.stderr} {result.stdout}"


def test_check_finds_a_sound_box_sound_while_it_runs_and_when_it_does_not(new_box):
    box = new_box()
    ann, bob = box.people("ann", "bob")
    with ann.chat() as chat:
        chat.text("@" + bob.name, "hello")
    result = box.cli("check")
    assert result.returncode == 0, result.stdout + result.stderr
    box.stop()
    result = box.cli("check")
    assert result.returncode == 0, result.stdout + result.stderr


def test_check_finds_a_broken_database_with_a_code_of_its_own(new_box):
    box = new_box()
    ann, bob = box.people("ann", "bob")
    with ann.chat() as chat:
        for number in range(50):
            chat.text("@" + bob.name, f"line {number} " + "x" * 2_000)
    box.stop()
    database = next(path for path in box.directory.rglob("*") if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3")
    with open(database, "r+b") as file:
        size = os.path.getsize(database)
        for offset in range(8_192, size, 4_096):
            file.seek(offset)
            file.write(b"\xff" * 512)
    result = box.cli("check")
    assert result.returncode not in (0, 64), result.stdout
    assert result.returncode > 0, "killed by a signal"
    assert "Fatal error" not in result.stderr


def test_secrets_reach_neither_the_log_nor_the_directory_in_the_clear(new_box):
    box = new_box(config="log.level = trace\n")
    ann, bob = box.people("ann", "bob")
    secret = "the-tide-is-out-9137"
    with ann.chat() as chat:
        chat.text("@" + bob.name, secret)
    with ann.mqtt() as mqtt:
        mqtt.publish(f"v1/c/@{bob.name}/text", secret + "-mqtt", qos=1)
    box.rest(address="127.9.9.9").post("/v1/login", {"name": ann.name, "password": "wrong-password-4711"})
    box.stop()
    log = box.log()
    for text in (secret, ann.token, ann.password, bob.token, bob.password, "wrong-password-4711", box.admin.token):
        assert text not in log
    everything = b"".join(path.read_bytes() for path in box.directory.rglob("*") if path.is_file())
    for text in (ann.token, ann.password, bob.token, bob.password, box.admin.token):
        assert text.encode() not in everything


def test_endpoints_are_json_for_other_programs(box):
    endpoints = json.loads((box.directory / "run" / "endpoints.json").read_text())
    assert isinstance(endpoints["listeners"], list)
