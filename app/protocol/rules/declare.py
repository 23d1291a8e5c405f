"""How a rule is declared."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

Content = Mapping[str, Any]
Found = tuple[str, str]
"""Where (`contributors[1].date`) and the value as it may be shown."""
Check = Callable[[Content], Iterator[Found]]


class Severity(StrEnum):
    """What follows: an error refuses the record, a warning flags it, an advice is only shown."""

    ERROR = "error"
    WARNING = "warning"
    ADVICE = "advice"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with all that its reader needs. `check` is None where the record's preparation judges it.

    `hint` says from the canonical bytes whether the check can find anything at all: it keeps a rule cheap in a harvest.
    """

    id: str
    severity: Severity
    zh: str
    en: str
    example: str
    remedy_zh: str
    remedy: str
    source: str = ""
    check: Check | None = None
    hint: Callable[[bytes], Any] | None = None


class Finding(NamedTuple):
    """One rule broken in one place of one record."""

    rule: str
    severity: Severity
    path: str = ""
    value: str = ""
    detail: str = ""


RULES: Final[dict[str, Rule]] = {}
"""All rules by id, in the order of their declaration."""


def declare(rule: Rule) -> Rule:
    """Adds a rule. Raises ValueError when the id is taken."""
    if rule.id in RULES:
        raise ValueError(f"the rule {rule.id} is declared twice")
    RULES[rule.id] = rule
    return rule


def texts(value: Any, path: str) -> Iterator[Found]:
    """All texts of a field with their places: `keywords[0]`, `rights.statement`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from texts(item, f"{path}[{number}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from texts(item, f"{path}.{name}")
