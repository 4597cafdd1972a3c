"""A headless Chromium and the words in which the tests speak about the pages. Everything waits for a condition; nothing sleeps."""

import json
import pathlib
import shutil

from selenium import webdriver
from selenium.common.exceptions import ElementClickInterceptedException, StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

DEADLINE_SECONDS = 30
PHONE = (390, 844)
DESKTOP = (1280, 820)


class Browser:
    """One browser with its own storage, as of one person at one device."""

    def __init__(self, artefacts: pathlib.Path, language: str = "en-US", size: tuple[int, int] = DESKTOP, dark: bool = False):
        options = webdriver.ChromeOptions()
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-timer-throttling",
            "--disable-backgrounding-occluded-windows", "--disable-renderer-backgrounding", f"--lang={language}", f"--window-size={size[0]},{size[1]}",
        ):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"intl.accept_languages": language})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        self.artefacts = artefacts
        if size[0] < 600:
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": size[0], "height": size[1], "deviceScaleFactor": 2, "mobile": True})
            self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        if dark:
            self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})

    # MARK: Finding

    def all(self, css: str, text: str | None = None):
        """What is visible now and says `text`."""
        def says(element):
            try:
                return element.is_displayed() and (text is None or text in element.text)
            except StaleElementReferenceException:
                return False
        return [element for element in self.driver.find_elements(By.CSS_SELECTOR, css) if says(element)]

    def see(self, css: str, text: str | None = None):
        """Waits for the first visible element of that selector that says `text`."""
        return self.until(lambda: (self.all(css, text) or [None])[0], f"{css} saying {text!r}")

    def see_none(self, css: str, text: str | None = None):
        self.until(lambda: not self.all(css, text), f"no {css} saying {text!r}")

    def until(self, condition, what: str, seconds: float = DEADLINE_SECONDS):
        def check(_):
            try:
                return condition()
            except (StaleElementReferenceException, ElementClickInterceptedException, IndexError):  # redrawn or moved at that moment
                return None
        try:
            return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(check)
        except TimeoutException:
            raise AssertionError(f"after {seconds:g} s not seen: {what}; the page shows: {self.text()[:600]!r}") from None

    def text(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    def named(self, name: str, css: str = "button, a, input, textarea, select"):
        """Waits for the control with that accessible name, as a screen reader says it."""
        return self.until(lambda: next((one for one in self.all(css) if one.accessible_name == name), None), f"a control named {name!r}")

    def click(self, css: str, text: str | None = None):
        """Clicks what is there at that moment; a page that redraws in between is asked again."""
        def attempt():
            element = (self.all(css, text) or [None])[0]
            if element is None:
                return False
            element.click()
            return True
        self.until(attempt, f"a click on {css} saying {text!r}")

    def js(self, script: str, *arguments):
        return self.driver.execute_script(script, *arguments)

    def open(self, url: str):
        self.driver.get(url)
        return self

    def focused(self):
        return self.driver.switch_to.active_element

    def press(self, *keys: str):
        for key in keys:
            self.focused().send_keys(key)

    def screenshot(self, name: str):
        self.driver.save_screenshot(str(self.artefacts / f"{name}.png"))

    def complaints(self) -> list[str]:
        """What the console calls an error, without lost connections and refusals, which are part of the tests."""
        expected = ("WebSocket connection to", "Failed to load resource", "net::ERR_")
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE" and not any(text in entry["message"] for text in expected)]

    def close(self):
        self.driver.quit()

    # MARK: The chat

    def fill_gate(self, name: str | None, password: str):
        if name is not None:
            field = self.see("input[name=username]")
            field.clear()
            field.send_keys(name)
        field = self.see("input[name=password]")
        field.clear()
        field.send_keys(password)
        self.click("form button[type=submit]")

    def sign_in(self, person, path: str = "/"):
        """Through the form, as a person does."""
        self.open(person.box.url + path)
        self.fill_gate(person.name, person.password)
        self.live() if path == "/" else self.see("main")
        return self

    def come_in(self, person, path: str = "/"):
        """With the person's token in the storage already: for tests about what comes after."""
        self.open(person.box.url + "/assets/icon.svg")
        login = {"token": person.token, "user": person.id, "name": person.name, "role": "admin" if person is person.box._admin else "user"}
        self.js("localStorage['skerry.session'] = arguments[0]", json.dumps(login))
        self.open(person.box.url + path)
        if not path.startswith("/admin"):
            self.live()
        return self

    def live(self):
        self.until(lambda: self.js("return document.getElementById('app').dataset.link") == "live", "a live connection")
        return self

    def open_conversation(self, title: str):
        self.click(".conversation", title)
        self.see(".thread-title", title)
        self.until(lambda: self.js("return !document.querySelector('.log [data-key=loading]')"), "messages loaded")
        return self

    def find_person(self, name: str):
        """The dialog that starts a conversation, up to the open conversation."""
        self.click("button[aria-label='New conversation']")
        self.see("dialog input[type=search]").send_keys(name)
        self.click("dialog .finder .person", name)
        self.see(".thread-title", name)
        return self

    def write(self, text: str):
        self.see("#composer").send_keys(text + Keys.ENTER)
        return self

    def message(self, text: str):
        return self.see(".msg", text)

    def stored(self, text: str):
        """Waits until one's own message has its tick."""
        return self.until(lambda: next((one for one in self.all(".msg.mine", text) if one.find_elements(By.CSS_SELECTOR, ".status.stored, .status.replicated")), None), f"{text!r} stored")

    def count(self, text: str) -> int:
        return len([one for one in self.driver.find_elements(By.CSS_SELECTOR, ".msg .text") if one.text == text])

    def menu(self, text: str, item: str):
        """Chooses from the menu of a message."""
        def attempt():
            row = next((one for one in self.all(".msg") if any(part.text == text for part in one.find_elements(By.CSS_SELECTOR, ".bubble > .text"))), None)
            if row is None:
                return False
            self.js("arguments[0].querySelector('.actions').click()", row)
            return True
        self.until(attempt, f"the menu of {text!r}")
        self.click(".menu button", item)

    def unread(self, title: str) -> int:
        rows = self.all(".conversation", title)
        badge = rows[0].find_elements(By.CSS_SELECTOR, ".badge [aria-hidden]") if rows else []
        return int(badge[0].text) if badge else 0
