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


def fits(content: dict[str, Any], shape: Shape, fine: bool = False) -> bool:
    """True when every field is known, of its exact type, not empty and not too long, and none is missing.

    `fine`: all texts are known to keep the text rule.
    """
    return _objects([content], shape, fine)


# Loops, not `all`, and one call for a whole list: a generator and a call cost more than what they ask here.
def _objects(values: list[Any], shape: Shape, fine: bool) -> bool:
    required, texts = shape.required, shape.texts
    for value in values:
        if type(value) is not dict:
            return False
        for name in required:
            if name not in value:
                return False
        for name, inner in value.items():
            if type(inner) is str:
                if not 0 < len(inner) <= texts.get(name, 0) or not (fine or _keeps_rule(inner)):
                    return False
            elif not _fits_inside(name, inner, shape, fine):
                return False
    return True


def _fits_inside(name: str, value: Any, shape: Shape, fine: bool) -> bool:
    if type(value) is list:
        limit = shape.lists.get(name, 0)
        if limit:
            return _texts(value, limit, fine)
        return name in shape.listed and _objects(value, shape.listed[name], fine)
    if type(value) is dict:
        return name in shape.objects and fits(value, shape.objects[name], fine)
    return type(value) is int and name in shape.numbers


def _texts(values: list[Any], limit: int, fine: bool) -> bool:
    for value in values:
        if type(value) is not str or not 0 < len(value) <= limit or not (fine or _keeps_rule(value)):
            return False
    return True


def _keeps_rule(text: str) -> bool:
    # Nothing that the text rule refuses is printable.
    return text.isprintable() or rule(text) is None
