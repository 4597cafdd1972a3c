"""From the claim link to two people in two browsers."""


from harness.rest import ok


def test_the_claim_link_makes_the_first_administrator_once(new_box, browser):
    box = new_box()
    link = box.claim_link()
    page = browser().open(link)
    page.see("h1", "This box is yours")
    page.fill_gate("alice", "short")
    page.see(".field-error", "at least 8")
    assert page.focused().get_attribute("name") == "password"
    page.screenshot("claim")
    page.fill_gate("alice", "long enough")
    page.live()
    page.see(".empty h2", "No conversations yet")
    token = link.rsplit("/", 1)[1]
    assert token not in page.driver.current_url
    assert token not in page.js("return JSON.stringify(performance.getEntriesByType('resource').map(e => e.name))")
    page.driver.back()
    assert token not in page.driver.current_url

    other = browser().open(link)
    other.fill_gate("mallory", "long enough")
    other.see("h1", "This link does not work any more")
    assert token not in other.driver.current_url
    other.click("button", "Go to sign in")
    other.fill_gate("alice", "wrong password")
    other.see(".problem", "The name or the password is wrong.")
    other.fill_gate("Alice", "long enough")
    other.live()
    assert page.complaints() == [] and other.complaints() == []


def test_an_invitation_from_the_admin_page_brings_a_second_person_in(new_box, browser):
    box = new_box()
    alice = browser().open(box.claim_link())
    alice.fill_gate("alice", "long enough")
    alice.live()
    alice.open(box.url + "/admin#/invites")
    alice.see(".empty h2", "No open invitations")
    alice.click(".section-head button", "New invitation")
    alice.click("dialog button[type=submit]")
    alice.see("dialog .qr")
    link = alice.see("dialog .linkbox input").get_attribute("value")
    assert "/#/invite/" in link
    alice.see("dialog .hint", "only on this very machine")
    alice.screenshot("admin-invitation")

    bob = browser().open(link)
    bob.see("h1", "You are invited")
    bob.fill_gate("alice", "long enough")
    bob.see(".field-error", "taken")
    bob.fill_gate("bob", "long enough")
    bob.live()
    alice.open(box.url + "/admin#/online")
    assert "Chrome · Linux" in alice.see("tbody tr", "bob").text
    alice.open(box.url + "/")
    alice.live().find_person("bob").write("Welcome ashore")
    alice.stored("Welcome ashore")
    bob.open_conversation("alice").message("Welcome ashore")

    third = browser().open(link)
    third.see("h1", "This link does not work any more")
    assert alice.complaints() == [] and bob.complaints() == []


def test_a_damaged_link_says_so_instead_of_nothing(box, browser):
    page = browser().open(box.url + "/#/invite/si_%E0%A4%A")
    page.see("h1", "This link does not work any more")
    page.click("button", "Go to sign in")
    page.see("input[name=username]")
    assert page.complaints() == []


def test_a_reset_link_sets_a_new_password(box, browser):
    person = box.person("reset")
    link = ok(box.admin.rest.post(f"/v1/admin/users/{person.id}/reset", {}))["link"]
    page = browser().open(box.url + "/#" + link.split("#", 1)[1])
    page.see("h1", "New password")
    page.fill_gate(None, "a new long word")
    page.live()
    again = browser().open(box.url)
    again.fill_gate(person.name, "a new long word")
    again.live()
