"""The engine: all rules over one record, or the chosen ones beside a harvest."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from app.protocol.connector import Fault
from app.protocol.errors import BadRequest
from app.protocol.record import Prepared, restore
from app.protocol.rules.declare import RULES, Finding, Rule, Severity

VERBS: Final = ("off", "flag", "refuse")
Live = Callable[[Prepared], Prepared | Fault]


def rule_of(id: str) -> Rule | None:
    """The rule behind a fault's id or a flag (`missing:languages`)."""
    return RULES.get(id.partition(":")[0])


def judge(outcome: Prepared | Fault) -> Iterator[Finding]:
    """All that every rule finds in one record, prepared or refused."""
    if isinstance(outcome, Fault):
        yield Finding(outcome.rule, Severity.ERROR, outcome.path, outcome.value, outcome.detail)
        return
    # What a rule with a check has flagged beside the harvest is found again below, with its place.
    yield from (finding for finding in map(_flagged, outcome.flags.split()) if _always(finding.rule))
    content = restore(outcome.document)
    for rule in RULES.values():
        if rule.check is not None:
            yield from (Finding(rule.id, rule.severity, path, value) for path, value in rule.check(content))


def _always(id: str) -> bool:
    return id not in RULES or RULES[id].check is None


def _flagged(flag: str) -> Finding:
    id, _, field = flag.partition(":")
    rule = RULES.get(id)
    return Finding(id, rule.severity if rule else Severity.WARNING, field)


def selected(policy: str) -> Mapping[str, str]:
    """A policy such as `personal=flag,url.malformed=refuse` as rule id to verb; later words win. Raises BadRequest.

    A word is a rule, a group of rules (what stands before the dot) or `all`. Rules that the preparation judges are
    always on and cannot be chosen.
    """
    chosen: dict[str, str] = {}
    for word in (part.strip() for part in policy.split(",") if part.strip()):
        name, _, verb = word.partition("=")
        ids = [r.id for r in RULES.values() if r.check and (name in ("all", r.id) or r.id.startswith(f"{name}."))]
        if not ids or verb not in VERBS:
            raise BadRequest(f"rules: {word!r} is not RULE=off|flag|refuse; `hutong rules` lists the rules")
        chosen |= dict.fromkeys(ids, verb)
    return {id: verb for id, verb in chosen.items() if verb != "off"}


@lru_cache(maxsize=64)
def live(policy: str) -> Live | None:
    """The chosen rules as one step behind the preparation; None when there are none. Raises BadRequest."""
    chosen = [(RULES[id], verb) for id, verb in selected(policy).items()]
    if not chosen:
        return None
    groups: dict[Any, list[tuple[Rule, str]]] = {}
    for rule, verb in chosen:
        groups.setdefault(rule.hint, []).append((rule, verb))

    def step(record: Prepared) -> Prepared | Fault:
        likely = [pair for hint, pairs in groups.items() if hint is None or hint(record.document) for pair in pairs]
        return _applied(record, likely) if likely else record

    return step


def _applied(record: Prepared, chosen: list[tuple[Rule, str]]) -> Prepared | Fault:
    content, flags = restore(record.document), []
    for rule, verb in chosen:
        assert rule.check is not None
        for path, value in rule.check(content):
            if verb == "refuse":
                return Fault(rule.id, rule.en, path, value, "validate")
            if (flag := f"{rule.id}:{path.partition('[')[0].partition('.')[0]}") not in flags:
                flags.append(flag)
    return record._replace(flags=" ".join([*record.flags.split(), *flags])) if flags else record
