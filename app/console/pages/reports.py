"""What the pages of digests and of the monthly report show."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from app.console import letters
from app.console.page import STATIC, render
from app.console.regions import region_name
from app.monitor import digest as week
from app.monitor import letters as post
from app.monitor.digest import Digest
from app.monitor.report import Report
from app.platforms.service import by_code
from app.settings import Settings

SHOWN: Final = 100  # platforms that a page names, those with the most to mend first; the table has all


def digest_page(connection: Connection, found: Digest, settings: Settings, lang: str) -> dict[str, Any]:
    """The digest with its letter's text, its readers, and the weeks beside it."""
    letter = letters.letter(found, lang, settings)
    readers = post.readers(connection, found.platform)
    latest = week.last_week(connection)
    later = week.week_name(found.monday + 7) if found.monday < latest else None
    return {
        **letters.context(found, settings), "letter": letter, "reader": readers[0] if readers else None,
        "earlier": week.week_name(found.monday - 7), "later": later, "mail": bool(settings.smtp_url),
    }  # fmt: skip


def choose(connection: Connection, code: str, form: Mapping[str, str]) -> None:
    """Subscribes the addresses of a form, or ends the subscription. Raises NotFound, BadRequest."""
    by_code(connection, code)
    to = form.get("to", "").replace(",", " ").split()
    if to:
        post.subscribe(connection, code, to, form.get("lang", "zh-CN"))
    elif post.readers(connection, code):
        post.unsubscribe(connection, code)


def report_page(found: Report, lang: str) -> dict[str, Any]:
    """A month; of the platforms those first whose updates failed, came late or were refused."""
    worst = sorted(found.platforms, key=lambda one: (-(one.judged - one.met), -(1 - (one.good if one.good is not None else 1)), -(one.refused or 0), one.key))  # fmt: skip
    return {
        "report": found, "worst": worst[:SHOWN], "others": max(0, len(worst) - SHOWN), "region": lambda code: region_name(code, lang),
        "earlier": _month(found, -1), "later": _month(found, 1) if found.month.whole else None,
    }  # fmt: skip


def _month(found: Report, step: int) -> str:
    year, number = (int(part) for part in found.month.name.split("-"))
    return date(year + (number - 1 + step) // 12, (number - 1 + step) % 12 + 1, 1).strftime("%Y-%m")


def report_file(found: Report, lang: str, settings: Settings) -> str:
    """The month as one file that needs nothing else, for printing."""
    css = (Path(STATIC) / "hutong.css").read_text("utf-8")
    return render("report_file.html", lang, {**report_page(found, lang), "css": css, "settings": settings})
