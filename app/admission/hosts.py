"""Where a record's link leads: content that leads to another host than before may wait (`aside.py`).

A supplier that is taken over, or one wrong job, re-homes a whole catalogue with well-formed records; only the number
of them tells. So what changes the host is put aside while its run goes on, and judged as a set at its end.
"""

from urllib.parse import urlsplit

from app.protocol.record import restore


def host(document: bytes) -> str:
    """The host of a record's first link, in lower case; empty where there is none."""
    return next(iter(_hosts(document)), "")


def leads_elsewhere(new: bytes, old: bytes) -> bool:
    """Whether the first link of a new content leads to a host that no link of the old one had.

    Catalogues that list one file on several delivery hosts may turn them round; a missing link leads nowhere.
    """
    if new == old:
        return False
    here, before = host(new), _hosts(old)
    return bool(here and before) and here not in before


def _hosts(document: bytes) -> list[str]:
    found = restore(document).get("location") or []
    return [name for link in found if (name := _host(link))]


def _host(link: str) -> str:
    try:
        return urlsplit(link).hostname or ""
    except ValueError:
        return ""
