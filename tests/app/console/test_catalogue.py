"""Every user-visible string comes from the catalogues: the same keys in all languages, none missing, none idle."""

import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from jinja2 import Environment, nodes

from app.admission import ramp
from app.admission.decide import DECISIONS
from app.admission.policy import LEVELS as LEVELS_OF_ADMISSION
from app.admission.policy import MODES
from app.console import crosswalk, page
from app.console.catalogue import LANGUAGES, Words, chosen, direction, strings
from app.console.pages import diagnosis, feed_actions, joining, platform_actions
from app.console.pages.admission import RULES, STAGES
from app.console.pages.records import FACETS
from app.harvest import explain
from app.harvest.discovery import kinds
from app.harvest.tables import ANSWERS, COUNTS
from app.harvest.totals import BLAMES
from app.monitor.board import Kind, Word
from app.monitor.causes import Rule
from app.monitor.courier import KINDS
from app.monitor.days import Outcome
from app.monitor.digest import Act
from app.monitor.objectives import Standing
from app.monitor.states import State
from app.platforms import documents, stages
from app.protocol.rules import Severity
from app.protocol.words import LEVELS, Job, RunStatus

TEMPLATES = Path(page.__file__).parent / "templates"
CAUSES_OF_RAMP = [ramp.REFUSED, ramp.VERDICTS, ramp.SHAPE, ramp.OPERATOR, ramp.MEMBER]
# Keys that are put together from data: each prefix with all values that may follow it.
OPEN = {
    "nav.": [key for key, _ in (*page.NAVIGATION, *page.EVERYBODY)], "state.": list(State), "run_status.": list(RunStatus), "job.": list(Job),
    "job_why.": list(Job), "outcome.": list(Outcome), "level.": list(LEVELS), "count.": [*COUNTS, "seen"],
    "facet.": [*FACETS, "volume"], "stage_name.": ["parse", "map", "validate", "store"],
    "decision.": ["pending", "approved", "split", "rejected", "undone"], "removal.": ["absent", "explicit", "left"],
    "act.": feed_actions.ACTIONS, "act_does.": feed_actions.ACTIONS, "answer.": ANSWERS, "mapping_source.": crosswalk.SOURCES,
    "mapping_shape.": ["all", *crosswalk.SHAPES[1:]],
    "refused_act.": ["retired", "as_it_is", "paused", "suspended", "running", "configuration", "no_list", "compare_first"],
    "how.": ["default", "kept from the connector", explain.BY_TEXT, explain.LOST],
    "alerts_shown.": ["open", "resolved", "all"], "alert_kind.": KINDS, "alert_when.": list(Rule), "blame.": BLAMES,
    "promise_standing.": list(Standing), "key_state.": ["live", "suspended", "expired", "revoked"],
    "platform_act.": list(platform_actions.STATES), "platform_act_does.": list(platform_actions.STATES),
    "open_state.": list(Word), "open_incident.": list(Kind), "digest_act.": list(Act), "rule_name.": list(Rule),
    "join_field.": ["kind", "level", "region", "name", "organisation", "credit_code", "school_code", "domain", "icp", "password", "again"],
    "join_fault.": [*joining.PLAIN, "contact", "agreement", "password", "again"], "join_kind.": list(stages.Kind), "join_person.": joining.PERSON,
    "enrol_stage.": list(stages.Stage), "enrol_verdict.": list(stages.Verdict), "enrol_document.": [*documents.KINDS, *documents.BY_HUB], "enrol_lack.": ["feed", "ramp", "run"],
    "vendor_next.": ["prove", "submit", "wait", "feed", "validate", "look", "suspended", "retired"],
    "vendor_failed.": ["document", "proof", "submit", "key", "validate"], "severity.": list(Severity), "diagnosis_level.": diagnosis.LEVELS,
    "diagnosis_account.": ["suspended", "unproved", "notice_late", "notice", "key_ends", "no_feed"],
    "config.": sorted({field for kind in kinds().values() for field in kind.model_fields}),
    "admission_stage.": STAGES, "admission_rule.": RULES, "mode.": MODES,
    "visibility.": LEVELS_OF_ADMISSION, "verdict.": DECISIONS,
    "outcome_of_verdict.": ["admitted", "first_of_two", "narrow", "rejected", "withdrawn", "undone", "left"],
    "ramp_step.": ["done", "here", "ahead", "stopped"], "ramp_act.": ["raise", "lower", "stop", "resume"],
    "ramp_cause.": CAUSES_OF_RAMP, "ramp_remedy.": CAUSES_OF_RAMP,
    "role.": ["author", "creator", "publisher", "editor", "contributor", "translator"],
}  # fmt: skip
HEADS = {"words": ["held", "rehost"]}
NAMES_OF_FORMATS = {"JSON", "CSV", "API", "OAI-PMH", "IX/1", "healthz", "readyz", "metrics", "Python"}


def _trees() -> Iterator[tuple[str, nodes.Template]]:
    for file in sorted(TEMPLATES.iterdir()):
        yield file.name, Environment(autoescape=True).parse(file.read_text())


def _asked() -> set[str]:
    """All keys that templates ask for, open prefixes filled in."""
    found: set[str] = set()
    for name, tree in _trees():
        for call in tree.find_all(nodes.Call):
            if (isinstance(call.node, nodes.Name) and call.node.name == "t") or _either(call.node):
                found |= _keys(call.args[0], f"{name}:{call.lineno}")
    return found


def _keys(key: nodes.Expr, place: str) -> set[str]:
    if isinstance(key, nodes.Const):
        return {key.value}
    if isinstance(key, nodes.CondExpr) and key.expr2 is not None:
        return _keys(key.expr1, place) | _keys(key.expr2, place)
    assert isinstance(key, nodes.Concat), place
    first, rest = key.nodes[0], key.nodes[1]
    if isinstance(first, nodes.Name) and isinstance(rest, nodes.Const):
        return {f"{head}{rest.value}" for head in HEADS[first.name]}
    prefix = first.value  # type: ignore[attr-defined]
    return {f"{prefix}{value}" for value in OPEN[prefix]}


def _either(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name) and node.node.name == "t"


def test_every_string_a_page_asks_for_is_there_and_none_is_idle() -> None:
    assert _asked() == set(strings("zh-CN"))


@pytest.mark.parametrize("lang", [lang for lang in LANGUAGES if lang != "zh-CN"])
def test_languages_have_the_same_keys_and_places(lang: str) -> None:
    ours, theirs = strings("zh-CN"), strings(lang)
    assert set(ours) == set(theirs)

    def places(text: str) -> set[str | None]:
        return {name for _, name, _, _ in Formatter().parse(text) if name}

    assert {key for key in ours if places(ours[key]) != places(theirs[key])} == set()
    assert [key for key, text in theirs.items() if not text.strip() or re.search("[\u4e00-\u9fff]", text)] == []


def test_templates_hold_no_words_of_their_own() -> None:
    loose = {}
    for file in sorted(TEMPLATES.iterdir()):
        text = re.sub(r"\{#.*?#\}|\{%.*?%\}", "", file.read_text(), flags=re.DOTALL)
        text = re.sub(r"\{\{.*?\}\}", "§", text, flags=re.DOTALL)
        spoken = " ".join(re.findall(r'(?:aria-label|title|placeholder|alt)="([^"]*)"', text))
        text = re.sub(r"<(script|code|style)\b.*?</\1>|<[^>]*>|&\w+;", " ", text, flags=re.DOTALL)
        text = re.sub(r'[\w-]+="[^"]*"|/\w+/', " ", text)  # attributes that a block adds, addresses that a macro makes
        if words := set(re.findall(r"[A-Za-z\u4e00-\u9fff][\w/-]*", f"{text} {spoken}")) - NAMES_OF_FORMATS:
            loose[file.name] = words
    assert loose == {}


def test_a_missing_key_is_an_error_never_an_empty_place() -> None:
    with pytest.raises(KeyError):
        Words("en")("no.such.key")


def test_the_language_is_the_one_asked_for_then_the_kept_one_then_the_deployments() -> None:
    assert chosen("en", "zh-CN", "zh-CN") == "en"
    assert chosen("xx", "en", "zh-CN") == "en"
    assert chosen(None, None, "nonsense") == "zh-CN"
    assert (direction("ug"), direction("zh-CN"), direction("mn-Mong")) == ("rtl", "ltr", "ltr")
