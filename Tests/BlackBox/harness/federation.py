"""Boxes that belong to one federation."""

import time

from .box import Box, Person
from .rest import ok
from .wait import DEADLINE_SECONDS


def invite(box: Box) -> str:
    """A pairing token of `box`: the last line of `skerry pair invite`."""
    result = box.cli("pair", "invite")
    assert result.returncode == 0, f"skerry pair invite: {result.stdout}{result.stderr}"
    return result.stdout.splitlines()[-1].strip()


def join(box: Box, token: str) -> None:
    result = box.cli("pair", "join", input=token + "\n")
    assert result.returncode == 0, f"skerry pair join: {result.stdout}{result.stderr}\n{box.log(30)}"


def pair(first: Box, *others: Box) -> None:
    """Makes `first` the founder and lets the others join, one after the other; returns when all see each other."""
    first.admin  # the founder is claimed: its administrator is the federation's
    for other in others:
        join(other, invite(first))
        adopt(first, other)
    for box in (first, *others):
        alive(box, len(others) + 1)


def adopt(first: Box, other: Box) -> None:
    """The administrator of `first` signs in at `other`, where the account comes to be known."""
    admin = first.admin
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        answer = other.rest().post("/v1/login", {"name": admin.name, "password": admin.password, "device": "tests"})
        if answer.status_code == 200:
            other._admin = Person(other, admin.name, admin.password, answer.json())
            return
        assert time.monotonic() < deadline, f"the founder's administrator is not known at the other box: {answer.text}\n{other.log(30)}"
        time.sleep(0.05)


def boxes(box: Box) -> list[dict]:
    """What `box` says of all boxes, itself first."""
    return ok(box.admin.rest.get("/v1/admin/boxes"))["items"]


def alive(box: Box, count: int, seconds: float = DEADLINE_SECONDS) -> list[dict]:
    """Waits until `box` has links to all others of `count`."""
    deadline = time.monotonic() + seconds
    while True:
        items = boxes(box)
        others = [item for item in items if not item["isSelf"]]
        if len(items) == count and all(item["liveness"] == "alive" and item["sync"]["phase"] == "live" for item in others):
            return items
        assert time.monotonic() < deadline, f"not all boxes are there after {seconds:g} s: {items}\n{box.log(30)}"
        time.sleep(0.05)


def at(box: Box, person: Person) -> Person:
    """The same person, signed in at another box."""
    return Person(box, person.name, person.password)
