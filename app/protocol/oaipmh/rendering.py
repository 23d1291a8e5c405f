"""Answers of the six verbs as string templates around stored documents: no tree is built for what is only sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.protocol import xml
from app.protocol.oaipmh.answers import Identity

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/ '
    'http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">\n<responseDate>{date}</responseDate>\n<request{arguments}>{url}</request>\n'
)
_DC_HEAD: Final = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/ http://www.openarchives.org/OAI/2.0/oai_dc.xsd">'
)
_CREATORS: Final = {"creator", "author", "作者"}


def envelope(date: str, url: str, arguments: Mapping[str, str], body: str) -> bytes:
    """A whole answer. `arguments` are repeated on `<request>` and must be empty after badVerb or badArgument (3.6)."""
    attributes = "".join(f' {name}="{xml.escape(value)}"' for name, value in arguments.items())
    head = _HEAD.format(date=date, arguments=attributes, url=xml.escape(url))
    return f"{head}{body}\n</OAI-PMH>\n".encode()


def error(code: str, text: str) -> str:
    """An OAI error (3.6)."""
    return f'<error code="{code}">{xml.escape(text)}</error>'


def identify(about: Identity, admin_email: str) -> str:
    """The children of `<Identify>`, in the schema's order (4.2)."""
    fields = {
        "repositoryName": about.name, "baseURL": about.base_url, "protocolVersion": "2.0",
        "adminEmail": admin_email, "earliestDatestamp": about.earliest,
        "deletedRecord": about.deleted_record, "granularity": about.granularity,
    }  # fmt: skip
    return "".join(f"<{name}>{xml.escape(value)}</{name}>" for name, value in fields.items())


def metadata_format(prefix: str, schema: str, namespace: str) -> str:
    """One format of `<ListMetadataFormats>` (4.4)."""
    return (
        f"<metadataFormat><metadataPrefix>{prefix}</metadataPrefix><schema>{xml.escape(schema)}</schema>"
        f"<metadataNamespace>{xml.escape(namespace)}</metadataNamespace></metadataFormat>"
    )


def set_named(spec: str, name: str) -> str:
    """One set of `<ListSets>` (4.6)."""
    return f"<set><setSpec>{xml.escape(spec)}</setSpec><setName>{xml.escape(name)}</setName></set>"


def header(identifier: str, datestamp: str, sets: Sequence[str], *, deleted: bool) -> str:
    """A record's header (2.5)."""
    specs = "".join(f"<setSpec>{xml.escape(spec)}</setSpec>" for spec in sets)
    status = ' status="deleted"' if deleted else ""
    return f"<header{status}><identifier>{xml.escape(identifier)}</identifier><datestamp>{datestamp}</datestamp>{specs}</header>"


def record(head: str, metadata: str | None) -> str:
    """A record (2.5); a deleted one has no metadata."""
    held = f"<metadata>{metadata}</metadata>" if metadata is not None else ""
    return f"<record>{head}{held}</record>"


def resumption(token: str, *, cursor: int, total: int | None = None) -> str:
    """A resumptionToken; the empty one ends a list that was sent in parts (3.5)."""
    size = f' completeListSize="{total}"' if total is not None else ""
    return f'<resumptionToken{size} cursor="{cursor}">{xml.escape(token)}</resumptionToken>'


def render_dc(record: Mapping[str, Any]) -> str:
    """A record as oai_dc; what the oai_dc reader reads comes back as it was."""
    lines = [_DC_HEAD]

    def add(name: str, values: Sequence[str]) -> None:
        lines.extend(f"<dc:{name}>{xml.escape(value)}</dc:{name}>" for value in values)

    add("title", [record["title"], *record.get("alt_titles", ())])
    for person in record.get("contributors", ()):
        add(_element(person.get("role", "")), [person["name"]])
    subjects = [record["subject"]] if "subject" in record else []
    add("subject", list(dict.fromkeys([*subjects, *record.get("keywords", ())])))
    if "description" in record:
        add("description", [record["description"]])
    for name, field in (("language", "languages"), ("type", "type"), ("format", "format"), ("identifier", "location")):
        add(name, record.get(field, ()))
    add("identifier", [record["id"]])
    if "published" in record:
        add("date", [record["published"]])
    for value in record.get("rights", {}).values():
        add("rights", [value if isinstance(value, str) else "; ".join(value)])
    return "".join(lines) + "</oai_dc:dc>"


def _element(role: str) -> str:
    return "creator" if role in _CREATORS else "publisher" if role == "publisher" else "contributor"
