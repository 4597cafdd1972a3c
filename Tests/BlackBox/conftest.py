"""Fixtures of the black-box tests. `SKERRY_BIN` names the binary; `SKERRY_ARTEFACTS` where screenshots and logs of failed tests are kept."""

import os
import pathlib
import random
import shutil

import pytest

from harness import Box
from harness.wire import Wire
from harness.box import ROOT, binary


def pytest_sessionstart(session):
    if not os.access(binary(), os.X_OK):
        pytest.exit(f"there is no {binary()}; build it with `swift build` or name one in SKERRY_BIN", returncode=2)


@pytest.fixture(scope="session")
def artefacts() -> pathlib.Path:
    """Where what a test leaves for people is put."""
    path = pathlib.Path(os.environ.get("SKERRY_ARTEFACTS") or ROOT / ".artefacts")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def rng(request):
    """Random numbers whose seed is printed when the test fails, and can be given in SKERRY_SEED."""
    seed = int(os.environ.get("SKERRY_SEED") or random.SystemRandom().getrandbits(32))
    print(f"SKERRY_SEED={seed}")
    return random.Random(seed)


@pytest.fixture(scope="session")
def box(tmp_path_factory):
    """One box that tests share (a worker's own when they run in parallel): they make users of their own and never stop it."""
    box = Box(tmp_path_factory.mktemp("shared") / "data").start()
    yield box
    box.stop()


@pytest.fixture(scope="session")
def open_box(tmp_path_factory):
    """One box whose ordinary topics are open to clients without an account."""
    box = Box(tmp_path_factory.mktemp("open") / "data", "--mqtt-anonymous", "#").start()
    yield box
    box.stop()


@pytest.fixture
def new_box(tmp_path):
    """Makes boxes that belong to one test: `new_box()`, `new_box("--mqtt-anonymous", "#")`, `new_box(config="log.level = debug")`."""
    boxes: list[Box] = []

    def make(*options: str, start: bool = True, config: str | None = None) -> Box:
        box = Box(tmp_path / f"box{len(boxes)}", *options, config=config)
        boxes.append(box)
        return box.start() if start else box

    yield make
    for box in boxes:
        box.kill()


def pytest_collection_modifyitems(items):
    for item in items:
        if "web" in item.path.relative_to(item.config.rootpath).parts[:-1]:
            item.add_marker(pytest.mark.browser)
    # What takes a minute begins first, so that nobody waits for it at the end.
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its boxes' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when != "call" or not report.failed:
        return
    for name in ("box", "tmp_path"):
        value = item.funcargs.get(name)
        logs = [value.log_path] if isinstance(value, Box) else sorted(value.glob("*.log")) if isinstance(value, pathlib.Path) else []
        for log in logs:
            if log.exists():
                tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-60:])
                report.sections.append((f"log of {log.stem}", tail))


def pytest_configure(config):
    if shutil.which("mosquitto_sub") is None:
        pytest.exit("mosquitto_sub is missing (Debian package mosquitto-clients)", returncode=2)


@pytest.fixture
def pub(open_box):
    """A connected client of `open_box` that publishes."""
    with Wire(open_box) as wire:
        wire.connect()
        yield wire
