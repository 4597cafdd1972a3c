"""Listeners on a range of ports: the lowest free one is taken, published and freed."""

import contextlib
import random
import socket

import pytest

from harness import Box, eventually
from harness.federation import boxes, pair
from harness.rest import ok


def free_range(count: int) -> int:
    """The first of so many ports that are free together."""
    while True:
        first = random.SystemRandom().randint(20_000, 32_000 - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
                return first
            except OSError:
                continue


@contextlib.contextmanager
def occupied(*ports: int):
    """Other programs listen there."""
    with contextlib.ExitStack() as stack:
        for port in ports:
            taken = stack.enter_context(socket.socket())
            taken.bind(("127.0.0.1", port))
            taken.listen(1)
        yield


def test_the_lowest_free_port_of_a_range_is_taken_published_and_freed(new_box):
    first = free_range(6)
    with occupied(first, first + 1, first + 3):
        box = new_box("--http-port", f"{first}-{first + 5}", "--mqtt-port", f"{first}-{first + 5}")
        assert (box.port("http"), box.port("mqtt")) == (first + 2, first + 4)
        assert ok(box.rest().get("/healthz"))["status"] == "ok"
        listeners = ok(box.admin.rest.get("/v1/admin/listeners"))["items"]
        assert {first + 2, first + 4} <= {listener["port"] for listener in listeners}
        told = ok(box.admin.rest.get("/v1/boxes"))["items"][0]["endpoints"]
        assert f"http://127.0.0.1:{first + 2}" in told and f"mqtt://127.0.0.1:{first + 4}" in told
        box.stop()
        assert not (box.directory / "run" / "endpoints.json").exists()
        with occupied(first + 2):  # it is free: somebody else may have it
            assert box.start().port("http") == first + 4
    assert box.restart().port("http") == first  # what was occupied before is free now


def test_two_boxes_with_the_same_settings_share_a_range(new_box):
    first = free_range(4)
    options = ("--http-port", f"{first}-{first + 3}", "--https-port", f"{first}-{first + 3}")
    boxes = [new_box(*options), new_box(*options)]
    assert sorted(box.port(kind) for box in boxes for kind in ("http", "https")) == list(range(first, first + 4))


def test_a_range_that_others_have_whole_is_refused_with_what_to_do(new_box):
    first = free_range(3)
    box = new_box("--mqtt-port", f"{first}-{first + 2}", start=False)
    with occupied(first, first + 1, first + 2), pytest.raises(AssertionError) as failure:
        box.start()
    assert f"mqtt cannot listen on 127.0.0.1 ports {first}-{first + 2}: other programs have all of these ports." in str(failure.value)
    box.start()


def test_named_and_federation_listeners_take_ranges_too(new_box):
    first = free_range(4)
    config = f"mqtt.listeners.lan.bind = 127.0.0.1:{first}-{first + 3}\n"
    with occupied(first):
        box = new_box("--federation-port", f"{first}-{first + 3}", config=config)
        ports = {listener.get("name") or listener["kind"]: listener["port"] for listener in box.endpoints["listeners"]}
        assert sorted((ports["lan"], ports["federation"])) == [first + 1, first + 2]


@pytest.mark.parametrize("written", ["5-4", "1-2-3", "0-9", "80-", "-80", "1-65536", "1000-2000", "eighty"])
def test_what_is_no_range_is_refused_before_anything_starts(new_box, written):
    box = new_box(f"--http-port={written}", start=False)
    with pytest.raises(AssertionError) as failure:
        box.start()
    assert "http.port must be a port from 0 to 65535, or a range such as 8080-8089" in str(failure.value)


@pytest.mark.long
def test_the_endpoints_of_a_dead_box_vanish_with_its_heartbeat(new_box):
    first, second = new_box(), new_box()
    pair(first, second)

    def other() -> dict:
        return next(item for item in boxes(first) if not item["isSelf"])

    assert {endpoint["port"] for endpoint in other()["endpoints"]} >= {second.port("http"), second.port("mqtt")}
    second.kill()
    eventually(lambda: other()["liveness"] == "suspect", "a box whose link broke is suspect")
    eventually(lambda: other()["liveness"] == "down", "a box that is silent for half a minute is down", 45)
    assert other()["endpoints"] == [] and "load" not in other()
    listed = next(item for item in ok(first.admin.rest.get("/v1/boxes"))["items"] if not item["isSelf"])
    assert (listed["reachable"], listed["endpoints"]) == (False, [])
    second.start()
    eventually(lambda: other()["liveness"] == "alive" and other()["endpoints"], "it comes back with its endpoints")
    assert {endpoint["port"] for endpoint in other()["endpoints"]} >= {second.port("http")}
