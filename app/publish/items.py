"""One change as IX/1 writes it, around the stored document (IX/1 section 3.2)."""

from typing import Any

import orjson

from app.catalogue.service import WITHDRAWN
from app.clock import iso


def item(row: Any, *, head: bool = False) -> bytes:
    """`put` with its record, `delete`, or `leave` where the record lives on outside of the scope (V8)."""
    if row.live:
        op = b"leave" if getattr(row, "left", 0) else b"put"
    else:
        op = b"leave" if row.flags == WITHDRAWN else b"delete"
    short = b'{"id":%s,"op":"%s","version":%d,"hash":"%s","seq":%d' % (
        orjson.dumps(row.id), op, row.version, row.hash.encode(), row.seq,
    )  # fmt: skip
    if head:
        return short + b"}"
    path = orjson.dumps(row.path.split()) if row.path else b"[]"
    content = b',"record":' + bytes(row.document) if op == b"put" else b""
    return b'%s,"modified":"%s","origin":"%s","path":%s,"sig":null%s}' % (
        short, iso(row.modified_at).encode(), row.platform.encode(), path, content,
    )  # fmt: skip


def unknown(id: str) -> bytes:
    """The answer to a lookup of an identifier that nobody has used."""
    return b'{"id":%s,"op":"unknown"}' % orjson.dumps(id)
