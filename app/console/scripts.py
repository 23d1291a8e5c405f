"""The language and direction of a piece of foreign text, so that a browser shapes, reads and breaks it rightly."""

import re
from collections.abc import Sequence
from typing import Final

# Script ranges of the languages taught in China's schools, with the language to assume when the record names none.
_SCRIPTS: Final = (
    (re.compile(r"[\u0600-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufeff]"), ("ug", "kk-Arab", "ky-Arab", "ar")),
    (re.compile(r"[\u0f00-\u0fff]"), ("bo",)),
    (re.compile(r"[\u1800-\u18af]"), ("mn-Mong",)),
    (re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"), ("ko",)),
    (re.compile(r"[\ua000-\ua4cf]"), ("ii",)),
    (re.compile(r"[\u4e00-\u9fff]"), ("zh-Hans", "zh-Hant", "zh", "zh-CN", "zh-TW")),
)


def language_of(text: str, declared: Sequence[str] = ()) -> str:
    """The tag of a text: of the languages its record declares the one whose script it is in, else that script's
    first; Latin text is the declared one that is none of these, else English."""
    for script, tags in _SCRIPTS:
        if script.search(text):
            return next((tag for tag in declared if tag in tags), tags[0])
    known = {tag for _, tags in _SCRIPTS for tag in tags}
    return next((tag for tag in declared if tag not in known), "en")
