"""Coverage for everybody: subjects by grades with the gaps shown (基础性资源覆盖), for one edition or for all."""

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.catalogue import coverage
from app.protocol import vocab

ENOUGH = 10  # fewer records than this are shown as thin, none as a gap


class Chosen(BaseModel):
    """Which edition of the textbooks; empty for all together."""

    edition: str = Field(default="", max_length=64)


def matrix(connection: Connection, chosen: Chosen, lang: str) -> dict[str, Any]:
    """Grades as columns in the order of school, subjects as rows, the best covered first; each cell a count and a word."""
    labels = "en" if lang == "en" else "zh"
    counts = coverage.matrix(connection, chosen.edition)
    grades = [code for code in vocab.scheme("grade").concepts if any(grade == code for _, grade in counts)]
    totals: dict[str, int] = {}
    for (subject, _), n in counts.items():
        totals[subject] = totals.get(subject, 0) + n
    subjects = sorted(totals, key=lambda code: (-totals[code], code))
    rows: list[dict[str, Any]] = [
        {
            "code": s,
            "label": vocab.label("subject", s, labels),
            "cells": [_cell(s, g, counts) for g in grades],
        }
        for s in subjects
    ]
    editions = sorted(coverage.editions(connection).items(), key=lambda pair: (-pair[1], pair[0]))
    return {
        "chosen": chosen, "rows": rows, "gaps": sum(cell["word"] == "gap" for row in rows for cell in row["cells"]),
        "grades": [(code, vocab.label("grade", code, labels)) for code in grades],
        "editions": [(code, vocab.label("edition", code, labels)) for code, _ in editions],
    }  # fmt: skip


def _cell(subject: str, grade: str, counts: dict[tuple[str, str], int]) -> dict[str, Any]:
    """A gap is an empty cell in a stage where the subject has resources at all: first-graders have no chemistry."""
    n = counts.get((subject, grade), 0)
    taught = n or any(s == subject and g[:1] == grade[:1] for s, g in counts)
    word = "untaught" if not taught else "gap" if n == 0 else "thin" if n < ENOUGH else "full"
    return {"grade": grade, "n": n, "word": word}
