"""Waiting for what must become true. A test never sleeps for a fixed time: it waits for a condition, until a deadline."""

import time

DEADLINE_SECONDS = 20.0
_STEP_SECONDS = 0.01


def eventually(condition, what: str, seconds: float = DEADLINE_SECONDS):
    """Returns the first truthy value of `condition()`; fails with `what` when the deadline passes first."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(_STEP_SECONDS)
