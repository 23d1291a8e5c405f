"""`hutong key`, `hutong user`, `hutong audit`, `hutong roles`."""

import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.access import audit, certificates, clerk, keys, links, people
from app.access import secrets as vault
from app.access.keyring import keyring
from app.access.scopes import GRANTS, Scope
from app.clock import iso
from app.platforms import service as platforms
from app.protocol.errors import BadRequest
from app.terminal import Json, opened, screen, show

commands = typer.Typer()
key_app, user_app, audit_app, certificate_app = typer.Typer(), typer.Typer(), typer.Typer(), typer.Typer()
commands.add_typer(key_app, name="key")
commands.add_typer(user_app, name="user")
commands.add_typer(audit_app, name="audit")
commands.add_typer(certificate_app, name="certificate")
_DAY_S = 86_400


@key_app.command("issue")
def key_issue(
    code: str, scope: Annotated[list[str] | None, typer.Option()] = None, label: str = "main", days: int | None = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """A key for a platform; shown once."""
    _, database = opened()
    with database.write() as connection:
        platforms.by_code(connection, code)
        made = keys.issue(connection, code, label=label, scopes=" ".join(scope or []), days=days)
    show([made._asdict()], ("prefix", "key"), True) if as_json else print(made.key)


@key_app.command("rotate")
def key_rotate(prefix: str, overlap_days: Annotated[int, typer.Option(min=0, max=30)] = 7) -> None:
    """A second key; the first ends after the overlap (30 days at most)."""
    _, database = opened()
    with database.write() as connection:
        print(keys.rotate(connection, prefix, overlap_days * _DAY_S).key)


@key_app.command("revoke")
def key_revoke(prefix: str, reason: str = "") -> None:
    """End a key and its tokens, within a second on every process."""
    _, database = opened()
    with database.write() as connection:
        keys.revoke(connection, prefix, reason)


@key_app.command("list")
def key_list(code: str | None = None, as_json: Json = False) -> None:
    """All keys, or a platform's, with last use and days left."""
    _, database = opened()
    with database.read() as connection:
        found = keys.keys(connection, code)
    show(found, ("prefix", "platform", "label", "state", "days_left", "used_at", "scopes"), as_json)


@certificate_app.command("add")
def certificate_add(code: str, given: Annotated[str, typer.Argument(metavar="FILE|SHA256")], label: str = "") -> None:
    """Bind a client certificate (PEM): the platform's keys count only together with one of its own."""
    _, database = opened()
    with database.write() as connection:
        platforms.by_code(connection, code)
        text = Path(given).read_text() if Path(given).is_file() else given
        print(certificates.register(connection, code, text, label)["sha256"])


@certificate_app.command("remove")
def certificate_remove(code: str, sha256: str, reason: str = "") -> None:
    """Take a certificate back; without any the keys count alone again."""
    _, database = opened()
    with database.write() as connection:
        certificates.drop(connection, code, sha256, reason)


@certificate_app.command("list")
def certificate_list(code: str = "", as_json: Json = False) -> None:
    """All bound certificates, or a platform's."""
    _, database = opened()
    with database.read() as connection:
        found = certificates.certificates(connection, code)
    show(found, ("platform", "sha256", "subject", "label", "by"), as_json)


@key_app.command("reseal")
def key_reseal() -> None:
    """After a change of HUTONG_SECRET_KEY: seal with today's key what an earlier one sealed."""
    settings, database = opened()
    with database.write() as connection:
        print(vault.reseal(connection, keyring(settings)))


@user_app.command("add")
def user_add(
    name: str, role: Annotated[list[str], typer.Option()], platform: Annotated[list[str] | None, typer.Option()] = None,
    region: Annotated[list[str] | None, typer.Option()] = None,
    password_stdin: Annotated[bool, typer.Option(help="read the first password from standard input")] = False,
) -> None:  # fmt: skip
    """Add a person; prints a first password, which has to be changed at the first sign-in."""
    _, database = opened()
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(15)
    with database.write() as connection:
        people.add(connection, name, password, role, platforms=platform or [], regions=region or [])
    if not password_stdin:
        print(f"first password (shown once): {password}")


@user_app.command("list")
def user_list(as_json: Json = False) -> None:
    """All people."""
    _, database = opened()
    with database.read() as connection:
        show(people.people(connection), ("name", "roles", "platforms", "regions", "state", "second_factor"), as_json)


@user_app.command("role")
def user_role(
    name: str, role: Annotated[list[str], typer.Option()], platform: Annotated[list[str] | None, typer.Option()] = None,
    region: Annotated[list[str] | None, typer.Option()] = None,
) -> None:  # fmt: skip
    """Give a person these roles (and platforms, regions) instead of the former."""
    _, database = opened()
    with database.write() as connection:
        people.move(connection, name, role, platform or [], region or [])


@user_app.command("disable")
def user_disable(name: str) -> None:
    """End a person's sessions and let nobody in by this name."""
    _turn(name, "disabled")


@user_app.command("enable")
def user_enable(name: str) -> None:
    """Let a person in again; also lifts a lock after failed sign-ins."""
    _turn(name, "active")


@user_app.command("link")
def user_link(name: str, subject: Annotated[str, typer.Option(help="`sub` of the person at the provider")]) -> None:
    """Let a person sign in as this subject of the identity provider (HUTONG_OIDC_ISSUER)."""
    settings, database = opened()
    with database.write() as connection:
        links.link(connection, name, settings.oidc_issuer, subject)


@user_app.command("unlink")
def user_unlink(name: str) -> None:
    """Take a person's links to identity providers back."""
    _, database = opened()
    with database.write() as connection:
        links.unlink(connection, name)


def _turn(name: str, state: str) -> None:
    _, database = opened()
    with database.write() as connection:
        people.turn(connection, name, state)


@audit_app.command("verify")
def audit_verify(
    heads: Annotated[Path | None, typer.Option(help="exported heads; else those in DATA_DIR")] = None,
) -> None:
    """Check the chain from its first row to its head; names the first broken row."""
    settings, database = opened()
    good, bad = clerk.exported(keyring(settings), heads or settings.data_dir / clerk.FILE)
    with database.read() as connection:
        broken, head = audit.verify(connection, good), audit.head(connection)
    if broken or bad:
        if bad:
            print(f"{bad} exported heads do not carry this hub's signature")
        if broken:
            print(f"broken at row {broken.seq}: {broken.why}")
        sys.exit(1)
    print(f"the chain holds: {head['seq']} rows, {len(good)} exported heads, head {head['hash'][:16]}")


@audit_app.command("list")
def audit_list(
    actor: str = "",
    object: str = "",
    act: str = "",
    since: Annotated[str, typer.Option(help="from this time on: 2026-11-28 or 2026-11-28T08:00:00Z")] = "",
    until: Annotated[str, typer.Option(help="up to this time")] = "",
    limit: Annotated[int, typer.Option("-n")] = 50,
    as_json: Json = False,
) -> None:
    """Rows, the latest first, by exact actor, object or act, and by time."""
    _, database = opened()
    if act and act not in set(audit.Act):
        raise BadRequest(f"there is no act {act!r}; there are {', '.join(audit.Act)}")
    with database.read() as connection:
        found = audit.search(
            connection,
            actor=actor,
            object=object,
            act=act,
            since=_micros(since) or 0,
            until=_micros(until),
            limit=limit,
        )
    found = [{**row, "at": iso(row["at"])} for row in found]
    show(found, ("seq", "at", "actor", "act", "object", "result", "address"), as_json)


def _micros(text: str) -> int | None:
    """UTC where no zone is said. Raises BadRequest."""
    try:
        at = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise BadRequest(f"{text!r} is no time: write 2026-11-28 or 2026-11-28T08:00:00Z") from None
    return None if at is None else int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000


@audit_app.command("export")
def audit_export() -> None:
    """Add the signed head to DATA_DIR/audit-heads.ndjson now (the hub does it every hour)."""
    settings, database = opened()
    with database.write() as connection:
        print(clerk.export(connection, keyring(settings), settings.data_dir)["hash"])
    screen.print(f"written to {settings.data_dir / clerk.FILE}")


@commands.command()
def roles(as_json: Json = False) -> None:
    """Which role has which scope."""
    rows = [{"role": role, **{scope: "yes" if scope in GRANTS[role] else "" for scope in Scope}} for role in GRANTS]
    show(rows, ("role", *Scope), as_json)
