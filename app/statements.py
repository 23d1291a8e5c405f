"""Statements that mean the same on SQLite and PostgreSQL: many rows in, one bound value for many values."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, String, any_, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite


def plain(row: Any) -> dict[str, Any]:
    """A row as a dictionary with plain texts for keys: a column's own name is a subclass that JSON refuses."""
    return dict(zip(map(str, row._fields), row, strict=True))


def upsert(connection: Connection, table: Any, keys: Sequence[str], columns: Sequence[str]) -> Any:
    """`INSERT ... ON CONFLICT (keys) DO UPDATE` of the columns, for executemany with a list of rows."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in columns}
    )


def accumulate(connection: Connection, table: Any, keys: Sequence[str], columns: Sequence[str]) -> Any:
    """`INSERT ... ON CONFLICT (keys) DO UPDATE` that adds to the columns, for executemany with a list of rows.

    In the order of the keys: PostgreSQL locks rows as it meets them, and two writers must not wait for each other.
    """
    return _accumulate(connection.dialect.name, table, tuple(keys), tuple(columns))


@lru_cache(maxsize=64)
def _accumulate(dialect: str, table: Any, keys: tuple[str, ...], columns: tuple[str, ...]) -> Any:
    insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement = insert(table)
    added = {name: table.c[name] + statement.excluded[name] for name in columns}
    return statement.on_conflict_do_update(index_elements=keys, set_=added)


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
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(columns))
        connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks}){tail}", rows)
        return
    driver: Any = connection.connection
    with driver.cursor() as cursor:
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
