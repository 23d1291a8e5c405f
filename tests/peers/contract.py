"""openapi/peer.yaml as a judge of answers: status, media type and schema of what an address answered."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).resolve().parents[2] / "openapi" / "peer.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text())
_NAME = "peer.yaml"
_registry: Registry[Any] = Registry().with_resource(_NAME, Resource(DOCUMENT, DRAFT202012))


def faults(schema: str, content: Any) -> list[str]:
    """What is wrong with content by `components/schemas/{schema}`, or by any pointer into peer.yaml."""
    pointer = schema if schema.startswith("/") else f"/components/schemas/{schema}"
    judge = Draft202012Validator(
        {"$ref": f"{_NAME}#{pointer}"}, registry=_registry, format_checker=FormatChecker(["date-time"])
    )
    return [f"{error.json_path}: {error.message[:300]}" for error in judge.iter_errors(content)]


def _resolved(node: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """A response behind its reference, and where it stands."""
    if "$ref" not in node:
        return node, None
    name = node["$ref"].rsplit("/", 1)[1]
    return DOCUMENT["components"]["responses"][name], f"/components/responses/{name}"


def operation(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """(template, operation) of an address; the template with the fewest parameters wins."""
    found = []
    for template, item in DOCUMENT["paths"].items():
        pattern = re.escape(template).replace(r"\{id\}", ".+")
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
        if method in item and re.fullmatch(pattern, path):
            found.append((template.count("{"), template, item[method]))
    assert found, f"{method.upper()} {path} is not in {FILE.name}"
    _, template, chosen = min(found, key=lambda one: one[0])
    return template, chosen


def check(answer: httpx.Response) -> Any:
    """The answer's content, after it has been judged by peer.yaml; fails with every fault."""
    method, path = answer.request.method.lower(), answer.url.path
    template, chosen = operation(method, path)
    status = str(answer.status_code)
    key = status if status in chosen["responses"] else "default"
    response, place = _resolved(chosen["responses"][key])
    place = place or f"/paths/{template.replace('~', '~0').replace('/', '~1')}/{method}/responses/{key}"
    declared = response.get("content")
    if not declared:
        assert answer.content == b"" or status == "206"
        return answer.content
    media = answer.headers["content-type"].split(";")[0]
    assert media in declared, f"{path}: {media} instead of {', '.join(declared)}"
    if not media.endswith("json"):
        return answer.content
    content = json.loads(answer.content)
    pointer = f"{place}/content/{media.replace('/', '~1')}/schema"
    assert faults(pointer.replace("{", "%7B").replace("}", "%7D"), content) == [], f"{method} {answer.url}"
    return content
