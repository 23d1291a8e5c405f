"""MOOCHub 3: courses as JSON:API, 100 a page."""

from typing import Any

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, as_json, query
from app.protocol import vocab

NAME = "MOOCHub 课程目录"
MAPPING: dict[str, Any] | None = None
PAGE, PATH = 100, "/bridges/moochub/courses"


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The list of courses."""
    return {"courses_url": f"{base}{PATH}"}


def face(platform: DemoPlatform) -> Face:
    """Pages linked by `links.next`."""
    courses = [_course(platform, record) for record in records(platform)]

    def answer(path: str) -> Answer:
        number = int(query(path).get("page", "1"))
        more = number * PAGE < len(courses)
        links = {"self": path, "next": f"{PATH}?page={number + 1}" if more else None}
        return as_json({"links": links, "data": courses[(number - 1) * PAGE : number * PAGE]})

    return answer


def _course(platform: DemoPlatform, record: dict[str, Any]) -> dict[str, Any]:
    person = {"type": "Person", "name": record["contributors"][0]["name"]}
    attributes = {
        "name": record["title"], "courseCode": f"C{record['local']}", "courseMode": ["online"],
        "description": f"<p>{record['description']}</p>", "inLanguage": record["languages"], "url": record["location"][0],
        "keywords": record["keywords"], "audience": record["audience"], "creator": [person], "instructor": [person],
        "publisher": {"type": "Organization", "name": platform.name}, "dateCreated": record["published"],
        "dateModified": DATE, "access": ["free"],
        "educationalAlignment": [{"name": [{"inLanguage": "zh", "name": vocab.label("subject", record["subject"])}]}],
        "license": [{"identifier": "CC-BY-4.0", "url": "https://spdx.org/licenses/CC-BY-4.0.html"}],
    }  # fmt: skip
    return {"id": record["local"], "type": "Course", "attributes": attributes}
