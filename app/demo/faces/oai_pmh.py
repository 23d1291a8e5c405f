"""OAI-PMH 2.0 with persistent deletions, 200 records a page; the platform's `form` is its metadata prefix."""

from collections.abc import Callable, Iterator
from typing import Any

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces import metadata
from app.demo.faces.answers import DATE, Answer, Face, as_xml, identifier, query, spoiled
from app.protocol import oaipmh
from app.protocol.formats import render_lom
from app.protocol.xml import escape

NAME = "OAI-PMH 资源目录"
MAPPING: dict[str, Any] | None = None
URL, PAGE = "http://127.0.0.1/oai", 200
FORMS: dict[str, Callable[[dict[str, Any]], str]] = {
    "oai_dc": metadata.dublin_core, "lom": render_lom, "mods": metadata.mods, "marcxml": metadata.cnmarc,
}  # fmt: skip


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The repository and the prefix that it is asked for."""
    return {"base_url": f"{base}/oai", "prefix": platform.form or "oai_dc"}


def face(platform: DemoPlatform) -> Face:
    """Identify, and ListRecords in pages; nothing has changed after the one day of the catalogue."""
    pages = list(_pages(platform))

    def answer(path: str) -> Answer:
        asked = query(path)
        if asked.get("verb") == "Identify":
            body = f"<Identify>{oaipmh.identify(_identity(platform), 'ops@demo.example')}</Identify>"
        elif "from" in asked and asked["from"] > DATE:
            body = oaipmh.error("noRecordsMatch", "nothing has changed")
        else:
            body = pages[int(asked.get("resumptionToken", "0"))]
        return as_xml(oaipmh.envelope(DATE, URL, {}, body))

    return answer


def _identity(platform: DemoPlatform) -> oaipmh.Identity:
    return oaipmh.Identity("YYYY-MM-DDThh:mm:ssZ", "persistent", platform.name, URL, DATE)


def _pages(platform: DemoPlatform) -> Iterator[str]:
    made = [_record(platform, number, record) for number, record in enumerate(records(platform))]
    for start in range(0, max(len(made), 1), PAGE):
        more = start + PAGE < len(made)
        token = oaipmh.resumption(str(start // PAGE + 1) if more else "", cursor=start, total=len(made))
        yield f"<ListRecords>{''.join(made[start : start + PAGE])}{token}</ListRecords>"


def _record(platform: DemoPlatform, number: int, record: dict[str, Any]) -> str:
    name = f"oai:{identifier(platform, record)}"
    shown = FORMS[platform.form or "oai_dc"]({**record, "id": name})
    if spoiled(platform, number):
        shown = shown.replace(escape(record["title"]), "")
    return oaipmh.record(oaipmh.header(name, DATE, [], deleted=False), shown)
