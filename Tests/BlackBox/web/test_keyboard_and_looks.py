"""Keyboard only, phone width, both languages, both appearances, names for screen readers, contrast."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from .browser import DESKTOP, PHONE
from .test_chat_page import direct, send
from harness.rest import ok


def test_everything_from_sign_in_to_a_reaction_works_without_a_mouse(box, browser):
    anna, ben = box.people("anna", "ben")
    page = browser().open(box.url)
    page.see("input[name=username]")
    page.press(anna.name + Keys.TAB, anna.password + Keys.ENTER)
    page.live()

    def tab_to(name: str, most: int = 40):
        for _ in range(most):
            if page.focused().accessible_name == name:
                return
            page.press(Keys.TAB)
        raise AssertionError(f"{name!r} is not reached by Tab; the focus is on {page.focused().accessible_name!r}")

    tab_to("New conversation")
    page.press(Keys.ENTER)
    page.see("dialog .finder .person")
    assert page.focused().tag_name == "input"
    page.press(ben.name)
    page.until(lambda: len(page.all("dialog .finder .person")) == 1, "one person found")
    page.press(Keys.ARROW_DOWN, Keys.ENTER)
    page.see(".thread-title", ben.name)
    page.until(lambda: page.focused().get_attribute("id") == "composer", "the focus in the line to write in")
    page.press("first" + Keys.SHIFT + Keys.ENTER + Keys.NULL + "second line" + Keys.ENTER)
    page.stored("first\nsecond line")

    tab_to("Emoji")
    page.press(Keys.ENTER)
    page.see(".emoji-picker")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)
    page.see_none(".emoji-picker")
    assert page.focused().get_attribute("id") == "composer"
    page.press(Keys.ENTER)
    page.see(".msg .large")

    page.js("document.getElementById('messages').focus()")
    assert page.focused().get_attribute("role") == "log"
    page.press(Keys.ARROW_UP, Keys.ARROW_UP)
    assert "first" in page.focused().text
    page.press(Keys.ENTER)
    page.see(".menu")
    assert page.focused().accessible_name == "React with 👍"
    page.press(Keys.ENTER)
    page.see(".reaction", "👍")
    page.press(Keys.ESCAPE)
    page.until(lambda: page.focused().get_attribute("id") == "composer", "Escape leads back to writing")

    tab = page.js("return matchMedia('(prefers-reduced-motion: reduce)').matches")
    assert tab in (True, False)
    page.click("button[aria-label='Settings']")
    page.see("dialog")
    page.press(Keys.ESCAPE)
    page.see_none("dialog")
    assert page.focused().accessible_name == "Settings"


@pytest.mark.parametrize("language, dark, size", [("en-US", False, DESKTOP), ("en-US", True, PHONE), ("zh-CN", False, PHONE), ("zh-CN", True, DESKTOP)])
def test_all_views_fit_are_named_readable_and_in_one_language(box, browser, language, dark, size):
    anna, ben, cleo = box.people("anna", "ben", "cleo")
    conversation = direct(anna, ben)
    first = send(ben, conversation, "Is the mesh up on the north pier? https://example.org/skerry")
    send(anna, conversation, "两台设备都能互相看到,雨天信号也很好,电池可以撑到明天晚上。")
    send(anna, conversation, "A long word: " + "x" * 200, replyTo=first["mid"])
    send(ben, conversation, "🌊", kind="emoji")
    ok(anna.rest.put(f"/v1/messages/{first['mid']}/reactions", {"emoji": "👍", "on": True}))
    group = ok(anna.rest.post("/v1/conversations", {"type": "group", "title": "Harbour crew 港口小组", "members": [ben.id, cleo.id], "cid": "g"}))["conversation"]["id"]
    send(cleo, group, "Good morning!")
    name = f"{language}-{'dark' if dark else 'light'}-{'phone' if size == PHONE else 'desktop'}"
    page = browser(language=language, size=size, dark=dark)

    def check(view: str):
        page.screenshot(f"{name}-{view}")
        assert_fits(page)
        assert_named(page)
        assert_contrast(page)
        text = page.text() + " ".join(page.js("return [...document.querySelectorAll('[aria-label], [placeholder], [title]')].map(e => [e.ariaLabel, e.placeholder, e.title].join(' '))"))
        for word in ("undefined", "null", "[object", "NaN"):
            assert word not in text
        if language == "zh-CN":
            assert not re.search(r"\b(Sign in|Settings|Conversation|Message|Close|Today|Read|online|offline|Name|Password|members?)\b", text), text

    page.open(box.url)
    page.see("input[name=username]")
    check("gate")
    page.come_in(anna)
    page.see(".conversation", ben.name)
    check("list")
    page.open_conversation(ben.name)
    page.message("north pier")
    check("thread")
    page.js("document.querySelector('.msg .actions').click()")
    page.see(".menu")
    check("menu")
    page.press(Keys.ESCAPE)
    page.click(".input-wrap .icon-button")
    page.see(".emoji-picker")
    check("emoji")
    page.press(Keys.ESCAPE)
    page.open(f"{box.url}/#/c/{group}")
    page.see(".thread-title", "Harbour crew")
    page.see(".msg", "Good morning!")
    page.click(".thread-title")
    page.see("dialog .people")
    check("details")
    page.click("dialog .close")
    if size == PHONE:
        page.click(".back")
    page.click(".list .bar .icon-button:not(.filled)")
    page.see("dialog details")
    check("settings")
    assert page.complaints() == []


def test_the_language_is_switched_at_once_and_kept(box, browser):
    page = browser().open(box.url)
    page.see("h1", "Welcome back")
    page.js("const s = document.querySelector('select'); s.value = 'zh-Hans'; s.dispatchEvent(new Event('change'))")
    page.see("h1", "欢迎回来")
    assert page.js("return document.documentElement.lang") == "zh-Hans"
    page.driver.refresh()
    page.see("h1", "欢迎回来")


def test_new_messages_are_read_out_politely_and_old_ones_are_not(box, browser):
    anna, ben = box.people("anna", "ben")
    conversation = direct(anna, ben)
    send(ben, conversation, "old")
    page = browser().come_in(anna).open_conversation(ben.name)
    page.message("old")
    heard = "return [...document.querySelectorAll('.announcer[aria-live=polite]')].map(e => e.textContent).join()"
    log = page.see("[role=log]")
    assert log.get_attribute("aria-live") == "off"
    assert page.js(heard) == ""
    send(ben, conversation, "new")
    page.until(lambda: page.js(heard) == f"{ben.name}: new", "the new message read out")
    assert log.accessible_name == f"Messages with {ben.name}"


# MARK: What every view must keep


def assert_fits(page):
    wide = page.js("""
        const width = document.documentElement.clientWidth;
        return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('.sr, .skip, .tabs, pre') && e.getBoundingClientRect().width > 1)
            .filter(e => e.getBoundingClientRect().right > width + 1 || e.getBoundingClientRect().left < -1).map(e => e.outerHTML.slice(0, 120));""")
    assert wide == [], wide
    assert page.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth && document.documentElement.scrollHeight <= innerHeight + 1"), "the page itself scrolls"
    small = page.js("""
        return [...document.querySelectorAll('button, select, input:not([type=checkbox]), a')].filter(e => e.checkVisibility() && !e.closest('.sr, .text') && !e.matches('.sr, .skip'))
            .map(e => [e, e.getBoundingClientRect()]).filter(([e, r]) => r.width > 1 && (r.width < 24 || r.height < 24)).map(([e]) => e.outerHTML.slice(0, 120));""")
    assert small == [], f"smaller than 24 by 24: {small}"


def assert_named(page):
    controls = "button, a, input, textarea, select, nav, [role=log], [role=menu]"
    if page.all("dialog"):  # what is behind a modal dialog is inert and has no name
        controls = "dialog, " + ", ".join(f"dialog {one}" for one in controls.split(", "))
    nameless = [one.get_attribute("outerHTML")[:120] for one in page.all(controls) if not one.accessible_name.strip()]
    assert nameless == [], nameless


def assert_contrast(page):
    """Text against the nearest opaque ground behind it, at least 4.5:1 (3:1 for large text)."""
    poor = page.js(r"""
        const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data].map((v, i) => i === 3 ? v / 255 : v); };
        const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
        const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
        const ground = (e) => { const layers = []; for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); layers.push(c); if (c[3] === 1) break; }
            return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]); };
        const top = [...document.querySelectorAll('dialog[open]')].pop() ?? document;
        const poor = [];
        for (const e of top.querySelectorAll('*')) {
            if (!e.checkVisibility({ checkOpacity: true }) || e.closest('.sr, svg, [aria-hidden=true], option, .emoji') || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
            const style = getComputedStyle(e);
            const [a, b] = [light(over(rgba(style.color), ground(e))), light(ground(e))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const size = parseFloat(style.fontSize);
            if (ratio < (size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5)) poor.push([e.textContent.slice(0, 40), style.color, ratio.toFixed(2)]);
        }
        return poor;""")
    assert poor == [], poor
