"""Commands that look without storing, and those of kinds, mappings and rules."""

import csv
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.deployment import engine
from app.harvest import assess, local, look
from app.harvest import probe as probing
from app.harvest.discovery import kinds
from app.harvest.engine import Engine
from app.protocol import mapping as crosswalk
from app.protocol import rules
from app.protocol.errors import BadRequest
from app.terminal import Json, document, opened, screen, show

commands = typer.Typer()
Configured = Annotated[str | None, typer.Option("--config", help="JSON or @FILE over what was found or registered")]
Mapped = Annotated[str | None, typer.Option("--mapping", help="JSON or @FILE instead of the feed's own")]


def _printed(found: Any) -> None:
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str).decode())


def _subject(made: Engine, what: str, number: int, mapping: str | None, config: str | None) -> look.Subject:
    """A feed's number or PLATFORM/key, an address, or a file."""
    chosen, given = document(mapping) if mapping else None, document(config) if config else {}
    if chosen is not None:
        crosswalk.checked(chosen)
    if what.startswith(("http://", "https://")):
        found = probing.proposed(made.fetcher, what)
        return found._replace(mapping=chosen or found.mapping, config={**found.config, **given})
    if Path(what).is_file():
        return local.subject(Path(what), number, chosen, given)
    with made.database.read() as connection:
        found = look.registered(made, connection, what, chosen)
        return found._replace(config={**found.config, **given})


@commands.command()
def probe(url: str, as_json: Json = False) -> None:
    """Which connector fits an address, with evidence, and a mapping to begin with."""
    settings, database = opened()
    with closing(engine(settings, database).fetcher) as fetcher:
        found = probing.probe(fetcher, url)
    if as_json:
        print(orjson.dumps(found, default=str).decode())
    else:
        _tell(found)
    if not found["kinds"]:
        sys.exit(1)


def _tell(found: dict[str, Any]) -> None:
    kinds = [{**kind, "reasons": "; ".join(kind["reasons"])} for kind in found["kinds"]]
    show(
        kinds or found["failed"], ("connector", "certainty", "config", "reasons") if kinds else ("url", "detail"), False
    )
    if found["mapping"]:
        guesses = [
            {**g, "reasons": "; ".join(g["reasons"]), "examples": " / ".join(g["examples"])} for g in found["evidence"]
        ]
        show(guesses, ("field", "rule", "certainty", "reasons", "examples"), False)
        screen.print(f"nothing found for: {', '.join(found['open']) or 'nothing, all mandatory fields have a source'}")
        _printed(found["mapping"])


@commands.command()
def preview(
    what: Annotated[str, typer.Argument(help="FEED or URL or FILE")],
    number: Annotated[int, typer.Option("-n", min=1, max=1000)] = 20, mapping: Mapped = None, config: Configured = None, as_json: Json = False,
) -> None:  # fmt: skip
    """The first records as they would be stored, coverage and score; nothing is stored."""
    settings, database = opened()
    with closing(engine(settings, database)) as made:
        subject = _subject(made, what, number, mapping, config)
        found = look.preview(made.fetcher, subject, number, settings.rules)
    if as_json:
        print(orjson.dumps(found).decode())
        return
    show([_brief(item) for item in found["records"]], ("identifier", "title", "subject", "stage", "findings"), False)
    show(found["coverage"], ("field", "required", "present", "of", "unmapped"), False)
    screen.print(f"score {found['score']}, {found['requests']} requests, {found['own_ms']} ms of our own")


def _brief(item: dict[str, Any]) -> dict[str, Any]:
    record, found = (
        item["record"] or {},
        [f"{f['rule']}:{f['path']}" for f in item["findings"] if f["severity"] != "advice"],
    )
    return {**{name: record.get(name) for name in ("title", "subject", "stage")}, "identifier": item["identifier"],
            "findings": " ".join(found)}  # fmt: skip


@commands.command()
def validate(
    what: Annotated[str, typer.Argument(help="FEED or URL or FILE")],
    number: Annotated[int, typer.Option("-n", min=1, max=100_000)] = 1000,
    mapping: Mapped = None, config: Configured = None,
    rest: Annotated[Path | None, typer.Option("--csv", help="all findings as CSV")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """A report grouped by rule with counts and three examples each; exit 1 when records would be refused."""
    settings, database = opened()
    with closing(engine(settings, database)) as made:
        subject = _subject(made, what, number, mapping, config)
        report, verdicts = look.validate(made.fetcher, subject, number, settings.rules)
    if rest is not None:
        with rest.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([assess.COLUMNS, *assess.rows(verdicts)])
    if as_json:
        print(orjson.dumps(report).decode())
    else:
        _report(report)
    if report["refused"]:
        sys.exit(1)


def _report(report: dict[str, Any]) -> None:
    for group in report["rules"]:
        table = Table(
            "identifier", "path", "value", title=f"{group['severity']} {group['rule']}: {group['records']} records"
        )
        for item in group["examples"]:
            table.add_row(item["identifier"], item["path"], item["value"])
        console = Console()
        console.print(table)
        console.print(f"{group['zh']} {group['en']}\n处理 {group['remedy_zh']} {group['remedy']}\n", highlight=False)
    counts = {name: report[name] for name in ("seen", "accepted", "refused", "score")}
    show([counts], tuple(counts), False)


@commands.command("rules")
def rules_list(
    markdown: Annotated[bool, typer.Option("--markdown", help="the page docs/rules.md")] = False, as_json: Json = False
) -> None:
    """All rules, by what breaks them."""
    if markdown:
        print(rules.markdown(), end="")
        return
    show([rules.described(rule) for rule in rules.RULES.values()], ("id", "severity", "always", "zh", "en"), as_json)


@commands.command("mapping-schema")
def mapping_schema() -> None:
    """The JSON Schema of a mapping document."""
    _printed(crosswalk.schema())


@commands.command("connectors")
def connectors_list(name: str | None = None) -> None:
    """The kinds, or the configuration schema of one."""
    if name is None:
        columns = ("name", "zh", "en")
        show([dict(zip(columns, (n, k.title_zh, k.title_en), strict=True)) for n, k in kinds().items()], columns, False)
        return
    if name not in kinds():
        raise BadRequest(f"there is no connector {name!r}; there are {', '.join(kinds())}")
    _printed(kinds()[name].model_json_schema())
