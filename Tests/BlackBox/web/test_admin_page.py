"""The administrator's pages, healthy, empty and in trouble."""

import secrets

import pytest
from selenium.webdriver.common.by import By

from harness.rest import ok

from .browser import DESKTOP, PHONE
from .test_chat_page import fixed_box  # noqa: F401
from .test_keyboard_and_looks import assert_contrast, assert_named


def healthy(page, box):
    """What a new box says of itself: all is well, or at most that this machine's clock is not kept by anybody."""
    is_set = ok(box.admin.rest.get("/v1/admin/overview"))["clock"].get("synced", True)
    page.see(".health h3", "Everything is fine" if is_set else "The clock is not synchronised")
    assert len(page.all(".health")) == 1, page.text()


def test_health_people_and_listeners_of_a_healthy_box(new_box, browser):
    box = new_box()
    page = browser().come_in(box.admin, "/admin")
    healthy(page, box)
    page.see(".figure", "of 1")
    page.screenshot("admin-overview")
    page.click(".tabs a", "Online")
    page.see(".empty h2", "Nobody is connected")
    person = box.person("anna")
    with person.chat():
        page.see("tbody tr", person.name)
        page.screenshot("admin-online")
    page.see(".empty h2", "Nobody is connected")
    page.click(".tabs a", "Listeners")
    row = page.see("tbody tr", "HTTP")
    assert str(box.port("http")) in page.see("table").text and row
    page.see("tbody tr", "MQTT")
    assert page.complaints() == []


def test_a_user_is_added_locked_and_unlocked(new_box, browser):
    # A box of its own: on a shared one the rows move whenever another test makes a person, and a click lands beside.
    box = new_box()
    name = f"zoe-{secrets.token_hex(3)}"
    page = browser().come_in(box.admin, "/admin#/users")
    page.click(".section-head button", "Add user")
    page.named("Name").send_keys(name)
    page.named("Password").send_keys("long enough")
    page.click("dialog button[type=submit]")
    page.see_none("dialog")

    def status(text):
        def found():
            rows, more = page.all("tbody tr", name), page.all("main > button")
            if not rows and more:
                more[0].click()
            return rows and text in rows[0].text
        page.until(found, f"{name} being {text}")

    def choose(item):
        """Opens the user's menu, again if the page redrew between press and release, and picks from it."""
        def opened():
            items = page.all(f".menu[aria-label='Actions for {name}'] button", item)
            if not items:
                page.all(f"[aria-label='Actions for {name}']:not(.menu)")[0].click()
            return items
        page.until(opened, f"{item} in the menu of {name}")[0].click()

    status("Active")
    other = browser().open(box.url)
    other.fill_gate(name, "long enough")
    other.live()
    choose("Lock")
    page.click("dialog .danger", "Lock")
    status("Locked")
    other.see("[role=alert]")
    other.see("input[name=password]")
    other.fill_gate(name, "long enough")
    other.see("form .problem")  # the answer, not the note above that was there before
    choose("Unlock")
    status("Active")
    other.fill_gate(name, "long enough")
    other.live()
    choose("Password reset link")
    assert "/#/reset/" in page.see("dialog .linkbox input").get_attribute("value")


def test_a_withdrawn_invitation_brings_nobody_in(new_box, browser):
    box = new_box()
    page = browser().come_in(box.admin, "/admin#/invites")
    page.click(".section-head button", "New invitation")
    page.named("Uses").clear()
    page.named("Uses").send_keys("0")
    page.click("dialog button[type=submit]")
    page.see(".field-error", "1 to 1000")
    page.named("Uses").clear()
    page.named("Uses").send_keys("3")
    page.click("dialog button[type=submit]")
    link = page.see("dialog .linkbox input").get_attribute("value")
    page.click("dialog .close")
    page.see("tbody tr", "0 of 3 used")
    page.click("tbody button", "Withdraw")
    page.click("dialog .danger", "Withdraw")
    page.see(".empty h2", "No open invitations")
    browser().open(link).see("h1", "This link does not work any more")


def test_ordinary_users_are_told_that_it_is_not_for_them(box, browser):
    page = browser().come_in(box.person("anna"), "/admin")
    page.see("h1", "Administrators only")
    assert not page.all(".figure")


def test_a_box_that_does_not_answer_is_named_and_found_again(fixed_box, browser):  # noqa: F811
    page = browser().come_in(fixed_box.admin, "/admin")
    healthy(page, fixed_box)
    fixed_box.kill()
    page.see(".health.bad h3", "The box does not answer")
    assert page.all(".figure"), "the last figures stay"
    page.screenshot("admin-unreachable")
    fixed_box.start()
    page.see_none(".health.bad")


@pytest.mark.parametrize("size, dark", [(PHONE, False), (DESKTOP, True)])
def test_the_pages_fit_a_phone_in_chinese(box, browser, size, dark):
    page = browser(language="zh-CN", size=size, dark=dark).come_in(box.admin, "/admin")
    page.see(".health")
    with box.person("anna").mqtt(client_id="lamp-" + "long-name-" * 6) as client:
        client.publish("a/rather/long/topic/" + "with/many/levels/" * 4 + "x", "1", qos=1, retain=True)
        look_at_sections(box, page, size)


def look_at_sections(box, page, size):
    for section, label in [("overview", "概览"), ("online", "在线"), ("users", "用户"), ("invites", "邀请"), ("clients", "MQTT 客户端"),
                           ("retained", "保留消息"), ("access", "访问规则"), ("listeners", "监听端口")]:
        page.open(f"{box.url}/admin#/{section}")
        page.see(".tabs [aria-current]", label)
        page.until(lambda: not page.all("main .note"), "the section drawn")
        assert not page.all(".unreachable"), page.text()
        page.screenshot(f"admin-zh-{'phone' if size == PHONE else 'desktop'}-{section}")
        assert page.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert_named(page)
        assert_contrast(page)


def test_mqtt_clients_are_found_looked_at_and_removed(new_box, browser):
    box = new_box()
    anna = box.person("anna")
    page = browser().come_in(box.admin, "/admin#/clients")
    page.see(".empty h2", "No MQTT clients")
    lamp, away = anna.mqtt(client_id="kitchen/lamp"), anna.mqtt(client_id="garden", clean=False, expiry=3600)
    away.subscribe("sensors/#", qos=1)
    away.disconnect()
    lamp.publish("sensors/1", "21", qos=1)
    page.see("tbody tr", "kitchen/lamp")
    assert "Connected" in page.see("tbody tr", "kitchen/lamp").text and anna.name in page.see("tbody tr", "kitchen/lamp").text
    assert "Away" in page.see("tbody tr", "garden").text
    page.screenshot("admin-clients")

    def choose(name, item):
        def opened():
            items = page.all(f".menu[aria-label='Actions for {name}'] button", item)
            if not items:
                page.all(f"[aria-label='Actions for {name}']:not(.menu)")[0].click()
            return items
        page.until(opened, f"{item} in the menu of {name}")[0].click()

    choose("garden", "Details")
    page.see("dialog h2", "garden")
    page.see("dialog .filters-list code", "sensors/#")
    page.screenshot("admin-client")
    page.click("dialog .close")
    page.named("Client id starts with").send_keys("kit")
    page.see_none("tbody tr", "garden")
    page.see("tbody tr", "kitchen/lamp")
    choose("kitchen/lamp", "Disconnect")
    page.click("dialog .danger", "Disconnect")
    assert lamp.wait_disconnected().value == 0x98
    page.see(".empty h2", "Nothing matches")
    assert page.named("Client id starts with").get_attribute("value") == "kit", "a redraw takes nothing from who types"
    page.named("Client id starts with").clear()
    page.named("Subscribed to topic").send_keys("sensors/7")
    page.see("tbody tr", "garden")
    choose("garden", "Remove session")
    page.see("dialog", "1 queued")
    page.click("dialog .danger", "Remove session")
    page.see_none("tbody tr", "garden")
    assert page.complaints() == []


def test_a_client_cannot_hide_behind_an_id_that_browsers_take_out_of_paths(new_box, browser):
    box = new_box()
    anna = box.person("anna")
    away = anna.mqtt(client_id="..", clean=False, expiry=3600)
    away.subscribe("sensors/#", qos=1)
    page = browser().come_in(box.admin, "/admin#/clients")
    page.click("[aria-label='Actions for ..']")
    page.click(".menu button", "Details")
    page.see("dialog .filters-list code", "sensors/#")
    page.click("dialog .close")
    page.click("[aria-label='Actions for ..']")
    page.click(".menu button", "Disconnect")
    page.click("dialog .danger", "Disconnect")
    assert away.wait_disconnected().value == 0x98
    page.see("tbody tr", "Away")
    page.click("[aria-label='Actions for ..']")
    page.click(".menu button", "Remove session")
    page.click("dialog .danger", "Remove session")
    page.see(".empty h2", "No MQTT clients")


def test_retained_messages_are_browsed_shown_and_cleared(new_box, browser):
    box = new_box()
    page = browser().come_in(box.admin, "/admin#/retained")
    page.see(".empty h2", "Nothing is retained")
    with box.person("anna").mqtt() as client:
        for number in range(3):
            client.publish(f"sensors/{number}/t", f"<b>{number}</b> °C", qos=1, retain=True)
        client.publish("camera", bytes([0xFF, 0xD8, 0xFF]), qos=1, retain=True)
    page.see("tbody tr", "camera")
    page.screenshot("admin-retained")

    def choose(name, item):
        def opened():
            items = page.all(f".menu[aria-label='Actions for {name}'] button", item)
            if not items:
                page.all(f"[aria-label='Actions for {name}']:not(.menu)")[0].click()
            return items
        page.until(opened, f"{item} in the menu of {name}")[0].click()

    choose("sensors/1/t", "Show")
    assert page.see("dialog .payload").text == "<b>1</b> °C"
    page.screenshot("admin-retained-message")
    page.click("dialog .close")
    choose("camera", "Show")
    assert page.see("dialog .payload").text == "/9j/"
    page.click("dialog .close")
    choose("camera", "Clear")
    page.click("dialog .danger", "Clear")
    page.see_none("tbody tr", "camera")
    field = page.named("Topic filter")
    field.send_keys("sensors/#/x")
    page.see(".field-error", "no topic filter")
    field.clear()
    field.send_keys("sensors/+/t")
    page.see("tbody tr", "sensors/2/t")
    page.click(".section-head button", "Clear all of these")
    page.see("dialog h2", "sensors/+/t")
    page.click("dialog .danger", "Clear all of these")
    page.see(".empty h2", "Nothing matches")
    assert page.complaints() == []
