"""The administrator's section about access rules: add, test, remove, in both languages."""

import secrets

from harness.rest import ok

from .browser import DESKTOP, PHONE
from .test_keyboard_and_looks import assert_contrast, assert_named


def choose(page, label, value):
    """Picks from a select as a person does: the option is clicked."""
    page.named(label).find_element("css selector", f"option[value='{value}']").click()


def test_a_rule_is_added_tested_and_removed(new_box, browser):
    box = new_box()
    zoe = box.person("zoe")
    topic = "door/" + secrets.token_hex(3)
    page = browser().come_in(box.admin, "/admin#/access")
    page.see(".empty h2", "No access rules")

    page.click(".section-head button", "Add rule")
    page.click("dialog button[type=submit]")
    page.see(".field-error", "Write the user’s name.")
    page.named("Name").send_keys("nobody-of-this-name")
    page.named("Topic filter").send_keys(topic + "/#/x")
    page.click("dialog button[type=submit]")
    page.see(".field-error", "topic filter")
    page.named("Topic filter").clear()
    page.named("Topic filter").send_keys(topic + "/#")
    page.click("dialog button[type=submit]")
    page.see(".field-error", "Nobody on this box has this name.")
    page.named("Name").clear()
    page.named("Name").send_keys(zoe.name)
    choose(page, "Effect", "deny")
    choose(page, "Access", "publish")
    assert_named(page)
    assert_contrast(page)
    page.screenshot("admin-access-add")
    page.click("dialog button[type=submit]")
    page.see_none("dialog")
    page.see("tbody tr", zoe.name)
    rules = ok(box.admin.rest.get("/v1/admin/access/rules"))["items"]
    assert [(rule["name"], rule["effect"], rule["access"], rule["filter"]) for rule in rules] == [(zoe.name, "deny", "publish", topic + "/#")]

    page.click(".section-head button", "Test")
    page.named("Name").send_keys(zoe.name)
    page.named("Topic").send_keys(topic + "/open")
    page.click("dialog button[type=submit]")
    page.see("dialog .health.bad h3", "No, this is refused")
    page.see("dialog .health code", topic + "/#")
    page.screenshot("admin-access-test")
    choose(page, "Access", "subscribe")
    page.click("dialog button[type=submit]")
    page.see("dialog .health h3", "Yes, this is allowed")
    page.click("dialog .close")

    page.click("tbody button", "Remove")
    page.click("dialog .danger", "Remove")
    page.see(".empty h2", "No access rules")
    assert ok(box.admin.rest.get("/v1/admin/access/rules"))["items"] == []


def test_a_rule_for_a_role_needs_no_name_and_the_page_speaks_chinese(new_box, browser):
    box = new_box()
    ok(box.admin.rest.post("/v1/admin/access/rules", {"role": "anonymous", "effect": "deny", "filter": "secret/#"}))
    for size, dark in ((PHONE, False), (DESKTOP, True)):
        page = browser(language="zh-CN", size=size, dark=dark).come_in(box.admin, "/admin#/access")
        page.see(".tabs [aria-current]", "访问规则")
        page.see("tbody tr", "无账号的客户端")
        assert_named(page)
        assert_contrast(page)
        assert page.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        page.screenshot(f"admin-access-zh-{'phone' if size == PHONE else 'desktop'}")
    page.click(".section-head button", "添加规则")
    choose(page, "对象", "user")
    page.named("主题过滤器").send_keys("alarms/#")
    choose(page, "效果", "deny")
    page.click("dialog button[type=submit]")
    page.see("tbody tr", "所有普通用户")
