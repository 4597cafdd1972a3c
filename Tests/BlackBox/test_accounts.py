"""Accounts: claim, login and its limits, invites, devices, passwords, locks."""

import concurrent.futures
import time

import pytest

from harness import ChatRefused, Person, eventually
from harness.mqtt import Refused
from harness.rest import is_problem, ok


def test_the_claim_makes_the_first_administrator_once(new_box):
    box = new_box()
    body = {"token": box.claim_token(), "name": "Ann", "password": "correct horse", "device": "laptop"}
    login = ok(box.rest().post("/v1/claim", body))
    assert login["role"] == "admin" and login["name"] == "Ann" and login["token"].startswith("sk_") and login["expires"].endswith("Z")
    assert ok(box.rest(login["token"]).get("/v1/me"))["id"] == login["user"]
    is_problem(box.rest().post("/v1/claim", body), 410, "gone")
    is_problem(box.rest().post("/v1/claim", {**body, "name": "eve"}), 410, "gone")


def test_the_claim_stays_used_after_a_restart(new_box):
    box = new_box()
    body = {"token": box.claim_token(), "name": "ann", "password": "correct horse"}
    ok(box.rest().post("/v1/claim", body))
    box.restart()
    assert not (box.directory / "run" / "claim.link").exists()
    is_problem(box.rest().post("/v1/claim", body), 410, "gone")


def test_of_two_claims_at_once_one_wins(new_box):
    box = new_box()
    token = box.claim_token()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: box.rest().post("/v1/claim", {"token": token, "name": f"user{n}", "password": "correct horse"}), range(8)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] in (200, 201) and all(status in (409, 410, 503) for status in statuses[1:]), statuses
    winner = next(answer for answer in answers if answer.status_code < 300).json()
    assert [u["name"] for u in ok(box.rest(winner["token"]).get("/v1/admin/users"))["items"]] == [winner["name"]]


@pytest.mark.parametrize("token", ["", "sc_", "x", "sc_" + "a" * 52, "sk_" + "a" * 52, "sc_" + "é" * 26, "sc_" + "a" * 5000], ids=lambda t: t[:8] or "empty")
def test_a_wrong_claim_token_opens_nothing(new_box, token):
    box = new_box()
    answer = box.rest().post("/v1/claim", {"token": token, "name": "eve", "password": "correct horse"})
    assert answer.status_code in (404, 422), answer.text
    assert answer.json()["code"] in ("not_found", "payload_invalid")
    assert (box.directory / "run" / "claim.link").exists()


def test_guessing_the_claim_is_slowed_down(new_box):
    box = new_box()
    rest = box.rest(address="127.7.7.7")
    statuses = [rest.post("/v1/claim", {"token": "sc_" + "a" * 52, "name": "eve", "password": "correct horse"}).status_code for _ in range(30)]
    assert statuses[0] == 404 and 429 in statuses, statuses
    assert box.admin.token, "the owner, at another address, is not kept out"


@pytest.mark.parametrize("body, field", [
    ({"name": "", "password": "correct horse"}, "name"), ({"name": "a" * 33, "password": "correct horse"}, "name"), ({"name": "a b", "password": "correct horse"}, "name"),
    ({"name": "a\u0000", "password": "correct horse"}, "name"), ({"name": "ann", "password": "seven77"}, "password"), ({"name": "ann", "password": "x" * 257}, "password"),
])
def test_names_and_passwords_keep_their_rules(box, body, field):
    problem = is_problem(box.admin.rest.post("/v1/admin/users", {**body, "role": "user"}), 422, "payload_invalid")
    assert problem["errors"][0]["field"] == field


def test_names_of_any_script_are_unique_without_regard_to_case(box):
    tail = box.person().name[-8:]
    for name in (f"Žofie-{tail}", f"小明-{tail}", f"Ünal_{tail}.x"):
        person = box.person(name, exact=True)
        assert ok(person.rest.get("/v1/me"))["name"] == name
        is_problem(box.admin.rest.post("/v1/admin/users", {"name": name.upper(), "password": "correct horse", "role": "user"}), 409, "conflict")
        assert ok(box.rest().post("/v1/login", {"name": name.upper(), "password": person.password}))["user"] == person.id


def test_a_wrong_name_and_a_wrong_password_are_refused_alike(box):
    ann = box.person("ann")
    wrong = is_problem(box.rest().post("/v1/login", {"name": ann.name, "password": "not this one"}), 401, "unauthenticated")
    unknown = is_problem(box.rest().post("/v1/login", {"name": "nobody-here", "password": "not this one"}), 401, "unauthenticated")
    assert wrong == unknown


def test_guessing_a_password_is_slowed_down_and_says_for_how_long(box):
    ann = box.person("ann")
    answers = [box.rest().post("/v1/login", {"name": ann.name, "password": f"guess number {n}"}) for n in range(12)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:3] == [401, 401, 401] and statuses[-1] == 429, statuses
    problem = is_problem(answers[-1], 429, "rate_limited")
    assert problem["temporary"] and problem["retryAfter"] >= 1
    assert int(answers[-1].headers["Retry-After"]) >= 1
    is_problem(box.rest().post("/v1/login", {"name": ann.name, "password": ann.password}), 429, "rate_limited")
    assert ok(ann.rest.get("/v1/me")), "who is in, stays in"


def test_guessing_from_one_address_is_slowed_down_whatever_the_name(box):
    rest = box.rest(address="127.8.8.8")
    statuses = [rest.post("/v1/login", {"name": f"name{n}", "password": "some password"}).status_code for n in range(40)]
    assert statuses[0] == 401 and statuses[-1] == 429, statuses
    bob = box.person("bob")
    assert bob.token, "another address is not touched"


def test_mqtt_guesses_count_as_well(box):
    ann = box.person("ann")
    codes = []
    for n in range(12):
        try:
            ann.mqtt(password=f"guess number {n}", version=5)
        except Refused as refused:
            codes.append(refused.value)
    assert codes[0] == 0x86 and codes[-1] in (0x97, 0x9F, 0x8A), codes


def test_an_invite_lets_as_many_in_as_it_says(box):
    invite = ok(box.admin.rest.post("/v1/admin/invites", {"role": "user", "uses": 2, "hours": 24}))
    assert invite["link"].endswith("/#/invite/" + invite["token"]) and invite["token"].startswith("si_")
    check = ok(box.rest().post("/v1/invites/check", {"token": invite["token"]}))
    assert check["role"] == "user" and check["expires"]
    names = [box.person().name + "i" for _ in range(3)]
    for number, name in enumerate(names[:2]):
        listed = next(i for i in ok(box.admin.rest.get("/v1/admin/invites"))["items"] if i["id"] == invite["id"])
        assert (listed["uses"], listed["used"], listed["role"]) == (2, number, "user") and "token" not in listed
        login = ok(box.rest().post("/v1/invites/accept", {"token": invite["token"], "name": name, "password": "correct horse", "device": "phone"}))
        assert login["name"] == name and login["role"] == "user"
        assert ok(box.rest(login["token"]).get("/v1/me"))["name"] == name
    is_problem(box.rest().post("/v1/invites/accept", {"token": invite["token"], "name": names[2], "password": "correct horse"}), 410, "gone")


def test_a_name_that_is_taken_does_not_use_up_an_invite(box):
    ann = box.person("ann")
    invite = ok(box.admin.rest.post("/v1/admin/invites", {"role": "user", "uses": 1, "hours": 1}))
    is_problem(box.rest().post("/v1/invites/accept", {"token": invite["token"], "name": ann.name, "password": "correct horse"}), 409, "conflict")
    ok(box.rest().post("/v1/invites/accept", {"token": invite["token"], "name": ann.name + "2", "password": "correct horse"}))


def test_many_at_once_do_not_get_more_out_of_an_invite_than_it_holds(box):
    invite = ok(box.admin.rest.post("/v1/admin/invites", {"role": "user", "uses": 3, "hours": 1}))
    tail = box.person().name
    accept = lambda n: box.rest().post("/v1/invites/accept", {"token": invite["token"], "name": f"{tail}.{n}", "password": "correct horse"})
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(accept, range(8))]
    assert sum(status < 300 for status in statuses) == 3, statuses


def test_a_withdrawn_invite_opens_nothing(box):
    invite = ok(box.admin.rest.post("/v1/admin/invites", {"role": "admin", "uses": 5, "hours": 1}))
    assert box.admin.rest.delete(f"/v1/admin/invites/{invite['id']}").status_code == 204
    is_problem(box.rest().post("/v1/invites/check", {"token": invite["token"]}), 410, "gone")
    is_problem(box.rest().post("/v1/invites/accept", {"token": invite["token"], "name": "eve", "password": "correct horse"}), 410, "gone")


@pytest.mark.parametrize("body, field", [({"role": "user", "uses": 0, "hours": 1}, "uses"), ({"role": "user", "uses": 1001, "hours": 1}, "uses"),
                                         ({"role": "user", "uses": 1, "hours": 0}, "hours"), ({"role": "user", "uses": 1, "hours": 721}, "hours"),
                                         ({"role": "king", "uses": 1, "hours": 1}, "role")])
def test_an_invite_keeps_its_limits(box, body, field):
    problem = is_problem(box.admin.rest.post("/v1/admin/invites", body), 422, "payload_invalid")
    assert problem["errors"][0]["field"] == field


def test_only_administrators_administer(box):
    ann = box.person("ann")
    for method, path in [("GET", "/v1/admin/overview"), ("GET", "/v1/admin/users"), ("GET", "/v1/admin/online"), ("GET", "/v1/admin/invites"), ("GET", "/v1/admin/listeners"),
                         ("POST", "/v1/admin/invites"), ("POST", "/v1/admin/users"), ("POST", f"/v1/admin/users/{ann.id}/lock"), ("POST", f"/v1/admin/users/{ann.id}/reset"),
                         ("PATCH", f"/v1/admin/users/{ann.id}")]:
        body = {"role": "admin", "uses": 1, "hours": 1, "name": "eve", "password": "correct horse"} if method != "GET" else None
        is_problem(ann.rest.request(method, path, json=body), 403, "forbidden")
        is_problem(box.rest().request(method, path, json=body), 401, "unauthenticated")
    assert ok(ann.rest.get("/v1/me"))["role"] == "user"


def test_a_token_dies_with_logout_and_takes_its_sockets_along(box):
    ann = box.person("ann")
    chat, mqtt = ann.chat(), ann.mqtt()
    other = Person(box, ann.name, ann.password)
    with other.chat() as stays:
        assert ann.rest.post("/v1/logout").status_code == 204
        assert chat.closed().code == 4401
        mqtt.wait_disconnected()
        is_problem(ann.rest.get("/v1/me"), 401, "unauthenticated")
        with pytest.raises(ChatRefused) as refusal:
            ann.chat()
        assert refusal.value.code == "unauthenticated"
        with pytest.raises(Refused):
            ann.mqtt()
        stays.barrier()


def test_devices_are_listed_and_can_be_sent_away(box):
    ann = box.person("ann")
    other = Person(box, ann.name, ann.password)
    devices = {d["id"]: d for d in ok(ann.rest.get("/v1/me/devices"))["items"]}
    assert set(devices) == {ann.device, other.device}
    assert devices[ann.device]["current"] is True and devices[other.device]["current"] is False
    assert devices[ann.device]["name"] == "tests"
    chat = other.chat()
    assert ann.rest.delete(f"/v1/me/devices/{other.device}").status_code == 204
    assert chat.closed().code == 4401
    is_problem(other.rest.get("/v1/me"), 401, "unauthenticated")
    is_problem(ann.rest.delete(f"/v1/me/devices/{other.device}"), 404, "not_found")


def test_a_device_of_somebody_else_is_not_there_to_be_sent_away(box):
    ann, bob = box.people("ann", "bob")
    is_problem(bob.rest.delete(f"/v1/me/devices/{ann.device}"), 404, "not_found")
    assert ok(ann.rest.get("/v1/me"))


def test_a_lock_closes_everything_and_unlocking_opens_it_again(box):
    ann = box.person("ann")
    chat, mqtt = ann.chat(), ann.mqtt()
    assert box.admin.rest.post(f"/v1/admin/users/{ann.id}/lock").status_code == 204
    assert chat.closed().code == 4403
    mqtt.wait_disconnected()
    is_problem(ann.rest.get("/v1/me"), 403, "forbidden")
    is_problem(box.rest().post("/v1/login", {"name": ann.name, "password": ann.password}), 403, "forbidden")
    is_problem(box.rest().post("/v1/login", {"name": ann.name, "password": "not the password"}), 401, "unauthenticated")
    with pytest.raises(Refused):
        ann.mqtt()
    listed = next(u for u in ok(box.admin.rest.get("/v1/admin/users?limit=200"))["items"] if u["id"] == ann.id)
    assert listed["locked"] is True
    assert box.admin.rest.post(f"/v1/admin/users/{ann.id}/unlock").status_code == 204
    assert ok(box.rest().post("/v1/login", {"name": ann.name, "password": ann.password}))


def test_the_last_administrator_cannot_be_locked_or_lowered(new_box):
    box = new_box()
    is_problem(box.admin.rest.post(f"/v1/admin/users/{box.admin.id}/lock"), 409, "conflict")
    is_problem(box.admin.rest.patch(f"/v1/admin/users/{box.admin.id}", {"role": "user"}), 409, "conflict")
    second = box.person("second", role="admin")
    assert box.admin.rest.post(f"/v1/admin/users/{second.id}/lock").status_code == 204
    is_problem(box.admin.rest.post(f"/v1/admin/users/{box.admin.id}/lock"), 409, "conflict")


def test_a_role_given_and_taken_holds_at_once(box):
    ann = box.person("ann")
    is_problem(ann.rest.get("/v1/admin/users"), 403, "forbidden")
    ok(box.admin.rest.patch(f"/v1/admin/users/{ann.id}", {"role": "admin"}))
    ok(ann.rest.get("/v1/admin/users"))
    ok(box.admin.rest.patch(f"/v1/admin/users/{ann.id}", {"role": "user"}))
    is_problem(ann.rest.get("/v1/admin/users"), 403, "forbidden")


def test_a_reset_link_sets_a_password_once(box):
    ann = box.person("ann")
    reset = ok(box.admin.rest.post(f"/v1/admin/users/{ann.id}/reset"))
    assert reset["link"].endswith("/#/reset/" + reset["token"])
    login = ok(box.rest().post("/v1/reset", {"token": reset["token"], "password": "brand new word", "device": "phone"}))
    assert login["user"] == ann.id
    is_problem(box.rest().post("/v1/reset", {"token": reset["token"], "password": "another word"}), 410, "gone")
    is_problem(box.rest().post("/v1/login", {"name": ann.name, "password": ann.password}), 401, "unauthenticated")
    assert ok(box.rest().post("/v1/login", {"name": ann.name, "password": "brand new word"}))


def test_a_password_changes_only_for_who_knows_the_old_one(box):
    ann = box.person("ann")
    assert ann.rest.post("/v1/me/password", {"old": "not this one", "new": "brand new word"}).status_code in (401, 403)
    assert ann.rest.post("/v1/me/password", {"old": ann.password, "new": "brand new word"}).status_code in (200, 204)
    is_problem(box.rest().post("/v1/login", {"name": ann.name, "password": ann.password}), 401, "unauthenticated")
    assert ok(box.rest().post("/v1/login", {"name": ann.name, "password": "brand new word"}))


def test_the_display_name_is_ones_own_to_change(box):
    ann = box.person("ann")
    assert ok(ann.rest.patch("/v1/me", {"display": "Ann 阿安 🌊"}))["display"] == "Ann 阿安 🌊"
    assert ok(ann.rest.get("/v1/me"))["display"] == "Ann 阿安 🌊"
    assert ann.rest.patch("/v1/me", {"display": "x" * 5_000}).status_code in (413, 422)


def test_tokens_hold_over_a_restart(new_box):
    box = new_box()
    ann = box.person("ann")
    box.restart()
    assert ok(ann.rest.get("/v1/me"))["id"] == ann.id
    with ann.chat() as chat:
        assert chat.greeting["user"] == ann.id


def test_a_revoked_token_stays_revoked_after_a_kill(new_box):
    box = new_box()
    ann = box.person("ann")
    assert ann.rest.post("/v1/logout").status_code == 204
    box.kill()
    box.start()
    is_problem(ann.rest.get("/v1/me"), 401, "unauthenticated")


def test_the_administrator_sees_who_is_online_and_from_where(box):
    ann = box.person("ann")
    with ann.chat(), ann.mqtt("thermometer-" + ann.name):
        items = eventually(lambda: [i for i in ok(box.admin.rest.get("/v1/admin/online"))["items"] if i["user"] == ann.id and len(i) > 0], "Ann is online")
        assert {i["kind"] for i in items} == {"ws", "mqtt"}
        assert all(i["address"].startswith(ann.address) for i in items)
        assert next(i for i in items if i["kind"] == "mqtt")["client"] == "thermometer-" + ann.name
    eventually(lambda: not [i for i in ok(box.admin.rest.get("/v1/admin/online"))["items"] if i["user"] == ann.id], "Ann is gone")


def test_the_overview_counts_what_there_is(box):
    box.person("ann")
    overview = ok(box.admin.rest.get("/v1/admin/overview"))
    assert overview["claimed"] is True and overview["users"] >= 2 and len(overview["box"]) == 16
    assert {(l["kind"], l["tls"]) for l in overview["listeners"]} == {("http", False), ("http", True), ("mqtt", False), ("mqtt", True), ("federation", True)}
    assert overview["memory"]["residentBytes"] > 1_000_000 or int(overview["memory"]["residentBytes"]) > 1_000_000
    assert int(overview["disk"]["freeBytes"]) > 0 and int(overview["store"]["bytes"]) > 0


def test_a_user_list_is_paged_for_the_administrator(new_box):
    box = new_box()
    names = {box.person(f"u{n}").name for n in range(5)} | {"admin"}
    seen, after = [], None
    while True:
        page = ok(box.admin.rest.get("/v1/admin/users", params={"limit": 2, **({"after": after} if after else {})}))
        assert len(page["items"]) <= 2
        seen += [u["name"] for u in page["items"]]
        after = page.get("next")
        if not after:
            break
    assert sorted(seen) == sorted(names)


def test_logins_of_many_people_at_once_all_come_through(new_box):
    box = new_box()
    people = [box.person(f"u{n}") for n in range(8)]
    began = time.monotonic()

    def login(person):
        while True:
            answer = box.rest(address=person.address).post("/v1/login", {"name": person.name, "password": person.password})
            if answer.status_code != 503:
                return answer
            assert answer.json()["code"] == "busy" and time.monotonic() - began < 60

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(login, people * 2))
    assert all(answer.status_code == 200 for answer in answers), [a.status_code for a in answers]
