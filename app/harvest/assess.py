"""From entries to verdicts: the same preparation as a harvest, then every rule, coverage and a score."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from app.harvest.prepare import Source, prepared
from app.protocol import rules
from app.protocol.connector import Entry, Fault
from app.protocol.record import MANDATORY, Prepared, Record, restore
from app.protocol.rules import Finding, Severity

EXAMPLES: Final = 3
REQUIRED: Final = ("title", *MANDATORY)
RECOMMENDED: Final = ("description", "keywords", "stage", "grade", "published")
WEIGHTS: Final = {**dict.fromkeys(REQUIRED, 3), **dict.fromkeys(RECOMMENDED, 1)}
_ORDER: Final = (Severity.ERROR, Severity.WARNING, Severity.ADVICE)


class Verdict(NamedTuple):
    """What became of one entry, and all that the rules find in it."""

    identifier: str
    outcome: Prepared | Fault
    findings: list[Finding]


def outcomes(source: Source, entries: Sequence[Entry], context: bytes) -> Iterator[tuple[Entry, Prepared | Fault]]:
    """Entries with what the preparation of a harvest makes of them, in order."""
    batch = prepared(source, entries, context)
    refused, arrived = dict(batch.refused), iter(batch.arrivals)
    for place, entry in enumerate(entries):
        yield entry, refused[place] if place in refused else next(arrived).record


def assessed(source: Source, entries: Sequence[Entry], context: bytes) -> Iterator[Verdict]:
    """A verdict for each entry, in order."""
    for entry, outcome in outcomes(source, entries, context):
        yield Verdict(entry.identifier, outcome, list(rules.judge(outcome)))


def coverage(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """For each field in how many records it is present, and in how many a term of it is in no code list."""
    present, unmapped = Counter[str](), Counter[str]()
    for verdict in verdicts:
        if isinstance(verdict.outcome, Prepared):
            present.update(restore(verdict.outcome.document).keys())
            unmapped.update(f.path for f in verdict.findings if f.rule == "unmapped")
    return [
        {"field": name, "required": name in REQUIRED, "present": present[name], "of": len(verdicts), "unmapped": unmapped[name]}
        for name in Record.__annotations__ if name != "id" and (present[name] or name in WEIGHTS)
    ]  # fmt: skip


def score(verdicts: Sequence[Verdict]) -> int:
    """0 to 100, the mean over the records: a required field counts three, a recommended one counts one, an unmapped
    one half of what it would; a refused record counts nothing."""
    if not verdicts:
        return 0
    return round(100 * sum(_score(verdict) for verdict in verdicts) / (len(verdicts) * sum(WEIGHTS.values())))


def _score(verdict: Verdict) -> float:
    if isinstance(verdict.outcome, Fault):
        return 0
    present = restore(verdict.outcome.document)
    unmapped = {finding.path for finding in verdict.findings if finding.rule == "unmapped"}
    return sum(weight * (0.5 if name in unmapped else 1) for name, weight in WEIGHTS.items() if name in present)


def grouped(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    """Findings by rule, errors first, then by count: the rule's text, how many records, three examples."""
    found: dict[str, list[tuple[str, Finding]]] = defaultdict(list)
    for verdict in verdicts:
        for finding in verdict.findings:
            found[finding.rule].append((verdict.identifier, finding))
    groups = [_group(id, items) for id, items in found.items()]
    return sorted(groups, key=lambda group: (_ORDER.index(group["severity"]), -group["count"]))


def _group(id: str, items: list[tuple[str, Finding]]) -> dict[str, Any]:
    rule, first = rules.rule_of(id), items[0][1]
    examples = [
        {"identifier": name, "path": f.path, "value": f.value, "detail": f.detail} for name, f in items[:EXAMPLES]
    ]
    return {
        "rule": id, "severity": first.severity, "zh": rule.zh if rule else first.detail, "en": rule.en if rule else first.detail,
        "remedy_zh": rule.remedy_zh if rule else "", "remedy": rule.remedy if rule else "", "page": f"/problems/{id}",
        "count": len(items), "records": len({name for name, _ in items}),
        "paths": dict(Counter(f.path.partition("[")[0] for _, f in items).most_common(5)), "examples": examples,
    }  # fmt: skip


COLUMNS: Final = ("rule", "severity", "identifier", "path", "value", "detail")


def rows(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, ...]]:
    """Every finding as a row of COLUMNS, for a CSV."""
    for verdict in verdicts:
        for finding in verdict.findings:
            yield tuple(map(cell, (finding.rule, finding.severity, verdict.identifier, *finding[2:])))


def cell(text: str) -> str:
    """A spreadsheet takes a leading =, +, - or @ for a formula: what came from a source is never one."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
