"""`hutong enrol`, `hutong notice`, `hutong choice`, `hutong grading`: who takes part, from the keyboard."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from pydantic import ValidationError

from app.deployment import engine
from app.harvest import leaving
from app.harvest.readiness import report
from app.platforms import (
    applications,
    choices,
    credentials,
    documents,
    duties,
    gradings,
    lines,
    moves,
    notices,
    proof,
    queries,
)
from app.platforms.schemas import Application, Submission
from app.protocol.errors import BadRequest
from app.terminal import Json, document, opened, show

commands = typer.Typer()
enrol_app, notice_app, choice_app, grading_app = typer.Typer(), typer.Typer(), typer.Typer(), typer.Typer()
for word, part in (("enrol", enrol_app), ("notice", notice_app), ("choice", choice_app), ("grading", grading_app)):
    commands.add_typer(part, name=word)
Reason = Annotated[str, typer.Option("--reason", help="why; it is told and kept")]
Days = Annotated[int | None, typer.Option("--days", help="announced so many days ahead")]
_LIST = ("id", "code", "stage", "kind", "region", "name", "organisation")


def _told(found: Any) -> None:
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2, default=str).decode())


@enrol_app.command("apply")
def enrol_apply(application: Annotated[str, typer.Argument(help="JSON or @FILE (docs/enrolment.md)")]) -> None:
    """Register an applicant; prints its identifier, its key (once) and what proves its domain."""
    settings, database = opened()
    asked = _application(application)
    with database.write() as connection:
        _told(applications.apply(connection, asked, settings)._asdict())


def _application(text: str) -> Application:
    try:
        return Application.model_validate(document(text))
    except ValidationError as error:
        wrong = "; ".join(f"{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadRequest(f"the application is wrong: {wrong}") from None


@enrol_app.command("amend")
def enrol_amend(reference: str, application: Annotated[str, typer.Argument(help="JSON or @FILE")]) -> None:
    """Put a draft right before it is submitted."""
    settings, database = opened()
    asked = _application(application)
    with database.write() as connection:
        applications.amend(connection, reference, asked, settings)


@enrol_app.command("list")
def enrol_list(stage: str = "", as_json: Json = False) -> None:
    """Enrolments; `--stage review` is the reviewers' queue."""
    _, database = opened()
    with database.read() as connection:
        show(queries.enrolments(connection, stage, limit=10_000), _LIST, as_json)


@enrol_app.command("show")
def enrol_show(reference: str) -> None:
    """One enrolment with its documents and its history."""
    _, database = opened()
    with database.read() as connection:
        _told(queries.shown(connection, reference))


@enrol_app.command("prove")
def enrol_prove(reference: str, by: Annotated[str, typer.Option(help="file or dns")] = "file") -> None:
    """Look for the challenge at the applicant's domain."""
    if by not in ("file", "dns"):
        raise BadRequest("a domain is proved by file or dns")
    settings, database = opened()
    with closing(engine(settings, database).fetcher) as fetcher:
        _told(proof.prove(database, reference, by, fetcher, proof.resolver(settings.dns_servers)))


@enrol_app.command("attach")
def enrol_attach(reference: str, file: Path, kind: str = "other") -> None:
    """Keep a document with an enrolment."""
    if not file.is_file():
        raise BadRequest(f"there is no file {str(file)!r}")
    settings, database = opened()
    with database.write() as connection:
        _told(documents.keep(connection, settings.documents, reference, kind, file.name, file.read_bytes()))


@enrol_app.command("submit")
def enrol_submit(reference: str, note: str = "", application: str | None = None) -> None:
    """Hand in for review or for the conformance run, for the first time or again."""
    settings, database = opened()
    asked = Submission(note=note, application=_application(application) if application else None)
    with database.write() as connection:
        print(applications.submit(connection, reference, asked, settings))


@enrol_app.command("credential")
def enrol_credential(reference: str) -> None:
    """A key for the stage: test, sandbox or main; shown once."""
    _, database = opened()
    with database.write() as connection:
        _told(credentials.credential(connection, reference))


@enrol_app.command("withdraw")
def enrol_withdraw(reference: str, reason: Reason = "") -> None:
    """End an application that has not been admitted."""
    _, database = opened()
    with database.write() as connection:
        print(applications.withdraw(connection, reference, reason))


@enrol_app.command("approve")
def enrol_approve(reference: str, reason: Reason = "", rests_on: Annotated[list[str] | None, typer.Option()] = None, waive: Annotated[bool, typer.Option(help="end a trial that is not over; needs a reason")] = False) -> None:  # fmt: skip
    """One stage on; a step that takes two people is carried out by the second."""
    settings, database = opened()
    with database.write() as connection:
        print(moves.approve(connection, reference, settings, report, reason, rests_on or [], waive))


@enrol_app.command("refuse")
def enrol_refuse(reference: str, reason: Reason = "") -> None:
    """Back to the applicant, with a reason."""
    _, database = opened()
    with database.write() as connection:
        print(moves.refuse(connection, reference, reason))


@enrol_app.command("suspend")
def enrol_suspend(reference: str, reason: Reason = "", days: Days = None) -> None:
    """Stop a platform at once, or announce it."""
    _, database = opened()
    with database.write() as connection:
        print(moves.suspend(connection, reference, reason, days))


@enrol_app.command("resume")
def enrol_resume(reference: str, reason: Reason = "") -> None:
    """Let a suspended platform go on where it stood."""
    _, database = opened()
    with database.write() as connection:
        print(moves.resume(connection, reference, reason))


@enrol_app.command("retire")
def enrol_retire(reference: str, reason: Reason = "", days: Days = None) -> None:
    """End a membership; announced, with at least the grace period. At its end the records of its feeds go."""
    settings, database = opened()
    with database.write() as connection:
        print(moves.retire(connection, reference, settings, reason, days))
        code = queries.enrolment_of(connection, reference).code
        print(f"{leaving.would_go(connection, code) if code else 0} live records go with it", file=sys.stderr)


@enrol_app.command("keep")
def enrol_keep(reference: str, reason: Reason = "") -> None:
    """Take an announced suspension or retirement back."""
    _, database = opened()
    with database.write() as connection:
        print(moves.keep(connection, reference, reason))


@enrol_app.command("due")
def enrol_due() -> None:
    """Do now what the hub does every hour: announced moves, warnings, forgotten applications."""
    settings, database = opened()
    with database.write() as connection:
        _told(duties.carry_out(connection, settings))


@enrol_app.command("line")
def enrol_line(code: str, parent: str | None = None, reason: Reason = "") -> None:
    """Whom a platform reports to; with --parent by agreement, `--parent none` by region code again."""
    settings, database = opened()
    with database.write() as connection:
        if parent is not None:
            lines.agree(connection, code, None if parent == "none" else parent, reason)
        _told(lines.line(connection, code, settings.platform_code))


@notice_app.command("send")
def notice_send(
    title: str, body: str, platform: Annotated[list[str] | None, typer.Option()] = None, region: str | None = None,
    days: Days = None,
) -> None:  # fmt: skip
    """A notice to platforms by code, or to all harvested ones of a region."""
    _, database = opened()
    with database.write() as connection:
        codes = platform or []
        _told(notices.send_to(connection, title=title, body=body, platforms=codes, region=region, days=days))


@notice_app.command("list")
def notice_list(as_json: Json = False) -> None:
    """Notices with how many have acknowledged and how many are late."""
    _, database = opened()
    with database.read() as connection:
        show(notices.notices(connection), ("id", "title", "platforms", "acknowledged", "late"), as_json)


@notice_app.command("show")
def notice_show(number: int) -> None:
    """One notice and its addressees."""
    _, database = opened()
    with database.read() as connection:
        _told(notices.by_id(connection, number))


@choice_app.command("make")
def choice_make(
    platform: str, region: str, no: Annotated[bool, typer.Option("--no", help="not here, nor below")] = False,
    only: Annotated[str, typer.Option(help='JSON: {"stage": ["2"]}')] = "{}", reason: Reason = "",
) -> None:  # fmt: skip
    """A region chooses a vendor, narrows what it inherits, or says no."""
    _, database = opened()
    with database.write() as connection:
        _told(choices.choose(connection, platform, region, not no, document(only), reason))


@choice_app.command("list")
def choice_list(region: str, as_json: Json = False) -> None:
    """The vendors that hold in a region."""
    _, database = opened()
    with database.read() as connection:
        show(choices.chosen(connection, region), ("platform", "by", "only"), as_json)


@grading_app.command("file")
def grading_file(code: str, level: int, filing: str, expires_on: str) -> None:
    """Record a platform's 等级保护."""
    if not 1 <= level <= 5:
        raise BadRequest("等级保护 has the levels 1 to 5")
    _, database = opened()
    with database.write() as connection:
        print(gradings.file(connection, code, level, filing, expires_on))


@grading_app.command("list")
def grading_list(as_json: Json = False) -> None:
    """The gradings in force, those that end first at the beginning."""
    _, database = opened()
    with database.read() as connection:
        show(gradings.gradings(connection), ("platform", "level", "filing", "days_left", "expired"), as_json)
