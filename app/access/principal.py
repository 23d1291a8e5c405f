"""Who acts, and on which rows. A principal travels on the database connection, so that every room narrows its
statements and signs its audit notes without passing it along.

`within` is the one place where row scope becomes SQL. A statement on a tenant-owned table (`Table.info["tenant"]`)
that reaches the database of a narrowed principal without having passed through it is refused: a forgotten filter is
an error, never a leak. PostgreSQL is told at the beginning of each transaction as well (`wall`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Table, event, false, func, or_
from sqlalchemy.sql import Delete, Insert, Select, Update, visitors

from app.access.scopes import Scope
from app.protocol import vocab

PRINCIPALS: Final = 128  # for how many different rows a statement that was made is kept
Statement = TypeVar("Statement", Select[Any], Update, Delete)
AnyStatement = TypeVar("AnyStatement", Select[Any], Insert, Update, Delete)


@dataclass(frozen=True, slots=True)
class Rows:
    """Platform codes and region subtrees; `everything` for the hub's own people."""

    everything: bool = False
    platforms: frozenset[str] = frozenset()
    regions: frozenset[str] = frozenset()

    def cover(self, code: str, region: str) -> bool:
        """Whether a platform of this code and region is among the rows."""
        inside = any(vocab.under(region, ancestor) for ancestor in self.regions)
        return self.everything or code in self.platforms or inside

    def criterion(self, code: ColumnElement[Any], region: ColumnElement[Any]) -> ColumnElement[bool]:
        """True for the rows of these platforms and regions; for none when there are none."""
        parts = [_subtree(region, ancestor) for ancestor in sorted(self.regions)]
        if self.platforms:
            parts.append(code.in_(sorted(self.platforms)))
        return or_(*parts) if parts else false()


def _subtree(region: ColumnElement[Any], ancestor: str) -> ColumnElement[bool]:
    return or_(*(region.like(pattern) for pattern in _patterns(ancestor)))


def _patterns(ancestor: str) -> tuple[str, ...]:
    """Codes of GB/T 2260 nest by pairs of digits; 兵团 (660000) also has the cities 6590xx."""
    prefix = ancestor
    while prefix.endswith("00"):
        prefix = prefix[:-2]
    return (f"{prefix}%", "6590%") if ancestor == "660000" else (f"{prefix}%",)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. `tenant` is whose quota is used: a platform's code, a person, empty for an anonymous address.

    `certificates`: one of these must have come with the request (`certificates.demand`), where there are any.
    """

    name: str
    scopes: frozenset[Scope]
    rows: Rows
    tenant: str = ""
    address: str = ""
    request: str = ""
    session: str = ""
    certificates: frozenset[str] = frozenset()

    def has(self, scope: Scope) -> bool:
        """Whether this scope was granted."""
        return scope in self.scopes

    @property
    def said(self) -> str:
        """The name as it stands beside what somebody did: a person's own, a program's key."""
        return self.name.removeprefix("person:")

    def widened(self) -> "Principal":
        """The same one for work of the hub on a thing that was found among the rows: it is noted as theirs."""
        return replace(self, rows=Rows(everything=True))


SYSTEM = Principal("system", frozenset(Scope), Rows(everything=True))


def acting(connection: Connection) -> Principal:
    """Who acts on this connection; the hub itself where nobody was bound (worker, migrations)."""
    found: Principal = connection.get_execution_options().get("principal", SYSTEM)
    return found


def within(
    connection: Connection, statement: Statement, code: ColumnElement[Any], region: ColumnElement[Any] | None = None
) -> Statement:
    """The statement narrowed to what the acting principal may touch, by platform code and region columns.

    Without a region column the region inside the code (`L-RRRRRR-NN`) counts.
    """
    return narrow(acting(connection).rows, statement, code, region)


def narrow(
    rows: Rows, statement: Statement, code: ColumnElement[Any], region: ColumnElement[Any] | None = None
) -> Statement:
    """`within` for known rows: a statement that is asked again and again is made once for each of them (`PRINCIPALS`)."""
    if rows.everything:
        return statement
    lies_in = func.substr(code, 3, 6) if region is None else region
    return narrowed(statement.where(rows.criterion(code, lies_in)))


def narrowed(statement: Statement) -> Statement:
    """Says that this statement has been narrowed (by `within`, or through a table that was)."""
    return statement.execution_options(within=True)


def unbound(statement: AnyStatement) -> AnyStatement:
    """Says that this statement is meant over all rows, whoever asks; the comment beside it says why it may be."""
    return statement.execution_options(within=True, unbound=True)


def _bound(connection: Connection) -> Principal | None:
    """Who acts, where PostgreSQL's second wall knows of them."""
    principal = acting(connection)
    return None if principal.rows.everything or connection.dialect.name != "postgresql" else principal


_TELL = "SELECT set_config('hutong.platforms', %s, true), set_config('hutong.regions', %s, true)"


@event.listens_for(Engine, "begin")
def _tell(connection: Connection) -> None:
    if (principal := _bound(connection)) is not None:
        rows = principal.rows
        regions = sorted(pattern for region in rows.regions for pattern in _patterns(region))
        connection.exec_driver_sql(_TELL, (_array(sorted(rows.platforms)), _array(regions)))


def _array(values: Sequence[str]) -> str:
    return "{" + ",".join(f'"{value}"' for value in values) + "}"


@event.listens_for(Engine, "before_execute")
def _open(connection: Connection, _clause: Any, _multi: Any, _params: Any, options: Any) -> None:
    if options.get("unbound") and _bound(connection) is not None:
        connection.exec_driver_sql(_TELL, ("", ""))


@event.listens_for(Engine, "after_execute")
def _close(connection: Connection, _clause: Any, _multi: Any, _params: Any, options: Any, _result: Any) -> None:
    if options.get("unbound"):
        _tell(connection)


@event.listens_for(Engine, "before_execute")
def _refuse_unnarrowed(connection: Connection, clause: Any, _multi: Any, _params: Any, options: Any) -> None:
    principal = options.get("principal")
    if principal is None or principal.rows.everything or options.get("within"):
        return
    if isinstance(clause, Select | Update | Delete):
        for part in visitors.iterate(clause):
            if isinstance(part, Table) and part.info.get("tenant"):
                raise RuntimeError(f"a statement on {part.name} was not narrowed with app.access.principal.within")
