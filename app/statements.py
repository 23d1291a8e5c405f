"""Statements that mean the same on SQLite and PostgreSQL: many rows in, one bound value for many values."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, String, any_, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Executable


def plain(row: Any) -> dict[str, Any]:
    """A row as a dictionary with plain texts for keys: a column's own name is a subclass that JSON refuses."""
    return dict(zip(map(str, row._fields), row, strict=True))


@contextmanager
def driver(connection: Connection) -> Iterator[Any]:
    """The driver's own connection, within this one's transaction; its errors are told as Core tells them."""
    if not connection.in_transaction():
        connection.begin()
    own = connection.connection.driver_connection
    dialect = connection.dialect
    try:
        yield own
    except dialect.loaded_dbapi.Error as error:
        lost = dialect.is_disconnect(error, own, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            None, None, error, dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=dialect
        ) from error


class _Text(NamedTuple):
    """A statement as a driver takes it: its values in order or by name, and those that stand in the statement."""

    text: str
    names: Sequence[str]
    ordered: bool
    standing: Mapping[str, Any]

    def values(self, given: Mapping[str, Any]) -> Any:
        values = {**self.standing, **given}
        return [values[name] for name in self.names] if self.ordered else {name: values[name] for name in self.names}


class Fixed:
    """A statement that is made once and asked again and again: its text and values go to the driver as they are.

    Core looks anew at a statement each time, and at each row of its answer, which takes longer than what the some thirty
    small statements of a page do (docs/performance.md). Its values are integers, texts and bytes, its answers plain
    tuples. Whoever acts for somebody asks through Core, where tables of tenants are watched (`app/access/principal.py`).
    Raises KeyError for a value that was not given, and what Core raises.
    """

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None) -> None:
        """`columns`: those that an INSERT gives values for."""
        self._statement: Any = statement
        self._columns = columns
        self._texts: dict[str, _Text] = {}

    def all(self, connection: Connection, **values: Any) -> Sequence[Any]:
        """The rows of its answer."""
        return self._asked(connection, values)[0]

    def scalar(self, connection: Connection, **values: Any) -> Any:
        """The first value of the first row, None where there is none."""
        rows = self.all(connection, **values)
        return rows[0][0] if rows else None

    def run(self, connection: Connection, **values: Any) -> int:
        """For what answers no rows; how many an UPDATE or DELETE has found."""
        return self._asked(connection, values)[1]

    def each(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Once for each row, by the driver's executemany."""
        if _watched(connection):
            connection.execute(self._statement, rows)
            return
        text = self._text(connection)
        with driver(connection) as own:
            own.cursor().executemany(text.text, [text.values(row) for row in rows])

    def _asked(self, connection: Connection, values: Mapping[str, Any]) -> tuple[Sequence[Any], int]:
        if _watched(connection):
            result: Any = connection.execute(self._statement, values)
            return result.all() if result.returns_rows else (), result.rowcount
        text = self._text(connection)
        with driver(connection) as own:
            cursor = own.execute(text.text, text.values(values))
            return cursor.fetchall() if cursor.description else (), cursor.rowcount

    def _text(self, connection: Connection) -> _Text:
        name = connection.dialect.name
        if name not in self._texts:
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._columns)
            standing = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
            names = compiled.positiontup or list(compiled.bind_names.values())
            self._texts[name] = _Text(compiled.string, names, compiled.positional, standing)
        return self._texts[name]


def _watched(connection: Connection) -> bool:
    return "principal" in connection.get_execution_options()


def upsert(connection: Connection, table: Any, keys: Sequence[str], columns: Sequence[str]) -> Any:
    """`INSERT ... ON CONFLICT (keys) DO UPDATE` of the columns, for executemany with a list of rows."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in columns}
    )


def accumulate(
    connection: Connection, table: Any, keys: Sequence[str], columns: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """Inserts rows, or adds the columns to those of the rows that exist.

    In the order of the keys: PostgreSQL locks rows as it meets them, and two writers must not wait for each other.
    """
    if rows:
        _accumulate(connection.dialect.name, table, tuple(keys), tuple(columns)).each(connection, rows)


@lru_cache(maxsize=64)
def _accumulate(dialect: str, table: Any, keys: tuple[str, ...], columns: tuple[str, ...]) -> Fixed:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    added = {name: table.c[name] + statement.excluded[name] for name in columns}
    return Fixed(statement.on_conflict_do_update(index_elements=keys, set_=added), (*keys, *columns))


def insert_missing(connection: Connection, table: Any) -> Any:
    """`INSERT ... ON CONFLICT DO NOTHING`, for executemany with a list of rows."""
    return _insert_missing(connection.dialect.name, table)


@lru_cache(maxsize=64)
def _insert_missing(dialect: str, table: Any) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()


def load(
    connection: Connection,
    table: str,
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    keys: Sequence[str] = (),
) -> None:
    """Inserts rows (tuples in the order of `columns`); with `keys`, a row that exists takes the new values.

    The bulk door of the ingest path: the driver's own executemany on SQLite, COPY through a temporary table on
    PostgreSQL. Core's executemany costs a dictionary and a bind processor a value on top (docs/performance.md).
    """
    if not rows:
        return
    names = ", ".join(columns)
    tail = _conflict(columns, keys) if keys else ""
    with driver(connection) as own, closing(own.cursor()) as cursor:
        if connection.dialect.name == "sqlite":
            marks = ", ".join("?" * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks}){tail}", rows)
            return
        cursor.execute(f"CREATE TEMPORARY TABLE IF NOT EXISTS load_{table} (LIKE {table}) ON COMMIT DELETE ROWS")
        cursor.execute(f"DELETE FROM load_{table}")
        with cursor.copy(f"COPY load_{table} ({names}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cursor.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM load_{table}{tail}")


def _conflict(columns: Sequence[str], keys: Sequence[str]) -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
    return f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changed}"


def among(connection: Connection, column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """`column IN values` with one bound value however many there are; found through the column's index."""
    dialect = connection.dialect.name
    return _among(dialect, column, literal(many(connection, values), _type(dialect, column)))


def among_bound(dialect: str, column: Any) -> ColumnElement[bool]:
    """The same for a statement that is made once: its values are bound as `many`, by `many(connection, values)`."""
    return _among(dialect, column, bindparam("many", type_=_type(dialect, column)))


def many(connection: Connection, values: Sequence[Any]) -> Any:
    """Values as one bound value for `among_bound`."""
    return orjson.dumps(list(values)).decode() if connection.dialect.name == "sqlite" else list(values)


def _type(dialect: str, column: Any) -> Any:
    return String() if dialect == "sqlite" else postgresql.ARRAY(column.type)


def _among(dialect: str, column: Any, bound: Any) -> ColumnElement[bool]:
    if dialect == "sqlite":
        each = func.json_each(bound).table_valued("value")
        found: ColumnElement[bool] = column.in_(select(each.c.value))
        return found
    same: ColumnElement[bool] = column == any_(bound)
    return same
