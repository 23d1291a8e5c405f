"""openapi/peer.yaml is sound, and every kind of answer of our own hub is what it promises (IX/1 section 3)."""

import copy
import gzip
import json
import re
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import TypeAdapter

from app.catalogue.arrivals import Arrival, Origin
from app.catalogue.service import apply, remove
from app.db import Database
from app.protocol.canonical import canonical, content_hash
from app.protocol.canonical import element as element_of
from app.protocol.canonical import root as root_of
from app.protocol.record import Prepared, Record, prepare
from app.settings import Settings
from tests.peers.contract import DOCUMENT, check, faults
from tests.served import served

pytestmark = pytest.mark.postgres15
PAGE = 4
PLATFORM = "P-440000-01"
OPERATIONS = [(path, method, op) for path, item in DOCUMENT["paths"].items() for method, op in item.items() if method in ("get", "post")]  # fmt: skip
SCHEMAS = DOCUMENT["components"]["schemas"]
EXAMPLES = {
    "put": "Put", "gone": "Gone", "changes": "Changes", "found": "Found", "manifest": "Manifest",
    "description": "Description", "cursor_gone": "CursorGone", "problem": "Problem",
}  # fmt: skip
WHOLE = {
    "title": "勾股定理", "alt_titles": ["毕达哥拉斯定理"], "identifiers": [{"catalog": "ISBN", "entry": "978-7-107-00000-0"}],
    "languages": ["zh-Hans"], "description": "直角三角形", "keywords": ["数学"], "type": ["courseware"],
    "contributors": [{"role": "creator", "name": "张老师", "date": "2026"}], "version": "2", "subject": "14", "stage": "3",
    "grade": ["8"], "audience": ["学生"], "edition": "人教版", "volume": "1", "system": "六三", "textbook_node": "17.1",
    "curriculum_standard": "2022", "format": ["video/mp4"], "size_bytes": 9007199254740993, "location": ["https://r.example/1"],
    "tech_req": "无", "rights": {"statement": "免费", "licence_uri": "https://l.example", "restrictions": ["无"]}, "price": "0",
    "audits": [{"item": "政治", "institution": "教育厅", "date": "2026-01", "result": "通过"}],
    "relations": [{"type": "isPartOf", "target": "https://r.example/0"}], "region_scope": ["440000"], "published": "2026",
}  # fmt: skip


def _objects(schema: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below this one, with its place."""
    if isinstance(schema, dict):
        yield place, schema
        for word in ("properties",):
            for name, inner in schema.get(word, {}).items():
                yield from _objects(inner, f"{place}.{name}")
        for word in ("items", "additionalProperties", "propertyNames"):
            if isinstance(schema.get(word), dict):
                yield from _objects(schema[word], f"{place}[]")
        for inner in schema.get("oneOf", ()):
            yield from _objects(inner, place)


def test_peer_yaml_is_openapi_3_1() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_no_word_of_a_schema_is_a_slip_of_the_pen() -> None:
    known = set(
        [
            "$ref",
            "additionalProperties",
            "const",
            "contentEncoding",
            "contentMediaType",
            "default",
            "description",
            "enum",
            "format",
            "items",
            "maxItems",
            "maxLength",
            "maximum",
            "minItems",
            "minLength",
            "minProperties",
            "minimum",
            "oneOf",
            "pattern",
            "properties",
            "propertyNames",
            "required",
            "type",
            "uniqueItems",
        ]
    )
    found = [(name + place, set(s) - known) for name, schema in SCHEMAS.items() for place, s in _objects(schema)]
    assert [(place, words) for place, words in found if words] == []


def test_every_object_is_closed_but_the_names() -> None:
    found = [(name + place, s) for name, schema in SCHEMAS.items() for place, s in _objects(schema)]
    assert [p for p, s in found if s.get("type") == "object" and s.get("additionalProperties") is not False] == [
        "Description.names"
    ]


@pytest.mark.parametrize("name", DOCUMENT["components"]["examples"])
def test_examples_are_what_they_show(name: str) -> None:
    assert faults(EXAMPLES[name], DOCUMENT["components"]["examples"][name]["value"]) == []


def test_every_operation_has_a_level_and_speaks_two_languages() -> None:
    for path, _, op in OPERATIONS:
        text = f"{op['summary']} {op.get('description', '')}"
        assert op["x-ix-level"] in ("L0", "L1"), path
        assert re.search(r"[一-鿿]{2}", text), path
        assert re.search(r"[A-Za-z]{4}", text), path


def _shape(schema: dict[str, Any], root: dict[str, Any]) -> Any:
    """Names, obligations and kinds of a schema, without its words."""
    while "$ref" in schema:
        node: Any = root
        for step in schema["$ref"].split("#/")[1].split("/"):
            node = node[step]
        schema = node
    if schema["type"] == "object":
        inner = {name: _shape(value, root) for name, value in schema["properties"].items()}
        return inner, sorted(schema.get("required", ())), schema["additionalProperties"]
    if schema["type"] == "array":
        return [_shape(schema["items"], root)]
    return schema["type"], schema.get("minLength"), schema.get("maxLength")


def test_the_record_of_the_contract_is_the_record_of_the_code() -> None:
    ours = TypeAdapter(Record).json_schema()
    inner, required, closed = _shape(SCHEMAS["Record"], DOCUMENT)
    code, code_required, code_closed = _shape(ours, ours)
    assert (inner | {"id": None}, required, closed) == (code | {"id": None}, code_required, code_closed)


class Platform:
    """Our hub as a platform, filled by the catalogue's own door; every answer is judged as it comes."""

    def __init__(self, database: Database, folder: Path, url: str) -> None:
        self.database, self.folder, self.url, self.client = database, folder, url, httpx.Client()
        self.runs = 0

    def put(self, count: int, **fields: Any) -> list[str]:
        """Records 0..count-1 with these fields; their identifiers."""
        ids = [f"ix:{PLATFORM}:t/{n}" for n in range(count)]
        made = [prepare({"title": f"第{n}课", **fields}, id) for n, id in enumerate(ids)]
        arrivals = [Arrival(record, b"x" * 16) for record in made if isinstance(record, Prepared)]
        assert len(arrivals) == count
        self.runs += 1
        with self.database.write() as connection:
            apply(connection, arrivals, Origin(1, self.runs, "440000"))
        return ids

    def delete(self, id: str) -> None:
        """Makes a tombstone."""
        with self.database.write() as connection:
            assert remove(connection, [id], 1) == 1

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """Judged content of a GET."""
        answer = self.client.get(f"{self.url}{path}", params=query or None)
        assert answer.status_code == status, answer.text
        return check(answer)

    def lookup(self, ids: list[str], status: int = 200) -> Any:
        """Judged content of a lookup."""
        answer = self.client.post(f"{self.url}/ix/v1/records:lookup", json={"ids": ids})
        assert answer.status_code == status, answer.text
        return check(answer)

    def pages(self, scope: str = "all", cursor: str = "", fields: str = "full") -> list[Any]:
        """All pages of changes after a cursor."""
        found = [self.get(f"/ix/v1/{scope}/changes", cursor=cursor, limit=PAGE, fields=fields)]
        while found[-1]["more"]:
            cursor = found[-1]["next"]
            found.append(self.get(f"/ix/v1/{scope}/changes", cursor=cursor, limit=PAGE, fields=fields))
        return found

    def snapshot(self, scope: str = "all") -> tuple[Any, list[Any]]:
        """A manifest and the items of its parts, each judged."""
        address = f"{self.url}/ix/v1/{scope}/snapshots/latest"
        manifest, items = check(self.client.get(address)), []
        for part in manifest["parts"]:
            content = check(self.client.get(urljoin(address, part["href"])))
            assert (len(content), sha256(content).hexdigest()) == (part["bytes"], part["sha256"])
            lines = [json.loads(line) for line in gzip.decompress(content).splitlines()]
            assert len(lines) == part["records"]
            items += lines
        assert [fault for line in items for fault in faults("Put", line)] == []
        return manifest, items


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Iterator[Platform]:
    """The hub on each database, empty."""
    address = database.url.render_as_string(hide_password=False)
    with served(Settings(database_url=address, data_dir=tmp_path, secret_key="k" * 32)) as url:
        made = Platform(database, tmp_path, url)
        with made.client:
            yield made


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE])
def test_a_whole_read_is_by_the_contract_at_every_size(platform: Platform, count: int) -> None:
    ids = platform.put(count)
    pages, heads = platform.pages(), platform.pages(fields="head")
    assert [len(page["items"]) for page in pages] == [len(page["items"]) for page in heads]
    assert len(pages) == max(1, -(-count // PAGE)), "no empty page after an exact multiple"
    items = [item for page in pages for item in page["items"]]
    assert sorted(item["id"] for item in items) == sorted(ids)
    assert [item["seq"] for item in items] == list(range(1, count + 1))
    manifest, lines = platform.snapshot()
    assert [line["id"] for line in lines] == [item["id"] for item in items]
    total = sum(int.from_bytes(element_of(i["id"], i["version"], i["hash"]), "big") for i in items) % (1 << 256)
    state = pages[-1]["state"]
    assert (state["count"], state["root"]) == (manifest["count"], manifest["root"]) == (count, root_of(total, count))
    quiet = platform.get("/ix/v1/all/changes", cursor=manifest["cursor"])
    assert (quiet["items"], quiet["more"]) == ([], False)
    assert {s["scope"] for s in platform.get("/.well-known/ix")["scopes"]} == {"all"} | (
        {f"platform:{PLATFORM}"} if count else set()
    )
    assert [item["op"] for item in platform.lookup(ids)["items"]] == ["put"] * count


def test_a_record_with_every_field_is_by_the_contract(platform: Platform) -> None:
    (id,) = platform.put(1, **WHOLE)
    found = platform.get(f"/ix/v1/records/{id}")
    assert set(found["record"]) == set(WHOLE) | {"id"} == set(SCHEMAS["Record"]["properties"])
    assert content_hash(canonical(found["record"])) == found["hash"]


def test_a_tombstone_is_seen_in_changes_record_lookup_and_count(platform: Platform) -> None:
    ids = platform.put(3)
    cursor = platform.pages()[-1]["next"]
    platform.delete(ids[1])
    (page,) = platform.pages(cursor=cursor)
    assert [(item["id"], item["op"], item["version"]) for item in page["items"]] == [(ids[1], "delete", 2)]
    assert page["state"]["count"] == 2
    assert platform.get(f"/ix/v1/records/{ids[1]}", 410) == page["items"][0]
    unknown = f"ix:{PLATFORM}:never"
    found = platform.lookup([ids[0], ids[1], unknown, ids[1]])["items"]
    assert [item["op"] for item in found] == ["put", "delete", "unknown", "delete"]
    assert [line["id"] for line in platform.snapshot()[1]] == [ids[0], ids[2]]


def test_a_record_that_leaves_a_scope_is_told_as_leave_there_and_put_elsewhere(platform: Platform) -> None:
    ids = platform.put(2, subject="13")
    cursor = platform.pages("subject:13")[-1]["next"]
    platform.put(1, subject="14")
    (page,) = platform.pages("subject:13", cursor)
    assert [(item["id"], item["op"]) for item in page["items"]] == [(ids[0], "leave")]
    assert page["state"] | {"seq": 0} == {"seq": 0, "count": 1, "root": None}
    assert [item["op"] for item in platform.pages("subject:14")[0]["items"]] == ["put"]
    assert [item["op"] for item in platform.pages()[0]["items"]] == ["put", "put"]
    assert [line["id"] for line in platform.snapshot("subject:13")[1]] == [ids[1]]
    assert {s["scope"] for s in platform.get("/.well-known/ix")["scopes"]} >= {"subject:13", "subject:14"}


def test_a_cursor_that_cannot_be_read_leads_to_the_snapshot(platform: Platform) -> None:
    platform.put(1)
    cursor = platform.pages()[0]["next"]
    other = f"platform:{PLATFORM}"
    for scope, wrong in (("all", "bm9uc2Vuc2U"), ("all", "游标"), (other, cursor), ("all", cursor[:-2])):
        gone = platform.get(f"/ix/v1/{scope}/changes", 410, cursor=wrong)
        address = urljoin(f"{platform.url}/ix/v1/{scope}/changes", gone["snapshot"])
        assert "cursor" in check(platform.client.get(address))


REFUSED = [
    ("/ix/v1/moon/changes", 404),
    ("/ix/v1/platform:X/changes", 404),
    ("/ix/v1/subject:../snapshots/latest", 404),
    ("/ix/v1/all/snapshots/parts/" + "0" * 64 + ".ndjson.gz", 404),
    ("/ix/v1/all/snapshots/parts/x.ndjson.gz", 422),
    ("/ix/v1/records/ix:P-440000-01:none", 404),
    ("/ix/v1/records/ix:P-440000-01:nul%00", 404),
    ("/ix/v1/all/changes?limit=0", 422),
    ("/ix/v1/all/changes?limit=1001", 422),
    ("/ix/v1/all/changes?wait=31", 422),
    ("/ix/v1/all/changes?fields=some", 422),
]


def test_refusals_are_problem_documents(platform: Platform) -> None:
    for path, status in REFUSED:
        answer = platform.client.get(f"{platform.url}{path}")
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert faults("Problem", answer.json()) == [], path


def test_a_lookup_that_cannot_be_is_refused_by_place(platform: Platform) -> None:
    for body in ('{"ids":["\\ud800"]}', '{"ids":["a b"]}', '{"ids":[""]}', '{"ids":7}', "{", "[]"):
        address, kind = f"{platform.url}/ix/v1/records:lookup", {"Content-Type": "application/json"}
        answer = platform.client.post(address, content=body, headers=kind)
        assert answer.status_code == 422, body
        assert check(answer)["errors"][0]["pointer"].startswith("body"), body


def test_a_lookup_of_501_ids_is_refused(platform: Platform) -> None:
    platform.lookup([f"ix:{PLATFORM}:{n}" for n in range(500)])
    platform.lookup([f"ix:{PLATFORM}:{n}" for n in range(501)], 422)


def test_unchanged_records_and_ranges_cost_little(platform: Platform) -> None:
    (id,) = platform.put(1)
    first = platform.client.get(f"{platform.url}/ix/v1/records/{id}")
    again = platform.client.get(f"{platform.url}/ix/v1/records/{id}", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, check(again)) == (304, b"")
    address = f"{platform.url}/ix/v1/all/snapshots/latest"
    part = urljoin(address, check(platform.client.get(address))["parts"][0]["href"])
    whole = platform.client.get(part).content
    rest = platform.client.get(part, headers={"Range": "bytes=10-"})
    assert (rest.status_code, whole[:10] + check(rest)) == (206, whole)
    packed = platform.client.get(f"{platform.url}/ix/v1/all/changes", headers={"Accept-Encoding": "identity"})
    assert check(packed) == platform.get("/ix/v1/all/changes")


def test_a_waiting_reader_hears_of_a_change_when_it_comes(platform: Platform) -> None:
    cursor = platform.pages()[-1]["next"]
    begun = time.monotonic()
    assert platform.get("/ix/v1/all/changes", cursor=cursor, wait=1)["items"] == []
    assert time.monotonic() - begun >= 0.9
    platform.put(1)
    begun = time.monotonic()
    assert len(platform.get("/ix/v1/all/changes", cursor=cursor, wait=30)["items"]) == 1
    assert time.monotonic() - begun < 5


def test_a_reader_of_pages_misses_nothing_while_others_write(platform: Platform) -> None:
    def write(writer: int) -> None:
        for page in range(30):
            made = prepare({"title": "课"}, f"ix:{PLATFORM}:w{writer}/{page}")
            assert isinstance(made, Prepared)
            with platform.database.write() as connection:
                apply(connection, [Arrival(made, b"x" * 16)], Origin(1, 1, "440000"))

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in writers:
        thread.start()
    seen: list[int] = []
    cursor = ""
    while len(seen) < 120 and (any(thread.is_alive() for thread in writers) or cursor != "end"):
        alive = any(thread.is_alive() for thread in writers)
        answer = platform.client.get(f"{platform.url}/ix/v1/all/changes", params={"cursor": cursor, "limit": 9}).json()
        seen += [item["seq"] for item in answer["items"]]
        cursor = answer["next"] if alive or answer["more"] else "end"
    for thread in writers:
        thread.join()
    assert seen == list(range(1, 121))


def _inside(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Places of all objects in an answer."""
    if isinstance(content, dict):
        yield place
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in pairs:
        yield from _inside(value, (*place, name))


def _at(content: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        content = content[step]
    return content


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "problem"])
def test_a_member_too_many_or_too_few_is_found_anywhere(name: str) -> None:
    whole = DOCUMENT["components"]["examples"][name]["value"]
    for place in _inside(whole):
        if place[-1:] == ("names",):
            continue
        more = copy.deepcopy(whole)
        _at(more, place)["surplus"] = 1
        assert faults(EXAMPLES[name], more), place
        optional = {"id", "languages", "subject"} if place[-1:] == ("record",) else set()
        for member in set(_at(whole, place)) - optional:
            fewer = copy.deepcopy(whole)
            del _at(fewer, place)[member]
            assert faults(EXAMPLES[name], fewer), (place, member)
