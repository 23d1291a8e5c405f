"""Files that a page's form sends (multipart/form-data, RFC 7578): bounded, and read once, since the token of the session
is a part of it."""

from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated, Final, NamedTuple

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from app.protocol.errors import TooLarge

BYTES: Final = 17 << 20
TYPE: Final = "multipart/form-data"


class Part(NamedTuple):
    """A part: the file's name (empty for a plain field) and its bytes."""

    name: str
    content: bytes


Parts = Mapping[str, Part]


async def parts(request: Request) -> Parts:
    """The first part of each name; none for any other content type. Raises TooLarge."""
    said = request.headers.get("content-type", "")
    if not said.startswith(TYPE):
        return {}
    if not hasattr(request.state, "parts"):
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > BYTES:
                raise TooLarge(f"a page takes files of {BYTES >> 20} MiB at most; larger ones go to the API")
        request.state.parts = await run_in_threadpool(read, said, bytes(body))
    found: Parts = request.state.parts
    return found


def read(said: str, body: bytes) -> dict[str, Part]:
    """The parts of a body with this content type; what is no part of a form is left out."""
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: %b\r\n\r\n%b" % (said.encode("latin-1", "replace"), body)
    )
    found: dict[str, Part] = {}
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            found.setdefault(name, Part(part.get_filename() or "", content))
    return found


Sent = Annotated[Parts, Depends(parts)]
