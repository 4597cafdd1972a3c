"""The administrator's section about boxes: a lone box, and two that are paired on their pages."""

import re

import pytest
from selenium.webdriver.common.by import By

from harness.federation import pair
from harness.rest import ok

from .browser import DESKTOP, PHONE
from .test_keyboard_and_looks import assert_contrast, assert_named


def words(page, css: str) -> list[str]:
    return [one.text for one in page.see(css).find_elements(By.CSS_SELECTOR, ".words li")]


def fits(page):
    assert page.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("language,size,dark", [("en-US", DESKTOP, False), ("zh-CN", PHONE, False), ("zh-CN", DESKTOP, True)])
def test_a_lone_box_says_that_it_is_alone_and_how_to_change_that(new_box, browser, language, size, dark):
    box = new_box(config="federation.name = Harbour\n")
    page = browser(language=language, size=size, dark=dark).come_in(box.admin, "/admin#/boxes")
    english = language.startswith("en")
    page.see(".health h3", "This box works alone" if english else "这台设备独立工作")
    page.see(".box-card h3", "Harbour")
    assert len(page.all(".box-card")) == 1
    page.click(".box-card summary")
    page.see(".box-card .endpoints", f"127.0.0.1:{box.port('http')}")
    assert_named(page)
    assert_contrast(page)
    fits(page)
    page.screenshot(f"admin-boxes-lone-{'en' if english else 'zh'}-{size[0]}{'-dark' if dark else ''}")
    page.click(".section-head button", "Join a federation" if english else "加入联盟")
    page.click("dialog button[type=submit]")
    page.see("dialog .field-error", "Enter the token." if english else "请输入令牌。")
    page.see("dialog textarea").send_keys("this is no token")
    page.click("dialog button[type=submit]")
    page.until(lambda: page.all("dialog .field-error")[0].text not in ("", "Enter the token.", "请输入令牌。"), "the token is refused")
    assert len(words(page, "dialog")) == 6
    assert_named(page)
    assert_contrast(page)
    assert page.complaints() == []


def test_everything_on_the_page_is_reached_with_the_keyboard(new_box, browser):
    box = new_box()
    page = browser().come_in(box.admin, "/admin#/boxes")
    add = page.named("Add a box")
    page.js("arguments[0].focus()", add)
    page.press("\ue007")  # Enter
    page.see("dialog input[type=checkbox]")
    assert page.focused().text == "Make a token"
    page.press("\ue00c")  # Escape
    page.see_none("dialog")
    assert page.focused().accessible_name == "Add a box"
    page.js("arguments[0].focus()", page.see(".box-card summary"))
    page.press("\ue007")
    page.see(".box-card .endpoints")
    # A redraw leaves open what is open and the focus where it is.
    page.js("document.dispatchEvent(new Event('visibilitychange'))")
    page.see(".box-card .endpoints")
    assert page.focused().tag_name == "summary"


def test_two_boxes_are_paired_on_their_pages(new_box, browser):
    first, second = (new_box(config=f"federation.name = {name}\n") for name in ("Harbour", "Lighthouse"))
    here = browser().come_in(first.admin, "/admin#/boxes")
    there = browser().come_in(second.admin, "/admin#/boxes")
    here.click(".section-head button", "Add a box")
    here.click("dialog button", "Make a token")
    token = here.see("dialog textarea.token").get_attribute("value")
    assert re.fullmatch(r"[0-9a-v]+", token, re.IGNORECASE)
    here.see("dialog .countdown", "Valid for 9:")
    here.see("dialog .qr")
    own = words(here, "dialog")
    assert len(own) == 6
    assert_named(here)
    assert_contrast(here)
    here.screenshot("admin-boxes-token")

    there.click(".section-head button", "Join a federation")
    there.see("dialog textarea").send_keys(token)
    mine = words(there, "dialog")
    there.click("dialog button[type=submit]")
    # Both sides show the same words of each.
    there.see("dialog", "has the request")
    assert words(there, "dialog [role=status]") == own
    here.see("dialog .box-card h4", "Lighthouse")
    overview = browser().come_in(first.admin, "/admin")
    overview.see(".health.warn h3", "1 box waits to join")
    assert words(here, "dialog .box-card") == mine
    here.screenshot("admin-boxes-approve")
    there.screenshot("admin-boxes-joining")
    here.click("dialog .box-card .primary", "Approve")
    here.see("dialog .health h3", "Lighthouse has joined")
    here.click("dialog .primary", "Close")
    there.see(".toast", "This box has joined")
    there.see_none("dialog")
    for page in (here, there):
        page.until(lambda page=page: len(page.all(".box-card")) == 2 and len(page.all(".box-card .tag.good")) == 2, "both boxes connected")
        page.see(".section-head h2", "Boxes (2)")
        assert page.complaints() == []
    assert_named(here)
    assert_contrast(here)
    here.screenshot("admin-boxes-two")
    # Only the founder takes boxes in and out.
    there.see(".hint", "Do that on a box marked")
    there.see(".tag", "Issuer")
    assert not there.all(".section-head button", "Add a box")

    # What is wrong is said in words, with what to do, as soon as it is known.
    second.kill()
    here.see(".box-card .health.warn", "Nothing has been heard of it")
    here.see(".box-card .tag.warn", "Not heard for a moment")
    here.screenshot("admin-boxes-one-down")
    overview.see(".health.warn h3", "Lighthouse: Nothing has been heard of it")
    overview.screenshot("admin-overview-box-down")
    overview.click(".health.warn a", "Show boxes")
    overview.see(".section-head h2", "Boxes (2)")
    here.click(".box-card button[aria-label='Actions for Lighthouse']")
    here.click(".menu button", "Retire")
    here.see("dialog .problem", "Not safe yet")
    assert not here.see("dialog .danger").is_enabled()
    here.click("dialog .plain", "Cancel")
    here.click(".box-card button[aria-label='Actions for Lighthouse']")
    here.click(".menu button", "Lost or stolen")
    here.named("What happened (optional)").send_keys("Fell into the sea")
    here.click("dialog .danger")
    here.see("dialog .field-error", "This is not its name.")
    here.named("Type “Lighthouse” to confirm").send_keys("Lighthouse")
    here.screenshot("admin-boxes-lost")
    here.click("dialog .danger")
    here.see("dialog .health h3", "Lighthouse is shut out")
    here.click("dialog .primary", "Close")
    here.see("details summary", "Removed boxes (1)")
    here.click("details summary", "Removed boxes (1)")
    here.see("details .rows", "Fell into the sea")
    items = ok(first.admin.rest.get("/v1/admin/boxes"))["items"]
    assert [(item["name"], item["standing"]) for item in items] == [("Harbour", "active"), ("Lighthouse", "removed")]


def test_the_recovery_file_makes_another_box_an_issuer(new_box, browser, tmp_path):
    first, second = (new_box(config=f"federation.name = {name}\n") for name in ("Harbour", "Lighthouse"))
    pair(first, second)
    here = browser().come_in(first.admin, "/admin#/boxes")
    here.click(".spaced button", "Recovery file")
    here.named("Passphrase").send_keys("short")
    here.click("dialog button[type=submit]")
    here.see("dialog .field-error", "Use at least 12 characters.")
    here.named("Passphrase").send_keys(" and then long enough")
    here.named("Passphrase again").send_keys("short and then long enough")
    # What the browser would write into a file.
    here.js("const make = URL.createObjectURL; URL.createObjectURL = (blob) => { blob.text().then((text) => { window.saved = text; }); return make.call(URL, blob); };")
    here.click("dialog button[type=submit]")
    text = here.until(lambda: here.js("return window.saved"), "the recovery file")
    assert "short and then" not in text
    here.see(".toast", "Keep the file")
    path = tmp_path / "recovery.txt"
    path.write_text(text, encoding="utf-8")

    there = browser().come_in(second.admin, "/admin#/boxes")
    there.click(".spaced button", "Become issuer")
    there.see("dialog input[type=file]").send_keys(str(path))
    there.named("Passphrase").send_keys("not this one, surely")
    there.click("dialog button[type=submit]")
    there.until(lambda: there.all("dialog .field-error"), "the passphrase is refused")
    there.named("Passphrase").clear()
    there.named("Passphrase").send_keys("short and then long enough")
    there.click("dialog button[type=submit]")
    there.see(".toast", "This box is an issuer now.")
    there.see(".section-head button", "Add a box")
    assert_named(there)
    assert there.complaints() == [] and here.complaints() == []


def test_a_box_is_drained_and_taken_into_use_again(new_box, browser):
    first, second = (new_box(config=f"federation.name = {name}\n") for name in ("Harbour", "Lighthouse"))
    pair(first, second)
    page = browser(language="zh-CN", size=PHONE).come_in(first.admin, "/admin#/boxes")
    for item, tag in (("将用户转移到其他设备", True), ("恢复接纳用户", False)):
        page.click(".box-card button[aria-label='Harbour 的操作']")
        page.click(".menu button", item)
        if tag:
            page.click("dialog .primary", item)
            page.see(".box-card .tag.warn", "正在疏散")
            page.screenshot("admin-boxes-drained-zh-390")
        else:
            page.see_none(".box-card .tag.warn", "正在疏散")
        assert ok(first.admin.rest.get("/v1/admin/boxes"))["items"][0]["isDraining"] is tag
    fits(page)
    assert_contrast(page)
    assert page.complaints() == []
