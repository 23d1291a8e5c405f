"""The weekly digest as a letter: a subject, text, and HTML that mail programs draw without anything from elsewhere."""

from typing import Any

from app.console import formats
from app.console.catalogue import Words
from app.console.page import render
from app.monitor.courier import Letter
from app.monitor.digest import Digest, week_name
from app.monitor.letters import Write
from app.monitor.wording import clean
from app.settings import Settings


def writer(settings: Settings) -> Write:
    """Writes letters of this hub."""
    return lambda digest, lang: letter(digest, lang, settings)


def letter(digest: Digest, lang: str, settings: Settings) -> Letter:
    """One letter in one language."""
    shown, week = context(digest, settings), week_name(digest.monday)
    subject = Words(lang)("digest.subject", hub=settings.platform_name, name=digest.name, week=week)
    text = render("letter.txt", lang, shown)
    return Letter(f"digest.{digest.platform}.{week}", clean(subject), text, render("letter.html", lang, shown))


def context(digest: Digest, settings: Settings) -> dict[str, Any]:
    """What the letter and its page are drawn from."""
    begin, end = formats.date(digest.monday), formats.date(digest.monday + 6)
    week = week_name(digest.monday)
    page = f"/platforms/{digest.platform}/digest?week={week}"
    return {"digest": digest, "week": week, "page": page, "begin": begin, "end": end, "settings": settings,
            "url": settings.public_url.rstrip("/"), "clean": clean}  # fmt: skip
