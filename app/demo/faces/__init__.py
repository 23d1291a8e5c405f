"""The platforms' side of every kind: one file each, pages made once and then served as bytes."""

from typing import Any, Protocol

from app.demo.catalogue import DemoPlatform
from app.demo.faces import (
    ckan,
    csv,
    excel,
    ix,
    json,
    moochub,
    ndjson,
    oai_pmh,
    resourcesync,
    sitemap,
    static_parts,
    syndication,
    upload,
)
from app.demo.faces.answers import Answer, Face

__all__ = ["FACES", "MAPPING", "Answer", "Face", "Kind", "described", "face"]
MAPPING = static_parts.MAPPING


class Kind(Protocol):
    """What the file of a kind offers."""

    @property
    def NAME(self) -> str:
        """The name under which the platform's feed is registered."""

    @property
    def MAPPING(self) -> dict[str, Any] | None:
        """The feed's mapping, where its records are not native."""

    def config(self, platform: DemoPlatform, base: str) -> dict[str, Any]:
        """The connector's configuration for a platform at an address."""

    def face(self, platform: DemoPlatform) -> Face:
        """What the platform answers."""


FACES: dict[str, Kind] = {
    "oai-pmh": oai_pmh, "ix": ix, "static-parts": static_parts, "syndication": syndication, "sitemap": sitemap,
    "resourcesync": resourcesync, "ckan": ckan, "moochub": moochub, "csv": csv, "excel": excel, "json": json,
    "ndjson": ndjson, "upload": upload,
}  # fmt: skip


def face(platform: DemoPlatform) -> Face:
    """A function from path and query to an answer."""
    return FACES[platform.kind].face(platform)


def described(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The platform with its address and what its feed needs: `feed` (a name), `config`, `mapping`."""
    kind = FACES[platform.kind]
    told = {"base": base, "feed": kind.NAME, "config": kind.config(platform, base), "mapping": kind.MAPPING}
    return {**platform._asdict(), **told}
