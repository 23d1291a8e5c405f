"""Commands of the catalogue: search, record."""

from typing import Annotated, Any

import orjson
import typer

from app.catalogue import queries, search
from app.harvest import explain
from app.protocol.errors import NotFound
from app.protocol.record import restore
from app.terminal import Json, opened, show

commands = typer.Typer()


@commands.command("search")
def search_words(
    words: Annotated[str, typer.Argument(help="all of them; may be empty when a filter is given")] = "",
    subject: str = "", stage: str = "", grade: str = "", type: str = "", edition: str = "", language: str = "",
    platform: str = "", limit: Annotated[int, typer.Option("-n", min=1, max=500)] = 20, as_json: Json = False,
) -> None:  # fmt: skip
    """Find records by words and by codes of our lists (`hutong search 分数 --subject 14 --stage 2`)."""
    asked = {
        "subject": subject, "stage": stage, "grade": grade, "type": type, "edition": edition, "language": language,
        "platform": platform,
    }  # fmt: skip
    _, database = opened()
    terms = [f"{name}={code}" for name, code in asked.items() if code]
    with database.read() as connection:
        rows = queries.by_pks(connection, search.find(connection, words=words, terms=terms, before=None, limit=limit))
    show([restore(bytes(row.document)) for row in rows], ("id", "title", "subject", "stage"), as_json)


@commands.command("record")
def record_show(
    id: str, explained: Annotated[bool, typer.Option("--explain", help="where each field came from")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """One record as stored, or where each of its fields came from."""
    _, database = opened()
    with database.read() as connection:
        if explained:
            found = explain.explain(connection, id)
            print(orjson.dumps(found).decode()) if as_json else _origin(found)
            return
        row = queries.by_id(connection, id)
    if row is None:
        raise NotFound(f"there is no record {id}")
    print(orjson.dumps(restore(bytes(row.document)), option=orjson.OPT_INDENT_2).decode())


def _origin(found: dict[str, Any]) -> None:
    rows = [
        {"field": item["field"], "value": str(item["value"])[:60], "how": item["how"],
         "from": "\n".join(f"{place['path']} = {place['value'][:60]}" for place in item["from"])}
        for item in found["fields"]
    ]  # fmt: skip
    show(rows, ("field", "value", "from", "how"), False)
