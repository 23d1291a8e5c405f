"""Platforms whose OAI-PMH is somebody else's software: the servers of `oaipmh` and `oai-repo`, in front of one shelf."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import oai_repo
from lxml import etree
from oaipmh import common, error, metadata, server

from tests.peers.replay import Answer

PAGE = 10
OLD = datetime(2026, 1, 2, 3, 4, 5)
DC = "http://purl.org/dc/elements/1.1/"
OAI_DC = "http://www.openarchives.org/OAI/2.0/oai_dc/"
Server = Callable[["Shelf"], Callable[[str], Answer]]


class Work(NamedTuple):
    """One resource; `deleted` keeps its place as a tombstone."""

    title: str
    stamp: datetime = OLD
    deleted: bool = False
    set: str = "math"


@dataclass
class Shelf:
    """What a platform holds, by identifier, in the order of its lists."""

    works: dict[str, Work] = field(default_factory=dict)

    def chosen(self, since: datetime | None, until: datetime | None, spec: str | None) -> list[str]:
        """Identifiers of a window and a set."""
        return [
            name
            for name, work in self.works.items()
            if (since is None or work.stamp >= since.replace(tzinfo=None))
            and (until is None or work.stamp <= until.replace(tzinfo=None))
            and spec in (None, work.set)
        ]


def now() -> datetime:
    """This moment, to the second, as both libraries write it."""
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _query(path: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(path).query, keep_blank_values=True))


class _Pyoai:
    """The interface that `oaipmh.server.BatchingServer` asks."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def identify(self) -> common.Identify:
        return common.Identify(
            "别家平台", "http://127.0.0.1/oai", "2.0", ["ops@example.org"], OLD, "persistent", "YYYY-MM-DDThh:mm:ssZ", [],
            toolkit_description=False,
        )  # fmt: skip

    def listMetadataFormats(self, identifier: str | None = None) -> list[tuple[str, str, str]]:
        return [("oai_dc", "http://www.openarchives.org/OAI/2.0/oai_dc.xsd", OAI_DC)]

    def listSets(self, cursor: int = 0, batch_size: int = PAGE) -> list[tuple[str, str, str]]:
        return [("math", "数学", ""), ("chinese", "语文", "")][cursor : cursor + batch_size]

    def listIdentifiers(self, **asked: Any) -> list[common.Header]:
        return [header for header, _, _ in self.listRecords(**asked)]

    def listRecords(
        self, metadataPrefix: str, set: str | None = None, from_: datetime | None = None, until: datetime | None = None,
        cursor: int = 0, batch_size: int = PAGE,
    ) -> list[tuple[common.Header, common.Metadata | None, None]]:  # fmt: skip
        names = self.shelf.chosen(from_, until, set)[cursor : cursor + batch_size]
        if not names:
            raise error.NoRecordsMatchError("nothing here")
        return [self.getRecord(metadataPrefix, name) for name in names]

    def getRecord(self, metadataPrefix: str, identifier: str) -> tuple[common.Header, common.Metadata | None, None]:
        work = self.shelf.works[identifier]
        header = common.Header(None, identifier, work.stamp, [work.set], work.deleted)
        return header, None if work.deleted else common.Metadata(None, {"title": [work.title]}), None


def oaipmh_server(shelf: Shelf) -> Callable[[str], Answer]:
    """`oaipmh` 4.0: keeps deletions and says so."""
    registry = metadata.MetadataRegistry()
    registry.registerWriter("oai_dc", server.oai_dc_writer)
    door = server.BatchingServer(_Pyoai(shelf), registry, resumption_batch_size=PAGE)
    return lambda path: (200, {"Content-Type": "text/xml; charset=utf-8"}, door.handleRequest(_query(path)))


class _Repo(oai_repo.DataInterface):  # type: ignore[misc]
    """The interface that `oai_repo.OAIRepository` asks; a deleted work is simply not there."""

    limit = PAGE

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    def get_identify(self) -> oai_repo.Identify:
        return oai_repo.Identify(
            "别家平台", "http://127.0.0.1/oai", ["ops@example.org"], _stamp(OLD), "no", "YYYY-MM-DDThh:mm:ssZ"
        )

    def is_valid_identifier(self, identifier: str) -> bool:
        return identifier in self.shelf.works

    def get_metadata_formats(self, identifier: str | None = None) -> list[oai_repo.MetadataFormat]:
        return [oai_repo.MetadataFormat("oai_dc", "http://www.openarchives.org/OAI/2.0/oai_dc.xsd", OAI_DC)]

    def get_record_header(self, identifier: str) -> oai_repo.RecordHeader:
        work = self.shelf.works[identifier]
        return oai_repo.RecordHeader(identifier, _stamp(work.stamp), [work.set])

    def get_record_metadata(self, identifier: str, metadataprefix: str) -> Any:
        root = etree.Element(f"{{{OAI_DC}}}dc", nsmap={"oai_dc": OAI_DC, "dc": DC})
        etree.SubElement(root, f"{{{DC}}}title").text = self.shelf.works[identifier].title
        return root

    def get_record_abouts(self, identifier: str) -> list[Any]:
        return []

    def list_set_specs(self, identifier: str | None = None, cursor: int = 0) -> tuple[list[str], int, None]:
        return ["math", "chinese"], 2, None

    def get_set(self, setspec: str) -> oai_repo.Set:
        return oai_repo.Set(setspec, setspec, [])

    def list_identifiers(
        self, metadataprefix: str, filter_from: datetime | None = None, filter_until: datetime | None = None,
        filter_set: str | None = None, cursor: int = 0,
    ) -> tuple[list[str], int, str]:  # fmt: skip
        there = self.shelf.chosen(filter_from, filter_until, filter_set)
        names = [name for name in there if not self.shelf.works[name].deleted]
        return names[cursor : cursor + PAGE], len(names), f"{len(self.shelf.works)} works"


def oai_repo_server(shelf: Shelf) -> Callable[[str], Answer]:
    """`oai-repo` 0.5: deletions are silent, and a token dies when the shelf grows."""
    door = oai_repo.OAIRepository(_Repo(shelf))
    return lambda path: (200, {"Content-Type": "text/xml; charset=utf-8"}, bytes(door.process(_query(path))))


SERVERS: dict[str, Server] = {"oaipmh": oaipmh_server, "oai-repo": oai_repo_server}
