"""`hutong admission`: policies, the queue, verdicts and undo."""

import getpass
import sys
from typing import Annotated, Any

import orjson
import typer

from app.admission import policy, queue
from app.admission.decide import Decision, Item
from app.admission.decide import decide as carry_out
from app.admission.policy import MATTER, Policy
from app.admission.queue import Sought
from app.admission.undo import undo as take_back
from app.terminal import Json, opened, screen, show

commands, admission_app = typer.Typer(), typer.Typer(no_args_is_help=True)
commands.add_typer(admission_app, name="admission")
By = Annotated[str, typer.Option("--by", help="who decides; stands in the verdict as terminal:NAME")]
_POLICY = ("platform", "kind", "mode", "percent", "people", "hold", "visibility", "audits")


@admission_app.command("policy")
def policies(
    platform: str = "*", kind: str = "*", mode: Annotated[str, typer.Option(help="automatic, sample or every")] = "",
    percent: int = 100, people: int = 1, hold: Annotated[list[str] | None, typer.Option()] = None,
    fields: Annotated[list[str] | None, typer.Option()] = None, visibility: str = "nation",
    audits: Annotated[list[str] | None, typer.Option()] = None, drop: bool = False, as_json: Json = False,
) -> None:  # fmt: skip
    """All policies; with --mode sets one, with --drop takes one back."""
    with opened()[1].write() as connection:
        if drop:
            policy.drop(connection, platform, kind)
        elif mode:
            asked, attested = tuple(fields or MATTER), tuple(audits or ("content",))
            chosen = Policy(platform, kind, mode, percent, people, tuple(hold or ()), asked, visibility, attested)
            policy.choose(connection, chosen)
        found = [row.told() for row in policy.policies(connection)]
    show([_flat(row) for row in found] if not as_json else found, _POLICY, as_json)


@admission_app.command("queue")
def waiting(
    state: str = "waiting", platform: str = "", limit: Annotated[int, typer.Option("-n", min=1, max=500)] = 50,
    claim: Annotated[bool, typer.Option(help="take them to read for a quarter of an hour")] = False,
    by: By = "", as_json: Json = False,
) -> None:  # fmt: skip
    """What is kept back, the longest-waiting first."""
    with opened()[1].write() as connection:
        if claim:
            found = queue.claim(connection, _name(by), number=limit, platform=platform)
        else:
            found = queue.waiting(connection, Sought(state, platform), limit=limit)
    rows = (
        found
        if as_json
        else [{**row, "title": row["record"]["title"], "causes": " ".join(row["causes"])} for row in found]
    )
    show(rows, ("id", "title", "causes", "people", "first_by", "claimed_by"), as_json)


@admission_app.command()
def decide(
    decision: Annotated[str, typer.Argument(help="admit, reject or withdraw")], ids: list[str],
    reason: Annotated[list[str] | None, typer.Option(help="codes of the list `reason`")] = None,
    text: str = "", visibility: str | None = None,
    audit: Annotated[list[str] | None, typer.Option(help="codes of the list `audit`")] = None,
    institution: str = "", by: By = "", as_json: Json = False,
) -> None:  # fmt: skip
    """Decide on records; exit 1 where one of them was refused."""
    settings, database = opened()
    audits = tuple(audit) if audit else None
    wanted = Decision(
        decision,
        [Item(id) for id in ids],
        _name(by),
        tuple(reason or ()),
        text,
        visibility,
        audits,
        institution,
    )
    with database.write() as connection:
        done = carry_out(connection, wanted, settings.platform_code)
    screen.print(f"batch {done['batch']}: `hutong admission undo {done['batch']}` within a minute", highlight=False)
    _ended(done, as_json)


@admission_app.command()
def undo(batch: str, by: By = "", as_json: Json = False) -> None:
    """Take a batch back within a minute."""
    settings, database = opened()
    with database.write() as connection:
        done = take_back(connection, batch, _name(by), settings.platform_code)
    _ended(done, as_json)


def _name(by: str) -> str:
    """A person at the machine's terminal is told from one who has signed in."""
    return f"terminal:{by or getpass.getuser()}"


def _ended(done: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(done).decode())
    else:
        show(done["items"], ("id", "result"), False)
    if any("." in item["result"] for item in done["items"]):
        sys.exit(1)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {name: " ".join(value) if isinstance(value, tuple) else value for name, value in row.items()}
