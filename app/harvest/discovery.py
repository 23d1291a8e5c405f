"""The one point where the hub reaches its connectors: each file of `connectors/` names its kind."""

import importlib
import pkgutil
from functools import cache
from typing import Any

from pydantic import ValidationError

import connectors
from app.protocol import mapping as crosswalk
from app.protocol.connector import Connector
from app.protocol.errors import BadRequest


@cache
def kinds() -> dict[str, type[Connector]]:
    """All kinds by name."""
    found: dict[str, type[Connector]] = {}
    for module in pkgutil.iter_modules(connectors.__path__):
        for value in vars(importlib.import_module(f"connectors.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, Connector) and "name" in vars(value):
                found[value.name] = value
    return dict(sorted(found.items()))


def configured(kind: str, config: dict[str, Any]) -> Connector:
    """A connector with its configuration. Raises BadRequest that names each wrong key."""
    if kind not in kinds():
        raise BadRequest(f"there is no connector {kind!r}; there are {', '.join(kinds())}")
    try:
        return kinds()[kind].model_validate(config)
    except ValidationError as error:
        errors = [{"pointer": "/".join(map(str, e["loc"])), "detail": e["msg"]} for e in error.errors()]
        named = "; ".join(f"{e['pointer']}: {e['detail']}" for e in errors)
        raise BadRequest(f"configuration of {kind}: {named}", errors=errors) from None


def mapped(kind: str, mapping: dict[str, Any] | None) -> dict[str, Any] | None:
    """A feed's mapping, checked. Raises BadRequest for a wrong one, and for none where the kind cannot do without."""
    if mapping is not None:
        crosswalk.checked(mapping)
    elif kinds()[kind].needs_mapping:
        raise BadRequest(
            f"a feed of the kind {kind} needs a mapping (--mapping @FILE); `hutong probe URL` proposes one"
        )
    return mapping
