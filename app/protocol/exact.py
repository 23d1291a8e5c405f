"""Whether a record is right as it stands: one look at each value, by its type, its length and the text rule.

It only ever says yes to what the schema and the text rule would accept and leave unchanged (a property test holds
them together); a no means that they must judge, and name what is wrong.
"""

from typing import Any, Final

from app.protocol.text import rule


class Shape:
    """The fields of an object: texts and lists of texts by their longest text, whole numbers, objects inside."""

    def __init__(self, required: tuple[str, ...]) -> None:
        self.required: Final = required
        self.texts: Final[dict[str, int]] = {}
        self.lists: Final[dict[str, int]] = {}
        self.numbers: Final[set[str]] = set()
        self.objects: Final[dict[str, Shape]] = {}
        self.listed: Final[dict[str, Shape]] = {}


def fits(content: dict[str, Any], shape: Shape) -> bool:
    """True when every field is known, of its exact type, not empty and not too long, and none is missing."""
    return _objects([content], shape)


# Loops, not `all`, and one call for a whole list: a generator and a call cost more than what they ask here.
def _objects(values: list[Any], shape: Shape) -> bool:
    required, texts = shape.required, shape.texts
    for value in values:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, inner in value.items():
            if type(inner) is str:
                # Nothing that the text rule refuses is printable.
                if not 0 < len(inner) <= texts.get(name, 0) or not (inner.isprintable() or rule(inner) is None):
                    return False
            elif not _fits_inside(name, inner, shape):
                return False
    return True


def _fits_inside(name: str, value: Any, shape: Shape) -> bool:
    if type(value) is list:
        limit = shape.lists.get(name, 0)
        return _texts(value, limit) if limit else name in shape.listed and _objects(value, shape.listed[name])
    if type(value) is dict:
        return name in shape.objects and fits(value, shape.objects[name])
    return type(value) is int and name in shape.numbers


def _texts(values: list[Any], limit: int) -> bool:
    for value in values:
        if type(value) is not str or not 0 < len(value) <= limit:
            return False
        if not (value.isprintable() or rule(value) is None):
            return False
    return True
