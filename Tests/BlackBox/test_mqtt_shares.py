"""What a member of a shared subscription leaves behind moves to another member, also when the process is killed in the middle of it."""

import time

import pytest

from harness.wire import Wire

COUNT = 3_000
FILTER = "$share/g/share/#"


def member(box, id: str, present: bool = False, clean: bool = False) -> Wire:
    wire = Wire(box)
    assert wire.connect(id, clean=clean, expiry=600).present == present
    if not present:
        wire.subscribe(FILTER, qos=1)
    return wire


@pytest.mark.parametrize("delay", [0, 0.005, 0.02, 0.06])
def test_the_queue_of_a_member_that_goes_for_good_is_in_one_queue_after_a_kill(new_box, rng, delay):
    box = new_box("--mqtt-anonymous", "#")
    member(box, "leaving").drop()
    with Wire(box) as publisher:
        publisher.connect()
        waiting = []
        for number in range(COUNT):
            waiting.append(publisher.send_publish(f"share/{number % 7}", str(number), qos=1))
            if len(waiting) == 50:
                for id in waiting:
                    publisher.expect("PUBACK", id)
                waiting = []
    member(box, "heir").drop()
    # The end of the session is on its way; the kill comes somewhere in it.
    leaving = Wire(box)
    leaving.connect("leaving", clean=False, expiry=600)
    leaving.disconnect(0, session_expiry=0)
    time.sleep(rng.uniform(0, delay))  # where in it is the test's choice, not a wait for anything
    box.kill()
    box.start()
    # Whatever had got through: the rest goes when the client says once more that it is over.
    with Wire(box) as again:
        again.connect("leaving", clean=True)
    heir = member(box, "heir", present=True)
    got = [int(message.text) for message in heir.messages(COUNT)]
    heir.nothing()
    assert got == list(range(COUNT))
