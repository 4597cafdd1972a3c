"""The texts of the pages: each is there once, in both languages, where it is used."""

import collections
import re

from harness.box import ROOT

ASSETS = ROOT / "Sources" / "Adapters" / "WebPages" / "Assets"
SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in ASSETS.glob("*.js")}
TABLES = ("i18n.js", "admin-texts.js")


def keys(name: str) -> list[str]:
    return re.findall(r"(?m)^  (\w+): \[", SCRIPTS[name])


def test_no_text_replaces_another_one():
    twice = [key for key, count in collections.Counter(key for name in TABLES for key in keys(name)).items() if count > 1]
    assert twice == []


def test_every_text_that_is_shown_is_there():
    chat = set(keys("i18n.js"))
    every = chat | set(keys("admin-texts.js"))
    missing = [(name, key) for name, text in SCRIPTS.items() for key in re.findall(r"\bt\('(\w+)'", text) if key not in (every if name.startswith("admin") else chat)]
    assert missing == []


def test_each_text_has_its_blanks_in_both_languages():
    odd = []
    for name in TABLES:
        for key, english, chinese in re.findall(r"(?m)^  (\w+): \['([^']*)', '([^']*)'\],$", SCRIPTS[name]):
            if set(re.findall(r"\{(\w+)\}", english)) != set(re.findall(r"\{(\w+)\}", chinese)) or not chinese:
                odd.append(key)
    assert odd == []
