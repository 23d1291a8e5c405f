"""Language tags: BCP 47 inside the hub, and the older Chinese codes that look like it and are not.

The two-letter usage of GB/T 4881 in Chinese systems shares its form with ISO 639-1 and not its meaning: `th` is 傣语
there and Thai in BCP 47, `yi` is 彝语 there and Yiddish here. No code tells which it is, so the feed must.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

from app.protocol.vocab.concepts import fold, terms
from app.protocol.vocab.tables import remember, rows

_LONGEST: Final = 35  # the buffer RFC 5646, section 4.4.1, finds enough for every registered tag
_KNOWN: Final[dict[str, str | None]] = {}
_HERE: Final = frozenset({"CN", "TW", "HK", "MO", "SG"})


@cache
def language_codes() -> Mapping[str, Mapping[str, str]]:
    """For each other scheme (`gb4881-2letter`, `gb4881-3digit`) its codes with the tag that each means."""
    found: dict[str, dict[str, str]] = {}
    for row in rows("language_code"):
        found.setdefault(row["scheme"], {})[row["code"]] = row["tag"]
    return found


def language(tag: str, scheme: str = "bcp47") -> str | None:
    """A language in our list's form; None where the scheme does not know it, which the caller keeps raw and flags.

    A registered BCP 47 tag outside our list (`sw`, `gsw-CH`) comes back in its standard form, `zh` alone as `zh`.
    Tags that are well formed and mean nothing (`hn`, `xx`) give None: they tell of a platform with another scheme.
    Raises KeyError for a scheme that is neither `bcp47` nor in `language_codes()`.
    """
    if scheme == "bcp47":
        try:
            return _KNOWN[tag]
        except KeyError:
            return remember(_KNOWN, tag, _tag(tag), _LONGEST)
    return language_codes()[scheme].get(tag.strip().casefold())


def _tag(tag: str) -> str | None:
    if len(tag) > _LONGEST:
        return None
    if (code := terms("language").get(fold(tag))) is not None:
        return code
    tag = tag.strip()
    if not tag.isascii() or not tag.replace("-", "").replace("_", "").isalnum():
        return None
    from langcodes import standardize_tag

    try:
        if not registered(tag):
            return None
        standard = str(standardize_tag(tag))
    except ValueError:
        return None
    return terms("language").get(fold(standard)) or _of_here(standard) or standard


def registered(tag: str) -> bool:
    """Whether every part of the tag is in the registry of BCP 47."""
    from langcodes import tag_is_valid  # its tables take longer to load than most commands take

    return bool(tag_is_valid(tag))


def _of_here(tag: str) -> str | None:
    """`bo-CN` is `bo` and `mn-CN` is `mn-Mong`: the region only says the script, which our list names itself."""
    from langcodes import Language

    whole = Language.get(tag)
    if whole.territory not in _HERE or whole.variants or whole.extensions or whole.private:
        return None
    full = whole.maximize()
    known = terms("language")
    return known.get(fold(f"{full.language}-{full.script}")) or known.get(fold(str(full.language)))
