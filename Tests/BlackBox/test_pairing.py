"""How boxes come into a federation and go: by the command line, and by what the admin page asks."""

import json
import re
import subprocess

import pytest

from federation.world import World, run, why_not
from harness import eventually
from harness.box import binary, environment
from harness.clock import library, wrong_clock
from harness.federation import boxes, invite, join, pair
from harness.rest import is_problem, ok


def refused(box, *arguments, input=None) -> str:
    """What a command that is refused says."""
    result = box.cli(*arguments, input=input)
    assert result.returncode == 1, f"{arguments}: {result.returncode} {result.stdout}{result.stderr}"
    assert result.stdout == ""
    return result.stderr


def done(box, *arguments, input=None) -> str:
    result = box.cli(*arguments, input=input)
    assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}\n{box.log(20)}"
    return result.stdout


def identity(box) -> dict:
    return ok(box.admin.rest.get("/v1/admin/federation"))


@pytest.fixture
def two(new_box):
    return new_box(), new_box()


def test_the_token_is_the_last_line_and_the_lines_before_say_where_until_when_and_the_words(two):
    first, _ = two
    out = done(first, "pair", "invite")
    lines = out.splitlines()
    assert re.fullmatch(r"[0-9a-v]{80,200}", lines[-1])
    assert f"127.0.0.1:{first.port('federations')}" in out
    words = done(first, "pair", "words").strip()
    assert len(words.split()) == 6
    assert words in out
    assert re.search(r"until \d{4}-\d\d-\d\dT", out)
    assert "█" in out, "a code to scan"
    assert json.loads(done(first, "pair", "invite", "--json"))["words"] == words
    assert lines[-1] not in first.log(), "the token is in no log"


def test_all_that_invite_printed_will_do_as_input_and_so_will_an_argument_with_capitals_and_spaces(new_box):
    first, second, third = new_box(), new_box(), new_box()
    assert "is of the federation" in done(second, "pair", "join", input=done(first, "pair", "invite"))
    token = invite(first)
    done(third, "pair", "join", token[:20].upper() + " " + token[20:].upper())
    eventually(lambda: len(json.loads(done(third, "boxes", "--json"))["items"]) == 3, "the third box knows all three")


def test_both_see_each_other_and_keep_it_over_a_restart(two):
    first, second = two
    pair(first, second)
    federation = identity(first)["federation"]
    assert re.fullmatch(r"[0-9a-v]{16}", federation)
    assert identity(first)["issuer"] is True
    second.restart()
    state = ok(second.admin.rest.get("/v1/admin/federation"))
    assert (state["federation"], state["issuer"]) == (federation, False)
    for name in ("fed-cert.pem", "fed-ca.pem", "log-key"):
        assert (second.directory / name).stat().st_mode & 0o777 == 0o600
    assert not (second.directory / "fed-ca-key.pem").exists()


def test_a_used_a_mistyped_and_an_unknown_token_are_refused_with_what_to_do(new_box):
    first, second, third = new_box(), new_box(), new_box()
    token = invite(first)
    join(second, token)
    assert "used by another box" in refused(third, "pair", "join", token)
    assert "mistyped" in refused(third, "pair", "join", token[:-1] + ("0" if token[-1] != "0" else "1"))
    assert "mistyped" in refused(third, "pair", "join", token[:-5])
    assert "skerry pair invite" in refused(third, "pair", "join", input="")
    token = invite(first)
    first.restart()
    message = refused(third, "pair", "join", token)
    assert "does not know this token" in message or "cannot be reached" in message  # the listener may have got another port
    assert "already" in refused(second, "pair", "join", invite(first))


def test_a_box_of_another_federation_is_refused_with_what_to_do(new_box):
    first, second, third = new_box(), new_box(), new_box()
    join(second, invite(first))
    message = refused(second, "pair", "join", invite(third))
    assert "another federation" in message and "skerry boxes remove" in message


def test_a_box_that_was_alone_in_its_federation_comes_along_with_its_people(two):
    first, second = two
    anna = second.person("anna")
    invite(second)
    join(second, invite(first))
    eventually(
        lambda: first.rest().post("/v1/login", {"name": anna.name, "password": anna.password, "device": "x"}).status_code == 200,
        "anna can sign in at the first box")


def test_with_approval_a_box_waits_until_it_is_let_in_and_both_show_the_same_words(two):
    first, second = two
    token = done(first, "pair", "invite", "--approval").splitlines()[-1]
    waiting = subprocess.Popen(
        [binary(), "pair", "join", token, "--data", str(second.directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        line = eventually(lambda: waiting.stderr.readline(), "it says that it waits")
        assert "administrator there must approve" in line
        words = done(second, "pair", "words").strip()
        listed = eventually(lambda: json.loads(done(first, "pair", "list", "--json"))["items"], "it is in the list")
        assert [(item["state"], item["words"]) for item in listed] == [("waiting", words)]
        assert words in done(first, "pair", "list")
        assert waiting.poll() is None
        done(first, "pair", "approve", listed[0]["box"])
        out, err = waiting.communicate(timeout=30)
        assert waiting.returncode == 0, err
        assert "is of the federation" in out
    finally:
        waiting.kill()
    assert "No box waits" in done(first, "pair", "list")


def test_a_box_that_is_ignored_hears_it(two):
    first, second = two
    token = done(first, "pair", "invite", "--approval").splitlines()[-1]
    answer = second.admin.rest.post("/v1/admin/federation/join", {"token": token})
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "waiting"
    listed = ok(first.admin.rest.get("/v1/admin/federation/candidates"))["items"]
    path = f"/v1/admin/federation/candidates/{listed[0]['box']}"
    assert first.admin.rest.post(f"{path}/ignore").status_code == 204
    is_problem(first.admin.rest.post(f"{path}/approve"), 404, "not_found")
    progress = eventually(lambda: (p := identity(second)["progress"])["state"] == "failed" and p, "it hears that it is not let in")
    assert progress["code"] == "forbidden"
    assert "did not let this box in" in progress["detail"]


def test_the_admin_page_can_do_all_of_it(two):
    first, second = two
    state = identity(first)
    assert "federation" not in state and state["progress"]["state"] == "idle"
    made = first.admin.rest.post("/v1/admin/federation/invites", {})
    assert made.status_code == 201
    token = made.json()
    assert token["words"] == state["words"]
    joined = second.admin.rest.post("/v1/admin/federation/join", {"token": token["token"]})
    assert (joined.status_code, joined.json()["state"]) == (200, "joined")
    recovery = ok(first.admin.rest.post("/v1/admin/federation/recovery", {"passphrase": "correct horse"}))["file"]
    is_problem(second.admin.rest.post("/v1/admin/federation/restore", {"file": recovery, "passphrase": "wrong horse"}), 403, "forbidden")
    assert second.admin.rest.post("/v1/admin/federation/restore", {"file": recovery, "passphrase": "correct horse"}).status_code == 204
    assert identity(second)["issuer"] is True
    eventually(lambda: sum(item["isIssuer"] for item in boxes(first)) == 2, "the first box knows the second issuer")
    is_problem(first.admin.rest.delete("/v1/admin/boxes/nothing"), 404, "not_found")
    is_problem(first.admin.rest.delete(f"/v1/admin/boxes/{identity(first)['box']}"), 409, "conflict")


def test_people_may_not(two):
    first, _ = two
    anna = first.person("anna")
    for method, path in [
        ("GET", ""), ("POST", "/invites"), ("POST", "/join"), ("POST", "/announce"), ("GET", "/candidates"), ("POST", "/candidates/x/approve"),
        ("POST", "/recovery"), ("POST", "/restore"),
    ]:
        body = {"json": {"token": "x"}} if method == "POST" else {}
        is_problem(anna.rest.request(method, f"/v1/admin/federation{path}", **body), 403, "forbidden")
        assert first.rest().request(method, f"/v1/admin/federation{path}", **body).status_code == 401
    is_problem(anna.rest.delete("/v1/admin/boxes/x"), 403, "forbidden")


def test_a_retired_box_is_out_for_ever_and_its_machine_comes_back_as_a_new_box(new_box, tmp_path):
    first, second = new_box(), new_box()
    pair(first, second)
    box = identity(second)["box"]
    eventually(lambda: first.cli("boxes", "remove", box, "--reason", "replaced").returncode == 0, "it retires once all it has is elsewhere")
    listed = {item["box"]: item for item in boxes(first)}
    assert listed[box]["standing"] == "removed"
    assert "for ever" in refused(first, "boxes", "remove", box)
    assert refused(second, "pair", "join", invite(first))
    again = new_box()
    join(again, invite(first))


def test_the_recovery_file_and_its_passphrase_by_the_command_line(two, tmp_path):
    first, second = two
    join(second, invite(first))
    path = tmp_path / "federation.recovery"
    done(first, "pair", "recovery", str(path), input="correct horse\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("-----BEGIN SKERRY FEDERATION RECOVERY-----")
    assert "at least 8 characters" in refused(first, "pair", "recovery", str(tmp_path / "no"), input="short\n")
    assert "Only a box that has" in refused(second, "pair", "recovery", str(tmp_path / "no"), input="correct horse\n")
    assert "passphrase is wrong" in refused(second, "pair", "restore", str(path), input="correct hose\n")
    assert "There is no file" in refused(second, "pair", "restore", str(tmp_path / "none"), input="x\n")
    done(second, "pair", "restore", str(path), input="correct horse\n")
    third_token = invite(second)
    assert third_token
    assert "correct horse" not in first.log() + second.log()


def test_a_box_whose_clock_is_years_off_joins(new_box):
    if not library():
        pytest.skip("libfaketime is not installed")
    first, second, third = new_box(), new_box(start=False), new_box(start=False)
    for box, offset in ((second, "-15y"), (third, "+15y")):
        box.variables = wrong_clock(offset)
        box.start()
        join(box, invite(first))
    eventually(lambda: len(boxes(first)) == 3, "all three are of the federation")


def test_the_avahi_file_names_the_ports(two):
    first, _ = two
    out = done(first, "pair", "avahi")
    assert "<type>_http._tcp</type>" in out and "<port>8080</port>" in out


def test_without_a_running_box_the_verbs_say_so(tmp_path):
    result = subprocess.run(
        [binary(), "pair", "invite", "--data", str(tmp_path)], capture_output=True, text=True, env=environment(), timeout=30)
    assert result.returncode == 1
    assert "skerry serve" in result.stderr


@pytest.mark.long
def test_boxes_find_each_other_by_multicast_without_a_route_to_anywhere_and_again_after_an_address_has_changed(tmp_path, rng):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with World(tmp_path, rng) as world:
        first, second = world.box(), world.box()
        for box in (first, second):
            run("ip", "-n", box.namespace, "route", "del", "default")
            box.start()
        assert json.loads(done(first, "pair", "list", "--json"))["items"] == []
        words = done(second, "pair", "words").strip()
        assert words in done(second, "pair", "join", "--announce")
        listed = eventually(lambda: json.loads(done(first, "pair", "list", "--json"))["items"], "the box that wants to join is listed")
        assert [(item["state"], item["words"], item["address"]) for item in listed] == [("nearby", words, second.host)]
        assert "skerry pair invite" in refused(first, "pair", "approve", listed[0]["box"])
        pair(first, second)
        assert "already" in refused(second, "pair", "join", "--announce")

        old, second.host = second.host, f"{world.net}.77"
        run("ip", "-n", second.namespace, "addr", "del", f"{old}/24", "dev", "eth0")
        run("ip", "-n", second.namespace, "addr", "add", f"{second.host}/24", "dev", "eth0")
        anna = first.person("anna")
        eventually(
            lambda: second.rest().post("/v1/login", {"name": anna.name, "password": anna.password, "device": "x"}).status_code == 200,
            "what the first box writes reaches the second at its new address", seconds=150)
