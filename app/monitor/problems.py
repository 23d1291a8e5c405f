"""What each kind of problem and each rule means, as docs/problems.md says it: the pages and the console show one text."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from app.protocol import rules

_ROOM = Path(__file__).parents[1]
# Shipped inside the package by the wheel; in a checkout it stands with the other documentation.
PROBLEMS = next((p for p in (_ROOM / "problems.md", _ROOM.parent / "docs" / "problems.md") if p.exists()), Path())
_FIRST = re.compile(r"\*\*Cause[^*]*\*\*\s*(.+)")


class Problem(NamedTuple):
    """A kind with one sentence in each language and its whole section in Markdown."""

    kind: str
    zh: str
    en: str
    markdown: str

    def sentence(self, lang: str) -> str:
        """What happened, in the reader's language."""
        return self.en if lang == "en" else self.zh.rstrip("。")


@cache
def problems() -> dict[str, Problem]:
    """All sections by kind; the rules' pages come from their own declarations."""
    sections = PROBLEMS.read_text("utf-8").split("\n## ")[1:] if PROBLEMS.is_file() else []
    judged = {rule.id: Problem(rule.id, rule.zh, rule.en, rules.section(rule)[1:]) for rule in rules.RULES.values()}
    return judged | {found.kind: found for found in map(_problem, sections)}


def _problem(section: str) -> Problem:
    head, _, body = section.partition("\n")
    first = next((line for line in body.splitlines() if line.strip()), "")
    cause = _FIRST.search(body)
    return Problem(head.strip().strip("`"), first, cause[1].rstrip(".") if cause else first, f"# {section}")


def sentence(kind: str | None, lang: str) -> str:
    """A kind in words; the kind itself when it has no page."""
    found = problems().get(kind or "")
    return found.sentence(lang) if found else kind or ""
