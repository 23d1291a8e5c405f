"""Code lists and regions out, so that a platform can map its own terms to ours (docs/vocabularies.md)."""

from functools import cache
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Response

from app.access.door import public
from app.protocol import vocab
from app.protocol.errors import NotFound
from app.web import json

router = APIRouter(prefix="/api/v1", tags=["vocabularies"])
Known = Annotated[str, Header(alias="If-None-Match")]


@router.get("/vocab", dependencies=[public()])
def list_schemes() -> Response:
    """The code lists with version, day of their data and source."""
    return json({"items": [_head(vocab.scheme(name)) for name in vocab.SCHEMES], "next": None})


@router.get("/vocab/{scheme}", dependencies=[public()])
def show_scheme(scheme: str, if_none_match: Known = "") -> Response:
    """A code list, whole and in its order; retired codes have `until` and `successors`. 304 while it is the same."""
    body, headers = _listed(scheme), {"ETag": f'"{vocab.VERSION}"', "Cache-Control": "max-age=3600"}
    return Response(status_code=304, headers=headers) if headers["ETag"] in if_none_match else _sent(body, headers)


@router.get("/regions/{code}", dependencies=[public()])
def show_region(code: str) -> Response:
    """A region by code of 6, 9 or 12 digits: what is above it, what it meant before, what took its place."""
    return json(_region(code))


def _sent(body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, media_type="application/json", headers=headers)


def _head(found: vocab.Scheme) -> dict[str, Any]:
    return {
        "scheme": found.id, "version": found.version, "issued": found.issued, "source": found.source,
        "zh": found.title_zh, "en": found.title_en,
    }  # fmt: skip


@cache
def _listed(name: str) -> bytes:
    if name not in vocab.SCHEMES:
        raise NotFound(f"there is no code list {name!r}; there are {', '.join(vocab.SCHEMES)}")
    found = vocab.scheme(name)
    items = [
        {"code": one.code, "zh": one.zh, "en": one.en, "aliases": one.aliases, "exact_match": one.exact_match,
         "group": one.group, "since": one.since, "until": one.until, "successors": one.successors, "basis": one.basis,
         "parent": one.parent}
        for one in found.concepts.values()
    ]  # fmt: skip
    return orjson.dumps({**_head(found), "items": items, "next": None})


def _region(code: str) -> dict[str, Any]:
    found = vocab.region(code)
    if found is None:
        raise NotFound("there is no such region in GB/T 2260 since 1980, nor among the zones this hub knows")
    above = [one for one in map(vocab.region, vocab.ancestors(found.code)) if one is not None]
    return {
        "code": found.code, "name": found.name, "en": found.en, "kind": found.kind, "level": found.level,
        "parent": found.parent, "province": found.province, "since": found.since, "until": found.until,
        "ancestors": [{"code": one.code, "name": one.name} for one in above],
        "successors": [{"code": to, "name": vocab.label("region", to)} for to in found.successors],
        "basis": found.basis,
        "former": [
            {"name": old.name, "since": old.since, "until": old.until, "successors": old.successors, "basis": old.basis}
            for old in found.former
        ],
    }  # fmt: skip
