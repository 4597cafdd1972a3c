"""Two people in two browsers: what one writes the other sees, through restarts, reloads and refusals."""

import secrets
import socket

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from harness.rest import ok


def direct(one, other) -> str:
    """The conversation of two people, made when needed."""
    return ok(one.rest.post("/v1/conversations", {"type": "direct", "user": other.id}))["conversation"]["id"]


def send(person, conversation: str, text: str, **more) -> dict:
    return ok(person.rest.post(f"/v1/conversations/{conversation}/messages", {"cid": secrets.token_hex(8), "kind": "text", "text": text, **more}))


def read_by(person, conversation: str) -> str | None:
    members = ok(person.rest.get(f"/v1/conversations/{conversation}"))["conversation"]["members"]
    return next(member.get("read") for member in members if member["user"] == person.id)


@pytest.fixture
def fixed_box(new_box):
    """A box that comes back at the same address, so that an open page finds it again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return new_box("--http-port", str(port))


def test_messages_go_both_ways_live_with_ticks_typing_and_read(box, browser):
    anna, ben = box.people("anna", "ben")
    one, two = browser().sign_in(anna), browser().sign_in(ben)
    one.find_person(ben.name)
    two.open_conversation(anna.name)
    one.write("在吗?")
    one.stored("在吗?")
    two.message("在吗?")
    one.see(".msg.mine .read", "Read")
    two.see("#composer").send_keys("typing now")
    one.see(".typing", f"{ben.name} is typing")
    two.press(Keys.ENTER)
    one.message("typing now")
    one.see_none(".typing", "is typing")
    two.write("👍")
    assert one.see(".msg .large", "👍")
    one.see(".thread .presence", "online")
    one.screenshot("chat-desktop")
    assert one.complaints() == [] and two.complaints() == []


def test_unread_messages_are_counted_and_cleared_when_read(box, browser):
    anna, ben, cleo = box.people("anna", "ben", "cleo")
    conversation = direct(anna, ben)
    send(anna, conversation, "first")
    page = browser().come_in(ben)
    page.until(lambda: page.unread(anna.name) == 1, "one unread")
    last = send(anna, conversation, "second")
    page.until(lambda: page.unread(anna.name) == 2 and page.driver.title.startswith("(2)"), "two unread, also in the title")
    page.open_conversation(anna.name)
    page.see(".divider", "New messages")
    page.until(lambda: page.unread(anna.name) == 0, "none unread")
    page.until(lambda: read_by(ben, conversation) == last["order"], "the receipt at the box")
    other = direct(cleo, ben)
    send(cleo, other, "elsewhere")
    page.until(lambda: page.unread(cleo.name) == 1, "the other conversation counts while this one is open")
    page.until(lambda: cleo.name in page.all(".conversation")[0].text, "what happened last is on top")


def test_older_pages_come_on_scrolling_and_the_place_is_kept(box, browser):
    anna, ben = box.people("anna", "ben")
    conversation = direct(anna, ben)
    for number in range(130):
        send(anna, conversation, f"number {number}")
    ok(ben.rest.post(f"/v1/conversations/{conversation}/receipt", {"read": send(anna, conversation, "the last")["order"]}))
    page = browser().come_in(ben).open_conversation(anna.name)
    page.message("the last")
    assert not page.driver.find_elements(By.XPATH, "//p[text()='number 20']")
    watch = """
        const log = document.querySelector('.log');
        const row = [...log.querySelectorAll('.msg')].find(one => one.getBoundingClientRect().bottom > log.getBoundingClientRect().top);
        return [row.dataset.key, row.getBoundingClientRect().top, log.querySelectorAll('.msg').length];"""
    key, top, count = page.js("document.querySelector('.log').scrollTop = 120;" + watch)
    assert count == 50
    page.until(lambda: page.js("return document.querySelectorAll('.log .msg').length") > count, "an older page")
    moved = page.js("return [...document.querySelectorAll('.log .msg')].find(e => e.dataset.key === arguments[0]).getBoundingClientRect().top", key)
    assert abs(moved - top) <= 2, (top, moved)
    page.until(lambda: page.js("document.querySelector('.log').scrollTop = 0; return document.querySelectorAll('.log .msg').length") == 131, "all of them")
    page.see(".note", "beginning")
    texts = page.js("return [...document.querySelectorAll('.log .msg .text')].map(e => e.textContent)")
    assert texts == [f"number {number}" for number in range(130)] + ["the last"]


def test_what_was_written_without_a_connection_is_sent_once_when_the_box_is_back(fixed_box, browser):
    anna, ben = fixed_box.people("anna", "ben")
    conversation = direct(anna, ben)
    send(ben, conversation, "before")
    one, two = browser().come_in(anna).open_conversation(ben.name), browser().come_in(ben).open_conversation(anna.name)
    two.message("before")
    fixed_box.kill()
    one.see(".banner", "No connection")
    for text in ("one in the dark", "two in the dark"):
        one.write(text)
        one.see(".msg.mine", text).find_element(By.CSS_SELECTOR, ".status.pending")
    one.screenshot("chat-offline")
    fixed_box.start()
    for text in ("one in the dark", "two in the dark"):
        one.stored(text)
        two.message(text)
    one.see_none(".banner")
    two.write("after")
    one.message("after")
    texts = ["before", "one in the dark", "two in the dark", "after"]
    for page in (one, two):
        assert [row for row in page.js("return [...document.querySelectorAll('.log .msg .text')].map(e => e.textContent)") if row in texts] == texts
    assert ok(anna.rest.get(f"/v1/conversations/{conversation}/messages"))["items"][-1]["text"] == "after"
    assert one.js("return Object.keys(localStorage).filter(k => k.startsWith('skerry.out.')).length") == 0


def test_a_page_closed_before_the_acknowledgement_sends_when_it_is_opened_again(fixed_box, browser):
    anna, ben = fixed_box.people("anna", "ben")
    conversation = direct(anna, ben)
    send(ben, conversation, "before")
    page = browser().come_in(anna).open_conversation(ben.name)
    page.see("#composer").send_keys("a draft")
    page.js("document.getElementById('composer').blur()")
    fixed_box.kill()
    page.see(".banner", "No connection")
    page.see("#composer").clear()
    page.write("kept over a reload")
    page.see("#composer").send_keys("the next draft")
    page.js("document.getElementById('composer').blur()")
    page.open("about:blank")
    fixed_box.start()
    page.open(fixed_box.url + f"/#/c/{conversation}")
    page.stored("kept over a reload")
    assert page.see("#composer").get_attribute("value") == "the next draft"
    texts = [item.get("text") for item in ok(ben.rest.get(f"/v1/conversations/{conversation}/messages"))["items"]]
    assert texts.count("kept over a reload") == 1


def test_what_happened_while_the_connection_was_gone_is_caught_up(fixed_box, browser):
    anna, ben = fixed_box.people("anna", "ben")
    conversation = direct(anna, ben)
    old = send(ben, conversation, "to be changed")
    gone = send(ben, conversation, "to be recalled")
    page = browser().come_in(anna).open_conversation(ben.name)
    page.message("to be recalled")
    page.js("""window.hold = WebSocket; window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.({ code: 1006 }), 50); } close() {} };
        window.dispatchEvent(new Event('offline'));""")
    fixed_box.restart()
    page.see(".banner", "No connection")
    ok(ben.rest.patch(f"/v1/messages/{old['mid']}", {"text": "changed"}))
    ok(ben.rest.delete(f"/v1/messages/{gone['mid']}"))
    for number in range(250):
        send(ben, conversation, f"missed {number}")
    page.js("window.WebSocket = window.hold")
    page.js("document.querySelector('.banner:not([hidden]) button')?.click()")  # or the page was quicker by itself
    page.live()
    page.message("missed 249")
    page.message("changed")
    texts = page.js("return [...document.querySelectorAll('.log .msg .text')].map(e => e.textContent)")
    assert texts == ["changed", "Message recalled"] + [f"missed {number}" for number in range(250)]


def test_a_cursor_that_the_box_does_not_know_makes_the_page_load_anew(fixed_box, browser):
    anna, ben = fixed_box.people("anna", "ben")
    conversation = direct(anna, ben)
    send(ben, conversation, "before")
    page = browser().come_in(anna).open_conversation(ben.name)
    page.message("before")
    page.js("""
        const send = WebSocket.prototype.send;
        window.hellos = 0;
        WebSocket.prototype.send = function (text) {
            const frame = JSON.parse(text);
            if (frame.t === 'hello') { window.hellos += 1; if (frame.d.cursor) frame.d.cursor = 'of-another-life'; }
            send.call(this, JSON.stringify(frame));
        };""")
    fixed_box.restart()
    send(ben, conversation, "meanwhile")
    page.message("meanwhile")
    page.live()
    page.write("and on")
    page.stored("and on")
    send(ben, conversation, "live again")
    page.message("live again")
    assert page.count("before") == page.count("meanwhile") == 1
    assert page.js("return window.hellos") >= 1


def test_edit_recall_reply_and_reactions_reach_the_other_side(box, browser):
    anna, ben = box.people("anna", "ben")
    direct(anna, ben)
    one, two = browser().come_in(anna).open_conversation(ben.name), browser().come_in(ben).open_conversation(anna.name)
    one.write("teh word")
    one.stored("teh word")
    one.press(Keys.ARROW_UP)
    one.see(".context", "Editing")
    one.see("#composer").clear()
    one.write("the word")
    two.see(".msg .meta", "edited")
    two.menu("the word", "Reply")
    two.write("indeed")
    assert one.see(".msg .quote", "the word")
    two.js("[...document.querySelectorAll('.msg')].find(e => e.textContent.includes('the word')).querySelector('.actions').click()")
    two.click(".quick button", "👍")
    one.see(".reaction", "👍")
    assert one.see(".reaction").accessible_name == f"👍 by {ben.name}"
    two.click(".reaction", "👍")
    one.see_none(".reaction")
    one.menu("the word", "Recall")
    one.click("dialog .danger")
    two.see(".msg .recalled", "Message recalled")
    two.see_none(".msg .bubble > .text", "the word")


def test_what_people_write_is_text_and_never_markup(box, browser):
    anna, ben = box.people("anna", "ben")
    conversation = direct(anna, ben)
    evil = "<img src=x onerror=\"document.title='owned'\"><b>bold</b> javascript:alert(1) https://example.org/?a=<script> data:text/html,x"
    send(anna, conversation, evil)
    send(anna, conversation, "", kind="custom", type="app/<b>x</b>", data="<script>document.title='owned'</script>")
    ok(anna.rest.patch("/v1/me", {"display": "<i>Anna</i>"}))
    page = browser().come_in(ben).open_conversation("<i>Anna</i>")
    assert evil in page.message("<b>bold</b>").text
    page.see(".attachment b", "app/<b>x</b>")
    links = page.js("return [...document.querySelectorAll('.log a')].map(a => [a.href, a.rel, a.target])")
    assert links == [["https://example.org/?a=", "noopener noreferrer nofollow", "_blank"]]
    assert page.js("return document.querySelectorAll('.log img, .log b:not(.attachment b), .log i, .log script').length") == 0
    assert "owned" not in page.driver.title


def test_a_refused_message_says_why_and_is_sent_by_a_second_try(box, browser):
    anna, ben = box.people("anna", "ben")
    direct(anna, ben)
    page = browser().come_in(anna).open_conversation(ben.name)
    ok(ben.rest.put(f"/v1/blocks/{anna.id}"))
    page.write("are you there")
    page.see(".failure", "does not accept messages from you")
    assert page.see(".msg.mine").find_element(By.CSS_SELECTOR, ".status.failed")
    ok(ben.rest.delete(f"/v1/blocks/{anna.id}"))
    page.click(".failure button", "Try again")
    page.stored("are you there")
    assert page.count("are you there") == 1


def test_a_group_is_made_named_joined_and_left(box, browser):
    anna, ben, cleo = box.people("anna", "ben", "cleo")
    one, two = browser().come_in(anna), browser().come_in(ben)
    one.click("button[aria-label='New conversation']")
    one.click("dialog .action", "New group")
    one.see("dialog h2", "New group")
    one.named("Group name").send_keys("Pier")
    one.see("dialog input[type=search]").send_keys(ben.name)
    one.until(lambda: len(one.all("dialog .finder .person")) == 1, "one person found")
    one.click("dialog .finder .person", ben.name)
    one.see("dialog .chip", ben.name)
    one.click("dialog button[type=submit]", "Create group")
    one.see(".thread-title", "2 members")
    two.open_conversation("Pier")
    two.write("hello all")
    one.see(".msg .sender", ben.name)
    one.click(".thread-title")
    one.named("Group name").clear()
    one.named("Group name").send_keys("North pier" + Keys.ENTER)
    two.see(".thread-title", "North pier")
    one.click("dialog .action", "Add people")
    one.until(lambda: len(one.all("dialog")) == 2, "the second dialog")
    one.all("dialog input[type=search]")[-1].send_keys(cleo.name)
    one.click("dialog .finder .person", cleo.name)
    one.click("dialog .sticky button[type=submit]", "Add")
    two.see(".thread-title", "3 members")
    one.click(f"dialog [aria-label='Actions for {ben.name}']")
    one.click(".menu button", "Make admin")
    one.see("dialog .tag", "Admin")
    one.click("dialog .close")
    two.click(".thread-title")
    two.click("dialog button", "Leave group")
    two.click("dialog .danger", "Leave group")
    two.see(".empty", "Choose a conversation")
    one.see(".thread-title", "2 members")


def test_locations_are_shared_and_shown(box, browser):
    anna, ben = box.people("anna", "ben")
    direct(anna, ben)
    one, two = browser().come_in(anna).open_conversation(ben.name), browser().come_in(ben).open_conversation(anna.name)
    one.click("button[aria-label='Share a location']")
    one.named("Latitude").send_keys("95")
    one.named("Longitude").send_keys("10.746")
    one.named("Label (optional)").send_keys("North pier" + Keys.ENTER)
    one.see(".field-error", "From −90 to 90.")
    one.named("Latitude").clear()
    one.named("Latitude").send_keys("59.91273" + Keys.ENTER)
    two.see(".attachment b", "North pier")
    two.see(".attachment", "59.91273, 10.74600")


def test_two_tabs_show_the_same_and_sign_out_together(box, browser):
    anna, ben = box.people("anna", "ben")
    conversation = direct(anna, ben)
    send(ben, conversation, "hello")
    page = browser().come_in(anna).open_conversation(ben.name)
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open(box.url + f"/#/c/{conversation}").live()
    page.write("from the second tab")
    page.stored("from the second tab")
    second = page.driver.current_window_handle
    page.driver.switch_to.window(first)
    page.message("from the second tab")
    assert page.count("from the second tab") == 1
    page.click("button[aria-label='Settings']")
    page.click("dialog button", "Sign out")
    page.click("dialog .danger", "Sign out")
    page.see("h1", "Welcome back")
    page.driver.switch_to.window(second)
    page.see("h1", "Welcome back")
    assert page.js("return localStorage['skerry.session'] ?? null") is None


def test_a_revoked_device_is_signed_out_at_once(box, browser):
    anna = box.person("anna")
    page = browser().sign_in(anna)
    token = page.js("return JSON.parse(localStorage['skerry.session'])")
    ok(anna.rest.delete(f"/v1/me/devices/{token['device']}"))
    page.see("[role=alert]", "You were signed out")
    page.see("input[name=password]")
