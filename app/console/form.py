"""What a page's form sent: `application/x-www-form-urlencoded`, bounded, without characters that hide."""

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import Depends, Request

from app.protocol.errors import BadRequest, TooLarge
from app.protocol.text import rule

BYTES: Final = 1 << 20
FIELDS: Final = 20_000
REASON: Final = 500


class Form:
    """The fields of a form by name; a field that was not sent is empty."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self.fields = fields

    def one(self, name: str) -> str:
        """The first value, its outer blanks gone."""
        return self.fields.get(name, [""])[0].strip()

    def all(self, name: str) -> list[str]:
        """Every value, as check boxes send them."""
        return self.fields.get(name, [])

    def reason(self, *, needed: bool = False) -> str:
        """Why somebody does what the form does. Raises BadRequest where it must be said and is not, or is too long."""
        said = self.one("why")
        if needed and not said:
            raise BadRequest("say why: the reason is kept beside the decision")
        if len(said) > REASON:
            raise BadRequest(f"the reason has {len(said)} characters, at most {REASON} are kept")
        return said


def parsed(body: bytes) -> Form:
    """A form from its bytes. Raises BadRequest (more than FIELDS fields, control characters)."""
    try:
        text = body.decode("utf-8", "replace").replace("%0D%0A", "%0A")  # browsers send both at a line's end
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=FIELDS)
    except ValueError:
        raise BadRequest(f"the form has more than {FIELDS} fields") from None
    for name, values in fields.items():
        for value in values:
            if (broken := rule(value)) is not None:
                raise BadRequest(f"the field {name[:50]!r} holds a character that is not allowed ({broken})")
    return Form(fields)


async def _form(request: Request) -> Form:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > BYTES:
            raise TooLarge(f"a form is at most {BYTES >> 20} MiB")
    return parsed(bytes(body))


Posted = Annotated[Form, Depends(_form)]
