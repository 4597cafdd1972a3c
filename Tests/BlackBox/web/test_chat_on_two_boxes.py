"""The web chat of a federation: two ticks, going to another box when one is sent there, and when one's own box dies."""

import http.client
import time

import pytest
from selenium.webdriver.common.by import By

from harness.box import free_port
from harness.federation import at, pair
from harness.rest import ok

LIVE = "return document.getElementById('app').dataset.link"


def shown(page) -> list[str]:
    return page.js("return [...document.querySelectorAll('.msg .text')].map((one) => one.textContent)")


def ticks(page, text: str) -> str:
    return page.js("return [...document.querySelectorAll('.msg.mine')].find((one) => one.querySelector('.text')?.textContent === arguments[0])?.querySelector('.status')?.title ?? ''", text)


def box_of(page) -> str:
    """The address of the WebSocket that the page has open."""
    return page.js("return performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/v1/boxes')).pop()?.name ?? ''")


@pytest.fixture
def boxes(new_box):
    """Two boxes of one federation."""
    made = [new_box(config=f"federation.name = {name}\n") for name in ("Harbour", "Lighthouse")]
    pair(*made)
    return made


@pytest.fixture
def pages(boxes, browser):
    """Ann at the first box and Bea at the second, looking at their conversation."""
    first, second = boxes
    ann, bea = first.person("ann"), first.person("bea")
    conv = ok(ann.rest.post("/v1/conversations", {"type": "direct", "user": bea.id}))["conversation"]["id"]
    deadline = time.monotonic() + 30
    while second.rest().post("/v1/login", {"name": bea.name, "password": bea.password, "device": "probe"}).status_code != 200:
        assert time.monotonic() < deadline, "an account does not get to the other box"
        time.sleep(0.1)
    made = []
    for person in (ann, at(second, bea)):
        page = browser().come_in(person, "/")
        page.click(".conversation")
        page.see("#composer")
        made.append(page)
    return *made, ann, bea, conv


def test_a_lone_box_shows_one_tick_and_does_not_wait_for_another(box, browser):
    ann, bea = box.people("ann", "bea")
    page = browser().sign_in(ann).find_person(bea.name)
    page.write("alone")
    page.stored("alone")
    assert ticks(page, "alone") == "Stored on the box"
    page.write("again")
    page.stored("again")
    assert not page.all(".status.replicated")
    assert "Stored on the box" in page.all(".msg.mine", "alone")[0].get_attribute("textContent")  # said to screen readers too


def test_a_message_gets_its_second_tick_and_appears_at_the_other_box(pages):
    ann, bea, *_ = pages
    ann.write("over the water")
    bea.message("over the water")
    ann.until(lambda: ticks(ann, "over the water") == "Stored on another box too", "two ticks")
    bea.see("#composer").send_keys("typ")
    ann.see(".typing", "is typing")
    ann.until(lambda: ann.all(".presence", "online"), "presence of somebody at the other box")
    bea.write("ing back")
    ann.message("typing back")
    # The second tick is part of the message, so it is there after a reload.
    ann.driver.refresh()
    ann.live()
    ann.message("over the water")
    assert ticks(ann, "over the water") == "Stored on another box too"
    ann.screenshot("chat-two-ticks")
    assert ann.complaints() == [] and bea.complaints() == []


def test_pages_of_sister_boxes_are_let_in_and_others_are_not(boxes):
    _, second = boxes
    handshake = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Protocol": "skerry.v1.json"}
    # The boxes of this test all have the address of this machine; a page of another port there is as good as a sister's.
    for origin, status in ((f"http://127.0.0.1:{free_port()}", 101), ("http://lighthouse.local", 403), ("http://harbour.local:8080", 101), ("http://evil.example", 403)):
        connection = http.client.HTTPConnection("127.0.0.1", second.port("http"), timeout=10)
        connection.request("GET", "/v1/ws", headers={**handshake, "Origin": origin})
        assert connection.getresponse().status == status, origin
        connection.close()
        answer = second.rest().get("/v1/assign", headers={"Origin": origin})
        assert answer.headers.get("Access-Control-Allow-Origin") == (origin if status == 101 else None), origin
    # MQTT asks for a password in its first packet too, but no page of another box has any business there.
    connection = http.client.HTTPConnection("127.0.0.1", second.port("http"), timeout=10)
    connection.request("GET", "/mqtt", headers={**handshake, "Sec-WebSocket-Protocol": "mqtt", "Origin": "http://harbour.local:8080"})
    assert connection.getresponse().status == 403
    connection.close()


def test_a_drained_box_sends_its_client_on_and_nothing_is_lost_or_shown_twice(boxes, pages):
    first, second = boxes
    ann, bea, person, *_ = pages
    ann.write("before")
    bea.message("before")
    ok(first.admin.rest.post("/v1/admin/drain", {"on": True}))
    said = [f"{who} {number}" for number in range(40) for who in ("ann", "bea")]
    for text in said:
        (ann if text.startswith("ann") else bea).write(text)
    ann.until(lambda: str(second.port("http")) in box_of(ann), "the chat at the other box", seconds=60)
    ann.live()
    for page in (ann, bea):
        page.until(lambda page=page: set(said) <= set(shown(page)), "everything that was said")
        assert sorted(shown(page)) == sorted(["before", *said])
    assert shown(ann) == shown(bea)
    # Requests go the same way.
    ann.click("button[aria-label='Settings']")
    field = ann.named("Display name")
    field.clear()
    field.send_keys("Ann of the sea")
    ann.click("dialog form button[type=submit]", "Save")
    ann.see(".toast", "Saved.")
    assert ok(at(second, person).rest.get("/v1/me"))["display"] == "Ann of the sea"
    assert ann.complaints() == []


def test_the_chat_goes_on_at_another_box_when_its_own_dies(boxes, pages):
    first, second = boxes
    ann, bea, *_ = pages
    ann.write("safe")
    ann.until(lambda: ticks(ann, "safe") == "Stored on another box too", "two ticks")
    ann.until(lambda: box_of(ann), "the list of boxes")
    first.kill()
    ann.write("written in between")
    ann.until(lambda: ann.js(LIVE) == "live" and str(second.port("http")) in box_of(ann), "the chat at the other box")
    bea.message("written in between")
    bea.write("still here")
    ann.message("still here")
    assert shown(ann) == shown(bea) == ["safe", "written in between", "still here"]
    ann.screenshot("chat-after-the-box-died")
    # And its own box is as good as before when it is back.
    first.start()
    assert ann.complaints() == []


def cut_off(page, box):
    """From now on the browser cannot reach the chat of that box; the boxes still see each other."""
    page.js("""
        const [port] = arguments;
        const Real = WebSocket;
        window.opened = [];
        window.WebSocket = function (address, protocols) {
            const url = new URL(address);
            window.opened.push(url.port);
            if (url.port === port) url.port = '1';
            return new Real(url.href, protocols);
        };
        window.WebSocket.OPEN = Real.OPEN;""", str(box.port("http")))


def test_who_is_sent_to_a_box_that_cannot_be_reached_comes_back(boxes, pages):
    first, second = boxes
    ann, bea, *_ = pages
    ann.write("before")
    bea.message("before")
    cut_off(ann, second)
    ok(first.admin.rest.post("/v1/admin/drain", {"on": True}))
    ann.until(lambda: ann.js("return window.opened.slice(0, 1)") == [str(second.port("http"))], "the chat is sent away", seconds=60)
    ann.until(lambda: str(first.port("http")) in ann.js("return window.opened") and ann.js(LIVE) == "live", "the chat at its own box")
    ann.write("back again")
    bea.message("back again")
    ann.stored("back again")
    assert shown(ann) == shown(bea) == ["before", "back again"]


@pytest.mark.long
def test_a_page_that_is_older_than_the_federation_loads_itself_anew_and_goes_along(new_box, browser):
    first, second = (new_box(config=f"federation.name = {name}\n") for name in ("Harbour", "Lighthouse"))
    ann = first.person("ann")
    page = browser().come_in(ann, "/")
    page.js("window.isTheFirst = true")
    pair(first, second)
    ok(first.admin.rest.post("/v1/admin/drain", {"on": True}))
    page.until(lambda: not page.js("return window.isTheFirst === true"), "the page loaded anew", seconds=60)
    # Its box leaves whoever came back alone for half a minute.
    page.until(lambda: page.js(LIVE) == "live" and str(first.port("http")) in box_of(page), "the chat at its own box")
    page.until(lambda: str(second.port("http")) in box_of(page), "the chat at the other box", seconds=60)
    page.live()
