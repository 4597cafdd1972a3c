"""What CONNACK says of a session is true after the process was killed."""

from harness.wire import Wire

ROUNDS = 12


def test_a_session_survives_a_kill_once_it_was_acknowledged(new_box):
    box = new_box("--mqtt-anonymous", "#")
    for number in range(ROUNDS):
        id = f"session-{number}"
        connack = Wire(box).connect(id, clean=False, expiry=600)
        assert not connack.present
        box.kill()
        box.start()
        with Wire(box) as back:
            assert back.connect(id, clean=False, expiry=600).present


def test_a_session_that_was_replaced_does_not_come_back_after_a_kill(new_box):
    box = new_box("--mqtt-anonymous", "#")
    for number in range(ROUNDS):
        id, topic = f"fresh-{number}", f"fresh/{number}"
        with Wire(box) as old:
            old.connect(id, clean=False, expiry=600)
            old.subscribe(topic, qos=1)
        with Wire(box) as publisher:
            publisher.connect()
            assert publisher.publish(topic, "for the old one").reason == 0
        assert not Wire(box).connect(id, clean=True, expiry=600).present
        box.kill()
        box.start()
        with Wire(box) as back:
            assert back.connect(id, clean=False, expiry=600).present
            with Wire(box) as publisher:
                publisher.connect()
                assert publisher.publish(topic, "for nobody").reason == 0x10
            back.nothing()
