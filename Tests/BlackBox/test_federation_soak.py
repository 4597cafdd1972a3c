"""A short run of the soak of `federation.soak`: three boxes in network namespaces, under load and faults."""

import os
import pathlib
import random

import pytest

from federation.soak import FAULTS, Soak
from federation.world import World, why_not

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
