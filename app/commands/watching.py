"""Commands of monitoring: status, doctor, alerts, objectives."""

import sys
from contextlib import closing
from typing import Annotated

import orjson
import typer

from app.access.keyring import keyring
from app.clock import iso
from app.deployment import courier
from app.monitor import alert_routes, alerts, incidents, objectives, status
from app.monitor.courier import MailServer
from app.protocol.errors import BadRequest
from app.terminal import Json, opened, show, told

commands, alerts_app, route_app = typer.Typer(), typer.Typer(), typer.Typer()
commands.add_typer(alerts_app, name="alerts")
alerts_app.add_typer(route_app, name="route", help="who is told")


@commands.command("status")
def status_list(as_json: Json = False) -> None:
    """Every feed in one word, the worst first."""
    _, database = opened()
    with database.read() as connection:
        show(status.feeds_status(connection), ("feed", "platform", "name", "state", "records", "lag_s"), as_json)


@commands.command("doctor")
def examine(as_json: Json = False) -> None:
    """Why each feed waits, and what is wrong with the hub itself; exit 1 when something is."""
    from app.monitor import doctor  # it asks Alembic for the schema's age, and the others do not

    settings, database = opened()
    with closing(database):
        found = doctor.examine(database, settings)
    if as_json:
        print(orjson.dumps(found).decode())
    else:
        rows = [{**check, "good": "ok" if check["good"] else "WRONG"} for check in found["checks"]]
        show(
            [{**row, "remedy": "" if row["good"] == "ok" else row["remedy"]} for row in rows],
            doctor.Check._fields,
            False,
        )
        waits = [{**wait, "until": iso(wait["until"]) if wait["until"] else ""} for wait in found["feeds"]]
        show(waits, doctor.Wait._fields, False)
    if not found["good"]:
        sys.exit(1)


@commands.command()
def objective(
    feed: str,
    within: Annotated[int | None, typer.Option(help="seconds in which a change is to be visible")] = None,
    share: Annotated[float, typer.Option(help="percent of the changes", min=50, max=99.9)] = 95,
    default: Annotated[bool, typer.Option("--default", help="back to 95 % within two periods")] = False,
    as_json: Json = False,
) -> None:
    """A feed's freshness of 30 days; with --within, sets what was agreed with its platform."""
    _, database = opened()
    with closing(database), database.write() if within or default else database.read() as connection:
        if within:
            found = objectives.agree(connection, feed, within, round(share * 10))
        else:
            found = objectives.default(connection, feed) if default else objectives.of_feed(connection, feed)
    told(found.plain(), as_json)


@alerts_app.command("list")
def incident_list(state: str = "open", as_json: Json = False) -> None:
    """Incidents: open, resolved or all; one for each cause."""
    if state not in ("open", "resolved", "all"):
        raise BadRequest(f"--state {state!r}: open, resolved or all")
    _, database = opened()
    with closing(database), database.read() as connection:
        found = incidents.incidents(connection, state)
    columns = ("id", "state", "severity", "rule", "blame", "feed_count", "detail")
    show(found, columns, as_json)


@alerts_app.command("ack")
def incident_ack(incident: int, by: Annotated[str, typer.Option()], note: str = "", as_json: Json = False) -> None:
    """Say who has an incident in hand."""
    _, database = opened()
    with closing(database), database.write() as connection:
        found = incidents.acknowledge(connection, incident, by, note)
    told(found, as_json)


@route_app.command("add")
def route_add(
    name: str,
    kind: Annotated[str, typer.Option(help="mail, webhook, dingtalk or wecom")],
    to: Annotated[list[str] | None, typer.Option(help="a recipient of mail; may be repeated")] = None,
    url: Annotated[str, typer.Option(help="address; - reads it from standard input")] = "",
    key: Annotated[str, typer.Option(help="key of a webhook or a DingTalk bot; - reads it from standard input")] = "",
    rule: Annotated[list[str] | None, typer.Option(help="only these rules; may be repeated")] = None,
    quiet: Annotated[str, typer.Option(help="22:00-07:00, UTC+8")] = "",
    as_json: Json = False,
) -> None:
    """A new route. The key of a webhook is shown once."""
    url, key = (sys.stdin.readline().strip() if value == "-" else value for value in (url, key))
    settings, database = opened()
    if kind == "mail" and MailServer.parse(settings.smtp_url) is None:
        raise BadRequest("no mail server is set: HUTONG_SMTP_URL (docs/monitoring.md)")
    with closing(database), database.write() as connection:
        found = alert_routes.add(
            connection, keyring(settings), name=name, kind=kind, to=to or [], url=url, key=key, rules=rule or [],
            quiet=quiet,
        )  # fmt: skip
    told(found, as_json)


@route_app.command("list")
def route_list(as_json: Json = False) -> None:
    """Who is told, without secrets."""
    _, database = opened()
    with closing(database), database.read() as connection:
        found = alert_routes.routes(connection)
    show(found, ("id", "name", "kind", "target", "rules", "quiet", "state", "pending", "failed", "error"), as_json)


@route_app.command("remove")
def route_remove(route: int) -> None:
    """Forget a route and its secret."""
    _, database = opened()
    with closing(database), database.write() as connection:
        alert_routes.remove(connection, route)


def _tested(route: int, as_json: Json = False) -> None:
    """Send a message that says it is a test."""
    settings, database = opened()
    made = courier(settings)
    with closing(database), closing(made.fetcher):
        told(alerts.test(database, made, route), as_json)


alerts_app.command("test")(_tested)
route_app.command("test")(_tested)
