"""The three protocols as a platform speaks them: pages made once, then served as bytes."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import orjson

from app.demo.catalogue import DemoPlatform, records
from app.protocol import vocab
from app.protocol.canonical import canonical, content_hash

Answer = tuple[int, dict[str, str], bytes]
Face = Callable[[str], Answer]
DATE = "2026-11-01T08:00:00Z"
OAI_PAGE, PART = 200, 1000
MAPPING: dict[str, Any] = {
    "version": 1,
    "fields": {
        "title": {"path": "title"}, "description": {"path": "description"}, "languages": {"path": "language", "list": True},
        "subject": {"path": "tag_list[tag_dimension_id=zxxxk].tag_name", "first": True},
        "stage": {"path": "tag_list[tag_dimension_id=zxxxd].tag_name", "first": True},
        "grade": {"path": "tag_list[tag_dimension_id=zxxnj].tag_name", "list": True},
        "edition": {"path": "tag_list[tag_dimension_id=zxxbb].tag_name", "first": True},
        "volume": {"path": "tag_list[tag_dimension_id=zxxcc].tag_name", "first": True},
        "type": {"path": "resource_type_code", "list": True},
        "contributors": {"path": "provider_list[].name", "each": {"role": "creator"}},
        "audience": {"constant": ["学生"]}, "rights": {"constant": {"statement": "免费开放"}},
        "location": {"path": "custom_properties.preview", "list": True},
    },
    "terms": {"stage": {"初中": "3", "高中": "4"}},
    "defaults": {},
}  # fmt: skip


def face(platform: DemoPlatform) -> Face:
    """A function from path and query to an answer."""
    return {"oai-pmh": oai, "ix": ix, "static-parts": parts}[platform.kind](platform)


def _spoiled(platform: DemoPlatform, number: int) -> bool:
    return platform.fault == "bad records" and number % 100 == 99


def oai(platform: DemoPlatform) -> Face:
    """OAI-PMH with oai_dc, persistent deletions, 200 records a page."""
    pages = list(_oai_pages(platform))

    def answer(path: str) -> Answer:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if query.get("verb") == "Identify":
            body = _oai_identify(platform)
        elif "from" in query and query["from"] > DATE:
            body = _oai("<error code='noRecordsMatch'>nothing</error>")
        else:
            body = pages[int(query.get("resumptionToken", "0"))]
        return 200, {"Content-Type": "text/xml; charset=utf-8"}, body

    return answer


def _oai(body: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
        f"<responseDate>{DATE}</responseDate><request>http://127.0.0.1/oai</request>{body}</OAI-PMH>"
    ).encode()


def _oai_identify(platform: DemoPlatform) -> bytes:
    return _oai(
        f"<Identify><repositoryName>{escape(platform.name)}</repositoryName><baseURL>http://127.0.0.1/oai</baseURL>"
        "<protocolVersion>2.0</protocolVersion><adminEmail>ops@demo.example</adminEmail>"
        f"<earliestDatestamp>{DATE}</earliestDatestamp><deletedRecord>persistent</deletedRecord>"
        "<granularity>YYYY-MM-DDThh:mm:ssZ</granularity></Identify>"
    )


def _oai_pages(platform: DemoPlatform) -> Iterator[bytes]:
    made = [_oai_record(platform, number, record) for number, record in enumerate(records(platform))]
    for start in range(0, len(made), OAI_PAGE):
        more = start + OAI_PAGE < len(made)
        token = (
            f'<resumptionToken completeListSize="{len(made)}">{start // OAI_PAGE + 1 if more else ""}</resumptionToken>'
        )
        yield _oai(f"<ListRecords>{''.join(made[start : start + OAI_PAGE])}{token}</ListRecords>")


def _oai_record(platform: DemoPlatform, number: int, record: dict[str, Any]) -> str:
    def dc(name: str, *values: str) -> str:
        return "".join(f"<dc:{name}>{escape(value)}</dc:{name}>" for value in values)

    titles = () if _spoiled(platform, number) else (record["title"], *record.get("alt_titles", ()))
    body = (
        dc("title", *titles) + dc("subject", vocab.label("subject", record["subject"]), *record["keywords"])
        + dc("description", record["description"]) + dc("language", *record["languages"]) + dc("type", *record["type"])
        + dc("creator", record["contributors"][0]["name"]) + dc("publisher", platform.name) + dc("audience", *record["audience"])
        + dc("identifier", *record["location"]) + dc("date", record["published"]) + dc("rights", record["rights"]["statement"])
    )  # fmt: skip
    return (
        f"<record><header><identifier>oai:{platform.code.lower()}.example:{record['local']}</identifier>"
        f"<datestamp>{DATE}</datestamp></header><metadata><oai_dc:dc "
        'xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"{body}</oai_dc:dc></metadata></record>"
    )


def ix(platform: DemoPlatform) -> Face:
    """IX/1 changes; cursors are plain numbers here, opaque to the reader."""
    items = [_ix_item(platform, number, record) for number, record in enumerate(records(platform))]

    def answer(path: str) -> Answer:
        query = parse_qs(urlsplit(path).query)
        at, limit = int(query.get("cursor", ["0"])[0]), int(query.get("limit", ["500"])[0])
        shown, last = items[at : at + limit], min(at + limit, len(items))
        tail = b'],"next":"%d","more":%s,"state":{"seq":%d}}' % (
            last,
            b"true" if last < len(items) else b"false",
            len(items),
        )
        return 200, {"Content-Type": "application/json"}, b'{"epoch":"demo","items":[' + b",".join(shown) + tail

    return answer


def _ix_item(platform: DemoPlatform, number: int, record: dict[str, Any]) -> bytes:
    content = {**record, "id": f"ix:{platform.code}:{record['local']}"}
    del content["local"]
    if _spoiled(platform, number):
        content["title"] = content["title"] + "\x03"
    head = {
        "id": content["id"], "op": "put", "version": 1, "hash": content_hash(canonical(content)), "seq": number + 1,
        "modified": DATE, "origin": platform.code, "path": [], "sig": None, "record": content,
    }  # fmt: skip
    return orjson.dumps(head)


def parts(platform: DemoPlatform) -> Face:
    """A manifest and JSON arrays; `urls` is one comma-joined string on every other platform."""
    made = [_part_record(platform, number, record) for number, record in enumerate(records(platform))]
    chunks = [orjson.dumps(made[start : start + PART]) for start in range(0, len(made), PART)]
    reads = {"manifest": 0}

    def answer(path: str) -> Answer:
        if path.startswith("/data_version.json"):
            reads["manifest"] += 1
            empty = platform.fault == "vanishes" and reads["manifest"] > 1
            urls: Any = [] if empty else [f"/part_{n}.json" for n in range(len(chunks))]
            if not empty and int(platform.code[2:4]) % 2:
                urls = ",".join(urls)
            body = orjson.dumps({"module": "national_lesson", "module_version": 1 + empty, "urls": urls})
        elif path.startswith("/part_"):
            body = chunks[int(path.removeprefix("/part_").removesuffix(".json"))]
        else:
            return 404, {"Content-Type": "text/html"}, b"<html>not found</html>"
        return 200, {"Content-Type": "application/json"}, body

    return answer


def _part_record(platform: DemoPlatform, number: int, record: dict[str, Any]) -> dict[str, Any]:
    tags = (("zxxxd", "stage"), ("zxxxk", "subject"), ("zxxbb", "edition"), ("zxxcc", "volume"))
    made = {
        "id": f"{platform.code}-{record['local']}", "title": record["title"], "description": record["description"],
        "language": record["languages"][0], "resource_type_code": record["type"][0],
        "update_time": "2026-11-01T16:00:00.742+0800", "provider_list": [{"name": record["contributors"][0]["name"]}],
        "tag_list": [
            {"tag_dimension_id": tag, "tag_id": record[name], "tag_name": vocab.label(name, record[name]), "order_num": n}
            for n, (tag, name) in enumerate(tags)
        ] + [{"tag_dimension_id": "zxxnj", "tag_id": record["grade"][0], "tag_name": vocab.label("grade", record["grade"][0]), "order_num": 9}],
        "custom_properties": {"preview": record["location"][0], "thumbnails": [f"https://r{number % 3 + 1}-img.example/{number}.jpg"]},
    }  # fmt: skip
    if _spoiled(platform, number):
        made["title"] = None
    return made
