"""Fixtures of the tests that look at the pages in a headless Chromium."""

import shutil

import pytest

from web.browser import Browser


@pytest.fixture
def browser(artefacts, request):
    """Makes browsers: `browser()`, `browser(language="zh-CN", size=PHONE, dark=True)`. When the test fails, each leaves a picture."""
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        pytest.fail(f"missing: {', '.join(missing)} (Debian packages chromium and chromium-driver)")
    browsers: list[Browser] = []

    def make(**options) -> Browser:
        browsers.append(Browser(artefacts, **options))
        return browsers[-1]

    yield make
    failed = getattr(request.node, "call_failed", False)
    for index, one in enumerate(browsers):
        try:
            if failed:
                one.screenshot(f"failed-{request.node.name}-{index}")
        finally:
            one.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.call_failed = report.failed
    return report
