"""A short run of the soak of `federation.soak`: three boxes in network namespaces, under load and faults."""

import os
import pathlib
import random

import pytest

from harness import eventually
from harness.federation import adopt, alive
from federation.delay import why_not_delayed
from federation.soak import FAULTS, Soak
from federation.world import World, federate, why_not

SECONDS = float(os.environ.get("SKERRY_SOAK_SECONDS") or 90)


@pytest.mark.long
def test_a_federation_under_faults_loses_nothing_that_was_replicated_and_tells_one_order(tmp_path: pathlib.Path):
    reason = why_not()
    if reason:
        pytest.skip(reason)
    seed = int(os.environ.get("SKERRY_SEED") or random.SystemRandom().getrandbits(24))
    print(f"SKERRY_SEED={seed}")
    with World(tmp_path, random.Random(seed)) as world:
        soak = Soak(world, 3, 6, seed, 0.05, print)
        assert soak.run(SECONDS, FAULTS) == []


def test_boxes_find_each_other_over_a_wire_that_takes_time(tmp_path: pathlib.Path):
    """On loopback a connection is there when `connect` returns; on a real network it never is."""
    reason = why_not() or why_not_delayed()
    if reason:
        pytest.skip(reason)
    with World(tmp_path, random.Random(1), delay=30, loss=0.01) as world:
        first, second = world.box(), world.box()
        federate([first, second])
        alive(first, 2, 60)
        adopt(first, second)
        alive(second, 2, 60)
        anna = first.person("anna")
        eventually(lambda: second.rest(anna.token).get("/v1/me").status_code == 200, "what is written on one box is known at the other")
