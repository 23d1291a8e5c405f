"""Translation catalogues: every user-visible string of the console, by key, in each language.

A TOML file a language instead of gettext: keys are checked (the same in all languages, the same placeholders, none
missing, none unused: tests/app/console/test_catalogue.py) and nothing has to be compiled (docs/decisions/0002).
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

LANGUAGES: Final = {"zh-CN": "中文", "en": "EN"}
RTL: Final = frozenset({"ar", "ug", "kk-Arab", "ky-Arab", "fa", "ur", "he"})


@cache
def strings(lang: str) -> Mapping[str, str]:
    """All strings of a language by dotted key."""
    text = files("app.console").joinpath("translations", f"{lang}.toml").read_text("utf-8")
    return dict(_flat(tomllib.loads(text)))


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found


class Words:
    """`t("run.title", number=12)`: the string of a key with its places filled. Raises KeyError for an unknown key."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self._strings = strings(lang)

    def __call__(self, key: str, **values: Any) -> str:
        return self._strings[key].format(**values) if values else self._strings[key]

    def either(self, key: str, otherwise: str) -> str:
        """The string of a key that foreign data made, or the data itself where there is no word for it."""
        return self._strings.get(key, otherwise)


def chosen(asked: str | None, kept: str | None, default: str) -> str:
    """The language of a page: what the address asks for, else what was chosen before, else the deployment's."""
    for tag in (asked, kept, default):
        if tag in LANGUAGES:
            return tag
    return "zh-CN"


def direction(lang: str) -> str:
    """`rtl` or `ltr`."""
    return "rtl" if lang in RTL else "ltr"
