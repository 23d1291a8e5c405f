"""Coverage for everybody: subjects by grades, or one subject's editions by grades, with the gaps shown (基础性资源覆盖)."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.catalogue import coverage
from app.protocol import vocab

ENOUGH = 10  # fewer records than this are shown as thin, none as a gap
Counts = Mapping[tuple[str, str], int]


class Chosen(BaseModel):
    """Which edition of the textbooks (empty for all together), or which subject, whose editions are then the rows (both: one row)."""

    edition: str = Field(default="", max_length=64)
    subject: str = Field(default="", max_length=64)


def matrix(connection: Connection, chosen: Chosen, lang: str) -> dict[str, Any]:
    """Grades as columns in the order of school, the best covered rows first; each cell a count and a word."""
    labels = "en" if lang == "en" else "zh"
    kind = "edition" if chosen.subject else "subject"
    counts = _counts(connection, chosen)
    grades = [code for code in vocab.scheme("grade").concepts if any(grade == code for _, grade in counts)]
    rows: list[dict[str, Any]] = [
        {"code": code, "label": vocab.label(kind, code, labels) if code else "", "total": total,
         "cells": [_cell(code, grade, counts) for grade in grades]}
        for code, total in _totals(counts)
    ]  # fmt: skip
    words = [cell["word"] for row in rows for cell in row["cells"]]
    return {
        "chosen": chosen, "kind": kind, "rows": rows, "enough": ENOUGH,
        "gaps": words.count("gap"), "thin": words.count("thin"), "taught": len(words) - words.count("untaught"),
        "grades": [(code, vocab.label("grade", code, labels)) for code in grades],
        "editions": _choices("edition", coverage.editions(connection), labels),
        "subjects": _choices("subject", coverage.subjects(connection), labels),
    }  # fmt: skip


def _counts(connection: Connection, chosen: Chosen) -> Counts:
    if not chosen.subject:
        return coverage.matrix(connection, chosen.edition)
    found = coverage.by_edition(connection, chosen.subject)
    return {key: n for key, n in found.items() if chosen.edition in ("", key[0])}


def _totals(counts: Counts) -> list[tuple[str, int]]:
    """Rows with their sums, the most first; what names no edition comes last."""
    totals: dict[str, int] = {}
    for (code, _), n in counts.items():
        totals[code] = totals.get(code, 0) + n
    return sorted(totals.items(), key=lambda pair: (not pair[0], -pair[1], pair[0]))


def _choices(kind: str, found: Mapping[str, int], labels: str) -> list[tuple[str, str]]:
    return [
        (code, vocab.label(kind, code, labels))
        for code, _ in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _cell(code: str, grade: str, counts: Counts) -> dict[str, Any]:
    """A gap is an empty cell in a stage where the row has resources at all: first-graders have no chemistry."""
    n = counts.get((code, grade), 0)
    taught = n or any(other == code and g[:1] == grade[:1] for other, g in counts)
    word = "untaught" if not taught else "gap" if n == 0 else "thin" if n < ENOUGH else "full"
    return {"grade": grade, "n": n, "word": word}
