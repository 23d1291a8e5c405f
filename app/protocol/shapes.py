"""Where an unknown JSON answer keeps its records, what identifies them, and how its pages go on, with evidence."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from app.protocol import keys
from app.protocol.amb import CONTEXT
from app.protocol.connector import Response
from app.protocol.paging import ByLink

DEPTH: Final = 4
_PATHS: Final = 100
_TOTALS: Final = ("total", "count", "total_count", "totalcount", "totalresults", "total_results", "totalelements")
_CURSORS: Final = ("next_cursor", "nextcursor", "cursor_next", "cursor")
_NEXT: Final = ("next", "next_url", "nexturl", "next_page_url", "@odata.nextlink")


class Shape(NamedTuple):
    """What of a connector's configuration an answer shows (`items_path`, `id_paths`, `paging` ...), and why."""

    config: dict[str, Any]
    reasons: tuple[str, ...]


def of_records(records: Sequence[Any]) -> Shape | None:
    """What identifies records that are JSON objects; None where they are none, or nothing tells them apart."""
    objects = [record for record in records[: keys.SAMPLES] if isinstance(record, dict)]
    if not objects or len(objects) * 2 < len(records[: keys.SAMPLES]):
        return None
    profile = _profile(objects)
    paths = list(dict.fromkeys(path for record in objects[:50] for path, _ in _plain(record)))[:_PATHS]
    held = [dict(_plain(record)) for record in objects]
    key = keys.proposed({path: [record.get(path, "") for record in held] for path in paths})
    if key is None:
        return None
    said = (f"{len(records)} objects with {', '.join(list(objects[0])[:8])[:200]}", *key.reasons)
    return Shape({"id_paths": key.names, **profile}, said + ("AMB's @context",) * bool(profile))


def of_answer(value: Any, response: Response) -> Shape | None:
    """An array of records, or an envelope around one with its paging; None for other JSON."""
    arrays = [(path, items) for path, items in _arrays(value) if any(isinstance(item, dict) for item in items)]
    if not arrays:
        return None
    path, items = max(arrays, key=lambda found: len(found[1]))
    shape = of_records(items)
    if shape is None:
        return None
    config, reasons = dict(shape.config), list(shape.reasons)
    if path:
        config["items_path"] = path
        reasons.append(f"the array stands at {path!r}")
    for name, (setting, why) in _going_on(value, response, len(items)).items():
        config[name] = setting
        reasons.append(why)
    return Shape(config, tuple(reasons))


def _profile(objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """AMB where most records say so by their context."""
    said = [record.get("@context") for record in objects]
    amb = sum(CONTEXT in (context if isinstance(context, list) else [context]) for context in said)
    return {"profile": "amb"} if amb * 2 > len(objects) else {}


def _plain(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Texts and whole numbers at dotted paths, two levels deep."""
    for name, item in value.items():
        if not name or "." in name:
            continue
        if isinstance(item, dict) and not above:
            yield from _plain(item, f"{name}.")
        elif isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool)):
            yield f"{above}{name}", str(item)


def _arrays(value: Any, path: str = "", depth: int = DEPTH) -> Iterator[tuple[str, list[Any]]]:
    """Arrays outside of other arrays, with their dotted paths."""
    if isinstance(value, list):
        yield path, value
    elif isinstance(value, dict) and depth:
        for name, item in value.items():
            if name and "." not in name:
                yield from _arrays(item, f"{path}.{name}".lstrip("."), depth - 1)


def _members(value: Any, path: str = "", depth: int = 2) -> Iterator[tuple[str, str, Any]]:
    """(path, name in lower case, value) of what stands around the records."""
    for name, item in value.items() if isinstance(value, dict) and depth else ():
        if "." not in name or name.startswith("@"):
            here = f"{path}.{name}".lstrip(".")
            yield here, name.lower(), item
            yield from _members(item, here, depth - 1)


def _going_on(value: Any, response: Response, count: int) -> dict[str, tuple[Any, str]]:
    """`paging` and `total_path` as an envelope or a header shows them."""
    found: dict[str, tuple[Any, str]] = {}
    if ByLink(by="link").following(None, count, lambda _: None, response) is not None:
        found["paging"] = ({"by": "link"}, "the Link header names a next page")
    for path, name, item in _members(value):
        if name in _TOTALS and isinstance(item, int) and not isinstance(item, bool) and item >= count:
            found.setdefault("total_path", (path, f"{path} says {item} records"))
        elif "." in name:
            continue
        elif name in _NEXT and isinstance(item, str) and ("/" in item or "?" in item):
            found.setdefault("paging", ({"by": "next", "path": path}, f"{path} is the address of a next page"))
        elif name in _CURSORS and isinstance(item, str | int) and item and not isinstance(item, bool):
            parameter = "cursor"
            found.setdefault("paging", ({"by": "cursor", "path": path, "parameter": parameter}, f"{path} is a cursor"))
    return found | _numbered(response.url, found, count)


def _numbered(url: str, found: Mapping[str, tuple[Any, str]], count: int) -> dict[str, tuple[Any, str]]:
    """Pages by number or offset, where the address that was asked has such a parameter."""
    if "paging" in found:
        return {}
    query = dict(parse_qsl(urlsplit(url).query))
    for name in ("page", "pageNo", "pageNum", "page_no", "p"):
        if query.get(name) in ("0", "1"):
            return {"paging": ({"by": "page", "parameter": name, "first": int(query[name])}, f"asked with {name}=")}
    for name in ("offset", "start", "skip"):
        if query.get(name) == "0":
            return {"paging": ({"by": "offset", "parameter": name}, f"asked with {name}=0")}
    return {}
