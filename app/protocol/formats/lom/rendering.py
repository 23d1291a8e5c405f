"""A record as LOM in the IEEE binding; what LOM has no element for stands in a classification under our own source."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from app.protocol import vocab, xml
from app.protocol.formats.lom.reading import OWN, OWN_FIELDS

NAMESPACE: Final = "http://ltsc.ieee.org/xsd/LOM"
SCHEMA: Final = "http://ltsc.ieee.org/xsd/lomv1.0/lomLoose.xsd"
_HEAD: Final = (
    f'<lom xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    f'xsi:schemaLocation="{NAMESPACE} {SCHEMA}">'
)
_LABELLED: Final = frozenset(vocab.SCHEMES)


def render_lom(record: Mapping[str, Any]) -> str:
    """A record as LOM. Audits have no place in LOM; all else comes back through `read_lom` as it was.

    Contributors keep their order; the schema's order of categories (IEEE 1484.12.3) is kept, as the strict one asks.
    """
    rights = record.get("rights", {})
    parts = [
        _category("general", _general(record)),
        _category("lifeCycle", _life_cycle(record)),
        _category("metaMetadata", _each("metadataSchema", ["LOMv1.0"])),
        _category("technical", _technical(record)),
        _category("educational", _educational(record)),
        _category("rights", _rights(rights)),
        *(_relation(relation) for relation in record.get("relations", ())),
        *_classifications({**record, "restrictions": rights.get("restrictions", ())}),
    ]
    return f"{_HEAD}{''.join(parts)}</lom>"


def _element(name: str, text: str) -> str:
    return f"<{name}>{xml.escape(text)}</{name}>"


def _each(name: str, values: Sequence[str]) -> Iterator[str]:
    return (_element(name, value) for value in values)


def _category(name: str, parts: Iterator[str]) -> str:
    inside = "".join(parts)
    return f"<{name}>{inside}</{name}>" if inside else ""


def _string(name: str, *values: str) -> str:
    return f"<{name}>{''.join(_each('string', values))}</{name}>"


def _term(name: str, value: str, source: str = "LOMv1.0") -> str:
    return f"<{name}><source>{source}</source>{_element('value', value)}</{name}>"


def _identified(catalog: str, entry: str) -> str:
    named = _element("catalog", catalog) if catalog else ""
    return f"<identifier>{named}{_element('entry', entry)}</identifier>"


def _general(record: Mapping[str, Any]) -> Iterator[str]:
    for item in record.get("identifiers", ()):
        yield _identified(item.get("catalog", ""), item["entry"])
    yield _string("title", record["title"], *record.get("alt_titles", ()))
    yield from _each("language", record.get("languages", ()))
    if "description" in record:
        yield _string("description", record["description"])
    for keyword in record.get("keywords", ()):
        yield _string("keyword", keyword)


def _life_cycle(record: Mapping[str, Any]) -> Iterator[str]:
    if "version" in record:
        yield _string("version", record["version"])
    for person in record.get("contributors", ()):
        yield _contribute(person.get("role", "contributor"), _card(person["name"]), person.get("date"))
    if "published" in record:
        yield _contribute("publisher", "", record["published"])


def _contribute(role: str, entity: str, date: str | None) -> str:
    dated = f"<date>{_element('dateTime', date)}</date>" if date else ""
    return f"<contribute>{_term('role', role)}{entity}{dated}</contribute>"


def _card(name: str) -> str:
    """RFC 2426, with the characters escaped that structure a line (5.8.4)."""
    text = name.replace("\\", "\\\\").replace("\n", "\\n").replace(",", "\\,").replace(";", "\\;")
    return _element("entity", f"BEGIN:VCARD\nVERSION:3.0\nFN:{text}\nEND:VCARD")


def _technical(record: Mapping[str, Any]) -> Iterator[str]:
    yield from _each("format", record.get("format", ()))
    if "size_bytes" in record:
        yield _element("size", str(record["size_bytes"]))
    yield from _each("location", record.get("location", ()))
    if "tech_req" in record:
        yield _string("otherPlatformRequirements", record["tech_req"])


def _educational(record: Mapping[str, Any]) -> Iterator[str]:
    for code in record.get("type", ()):
        yield _term("learningResourceType", code, "hutong")
    for code in record.get("audience", ()):
        yield _term("intendedEndUserRole", code, "hutong")


def _rights(rights: Mapping[str, Any]) -> Iterator[str]:
    if texts := [rights[name] for name in ("statement", "licence_uri") if name in rights]:
        yield _string("description", *texts)


def _relation(relation: Mapping[str, Any]) -> str:
    kind = _term("kind", relation.get("type", "relation"), "hutong")
    return f"<relation>{kind}<resource>{_identified('', relation['target'])}</resource></relation>"


def _classifications(record: Mapping[str, Any]) -> Iterator[str]:
    for field, purpose in OWN_FIELDS.items():
        value = record.get(field, ())
        for code in [value] if isinstance(value, str) else value:
            label = vocab.label(field, code) if field in _LABELLED else code
            taxon = f"<taxon>{_element('id', code)}<entry>{_element('string', label)}</entry></taxon>"
            path = f"<taxonPath>{_string('source', OWN + field)}{taxon}</taxonPath>"
            yield f"<classification>{_term('purpose', purpose)}{path}</classification>"
