"""MOOCHub: courses as JSON:API in schema versions 2 and 3 (github.com/MOOChub/schema)."""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar, Final, TypeGuard

from pydantic import Field, HttpUrl

from app.protocol import json
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerViolation
from app.protocol.html import to_text
from app.protocol.jsonld import texts
from app.protocol.paging import absolute

ACCEPT: Final = (
    "application/vnd.api+json; moochub-version=3, application/vnd.api+json; moochub-version=2;q=0.9, */*;q=0.1"
)
PAGES: Final = 2000
_NAMES: Final = {
    # version 2 -> version 3
    "languages": "inLanguage", "instructors": "instructor", "availableuntil": "expires", "video": "trailer",
    "learningobjectives": "teaches", "partnerinstitutes": "contributor", "moocprovider": "publisher",
    "courselicenses": "license",
    # what partners write instead, each seen or one letter away
    "language": "inLanguage", "inlanguages": "inLanguage", "partnerinstitute": "contributor", "licence": "license",
    "licenses": "license", "licences": "license", "courselicences": "license", "courselicense": "license",
    "contributors": "contributor", "creators": "creator", "keyword": "keywords", "title": "name",
    "moocproviders": "publisher", "learningobjective": "teaches", "lerningobjectives": "teaches",
    "educationallevels": "educationalLevel", "educationalalignments": "educationalAlignment",
    "educationalaligment": "educationalAlignment", "discription": "description", "desciption": "description",
}  # fmt: skip
"""Keys in lower case without `_` and `-`, and the name of version 3 they stand for."""
_KEYS: Final = (
    "name", "courseCode", "learningResourceType", "courseMode", "description", "abstract", "inLanguage", "startDate",
    "endDate", "expires", "image", "trailer", "instructor", "teaches", "duration", "contributor", "publisher", "url",
    "workload", "license", "access", "audience", "educationalAlignment", "educationalLevel", "creator", "keywords",
    "dateCreated", "dateModified", "offer",
)  # fmt: skip
_VERSION_2: Final = {"languages", "instructors", "moocProvider", "courseLicenses", "courseMode", "partnerInstitute"}
_CANONICAL: Final = {name.lower(): name for name in _KEYS} | _NAMES


class MoocHub(Connector):
    """A provider's course list. It is complete: a course that is in it no longer is gone.

    Checkpoint: nothing between runs; within one `next`, `run` and `seen` (digests of the pages).
    """

    name: ClassVar[str] = "moochub"
    title_zh: ClassVar[str] = "MOOCHub 课程目录（JSON:API）"
    title_en: ClassVar[str] = "MOOCHub course list (JSON:API)"
    courses_url: HttpUrl
    max_pages: int = Field(default=500, ge=1, le=PAGES)
    mapped: bool = False

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """JSON:API whose `data` are courses: by their type, or by attributes that only MOOCHub has."""
        answer = json.loads(response.content()) if response.status == 200 else None
        data = answer.get("data") if isinstance(answer, dict) else None
        courses = [item["attributes"] for item in (data if isinstance(data, list) else [data]) if _is_course(item)]
        if not courses:
            return None
        version = 2 if any(_VERSION_2 & set(attributes) for attributes in courses) else 3
        said = f"JSON:API with {len(courses)} courses, attributes of MOOCHub version {version}"
        return Evidence({"courses_url": response.url}, 92, (said,))

    def request(self, checkpoint: Checkpoint) -> Request:
        """The list, version 3 before 2 (the schema's versioning page), or its next page."""
        return Request(checkpoint.get("next") or str(self.courses_url), {"accept": ACCEPT})

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer. Raises PeerViolation: moochub.shape, moochub.errors, page.loop, page.limit."""
        try:
            yield self._page(checkpoint, response)
        except PeerError:
            if "next" in checkpoint:
                # The next run must begin with the list: the address of a page may be dead for good.
                yield Page((), {}, False)
            raise

    def _page(self, checkpoint: Checkpoint, response: Response) -> Page:
        if response.status >= 400:
            raise response.failure(_said(response))
        content = response.content()
        answer = json.members(content)
        if "data" not in answer:
            raise PeerViolation(
                "moochub.errors" if "errors" in answer else "moochub.shape", f"no `data`{_said(response)}"
            )
        data = answer["data"]
        if data[:1] not in (b"[", b"{"):
            raise PeerViolation("moochub.shape", "`data` must be an array of courses")
        # The example of the schema's own API description shows one course without its array.
        data = data if data[:1] == b"[" else b"[" + data + b"]"
        entries = [_entry(value, raw) for value, raw in json.items(data)]
        digest = sha256(content).hexdigest()[:16]
        run, seen = (
            checkpoint.get("run") or f"full-{response.headers.get('date', '')[:40]}-{digest}",
            checkpoint.get("seen", []),
        )
        if digest in seen:
            raise PeerViolation("page.loop", "a page of the list came again")
        after = _next(answer, response.url or str(self.courses_url))
        if after is None:
            return Page(entries, {}, True, b"", run, frozenset({run}))
        if len(seen) + 1 >= self.max_pages:
            raise PeerViolation("page.limit", f"the list has more than {self.max_pages} pages")
        return Page(entries, {"next": after, "run": run, "seen": [*seen, digest]}, False, listing=run)

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """A draft of each course, or with `mapped` its attributes under the names of version 3."""
        for entry in entries:
            try:
                value = json.loads(entry.raw)
            except PeerViolation as error:
                yield Fault(error.kind, error.detail)
                continue
            attributes = value.get("attributes") if isinstance(value, dict) else None
            if not isinstance(attributes, dict):
                yield Fault("moochub.attributes", "a course needs an object `attributes`", "attributes")
            elif _identifier(value) is None:
                yield Fault("record.id_missing", "the course has no id", "id")
            else:
                yield named(attributes) if self.mapped else draft(named(attributes))


def named(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes under the names of version 3; a right name wins over a misspelt one, unknown keys stay."""
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        name = _CANONICAL.get(key.lower().replace("_", "").replace("-", ""), key)
        if name == key or name not in attributes:
            found[name] = value
    return found


def draft(course: Mapping[str, Any]) -> Draft:
    """A course in the native field names."""
    people = [
        ("creator", "creator"),
        ("instructor", "instructor"),
        ("contributor", "contributor"),
        ("publisher", "publisher"),
    ]
    said = [(role, name[:1000]) for key, role in people for name in texts(course.get(key), "name")]
    description = next((text for key in ("description", "abstract") for text in texts(course.get(key))), "")
    found = {
        "title": to_text("".join(texts(course.get("name"))[:1]), "html")[:1000],
        "description": to_text(description, "html")[:20_000],
        "languages": list(dict.fromkeys(texts(course.get("inLanguage")))),
        "keywords": list(dict.fromkeys(word[:1000] for word in texts(course.get("keywords")))),
        "type": ["course"],
        "contributors": [{"role": role, "name": name} for role, name in dict.fromkeys(said)],
        "location": [url[:4000] for url in texts(course.get("url")) if "://" in url][:1],
        "audience": list(dict.fromkeys(texts(course.get("audience")))),
        "subject": "".join(texts(course.get("educationalAlignment"), "name", "shortCode")[:1])[:200],
        "stage": "".join(texts(course.get("educationalLevel"), "name", "shortCode")[:1])[:200],
        "identifiers": [
            {"catalog": "courseCode", "entry": code[:4000]} for code in texts(course.get("courseCode"))[:1]
        ],
        "rights": _rights(course.get("license")),
        "published": "".join(texts(course.get("dateCreated"))[:1])[:10],
    }
    return {name: value for name, value in found.items() if value}


def _is_course(item: Any) -> TypeGuard[dict[str, Any]]:
    attributes = item.get("attributes") if isinstance(item, dict) else None
    if not isinstance(attributes, dict) or "id" not in item:
        return False
    known = {_CANONICAL.get(key.lower().replace("_", "").replace("-", ""), "") for key in attributes} & set(_KEYS)
    return "name" in known and (str(item.get("type")).lower() in ("course", "courses") or len(known) > 4)


def _rights(value: Any) -> dict[str, str]:
    """The first licence: its address, else its short code; version 2 has `id`, `name` and `url`."""
    first = value[0] if isinstance(value, list) and value else value
    if not isinstance(first, dict):
        said = texts(first)
        return {"statement": said[0][:1000]} if said else {}
    uris = [text for key in ("url", "contentUrl") for text in texts(first.get(key)) if "://" in text]
    codes = [text for key in ("identifier", "name", "id") for text in texts(first.get(key))]
    return {**({"licence_uri": uris[0][:4000]} if uris else {}), **({"statement": codes[0][:1000]} if codes else {})}


def _entry(value: Any, raw: bytes) -> Entry:
    attributes = value.get("attributes") if isinstance(value, dict) else None
    stamp = attributes.get("dateModified") if isinstance(attributes, dict) else None
    return Entry(
        _identifier(value) or f"#{sha256(raw).hexdigest()[:32]}", raw, stamp if isinstance(stamp, str) else None
    )


def _identifier(value: Any) -> str | None:
    """JSON:API says text; numbers are written by some."""
    found = value.get("id") if isinstance(value, dict) else None
    if isinstance(found, bool) or not isinstance(found, str | int) or found == "":
        return None
    return str(found).encode(errors="replace").decode()[:600]


def _next(answer: Mapping[str, bytes], base: str) -> str | None:
    """`links.next`: an address, an object with `href` (JSON:API 1.1), or nothing at the end."""
    links = json.loads(answer.get("links", b"null"))
    found = links.get("next") if isinstance(links, dict) else None
    found = found.get("href") if isinstance(found, dict) else found
    if not found:
        return None
    if not isinstance(found, str):
        raise PeerViolation("moochub.next", f"`links.next` must be a text, not {type(found).__name__}")
    return absolute(base, found, "moochub.next")


def _said(response: Response) -> str:
    """The first error the answer names (JSON:API, error objects)."""
    try:
        errors = json.loads(response.content()).get("errors")
        return f": {errors[0].get('title') or errors[0].get('detail')}"[:300] if errors else ""
    except (PeerViolation, AttributeError, TypeError, LookupError):
        return ""
