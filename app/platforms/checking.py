"""What can be wrong with an application, each with its field; and the row that a right one becomes. No database."""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson
from stdnum.cn import uscc

from app.platforms.schemas import Application
from app.platforms.stages import Kind, named
from app.protocol import vocab
from app.protocol.errors import BadRequest
from app.protocol.rules.identifiers import school

LEVELS: Final = {Kind.VENDOR: "E", Kind.SCHOOL: "S"}
_REGION_LEVEL: Final = {"P": 1, "C": 2, "D": 3}
_DOMAIN: Final = re.compile(r"(?=.{1,253}(?::|\Z))[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*(:\d{1,5})?\Z")  # fmt: skip
_CREDIT_CODE: Final = re.compile(r"[0-9A-HJ-NP-RTUW-Y]{2}\d{6}[0-9A-HJ-NP-RTUW-Y]{10}")


class Wrong(NamedTuple):
    """A field of an application, the kind of its page in docs/problems.md, and what is wrong with it."""

    field: str
    kind: str
    why: str


def wrongs(asked: Application, agreement: str) -> Iterator[Wrong]:
    """All that is wrong, in the order of the form."""
    yield from _placed(asked.region, level_of(asked))
    yield from _coded(asked)
    for number, contact in enumerate(asked.contacts):
        if not (contact.telephone or contact.email):
            yield Wrong(f"contacts/{number}", BadRequest.kind, "a telephone or an e-mail is needed to reach somebody")
    if not _DOMAIN.match(domain_of(asked)):
        why = "a host name such as resources.example.com (international ones as xn--...)"
        yield Wrong("domain", BadRequest.kind, why)
    if asked.agreement != agreement:
        why = f"the version in force is {agreement!r}; read it and accept that one"
        yield Wrong("agreement", "enrol.agreement", why)


def checked(asked: Application, agreement: str) -> dict[str, Any]:
    """An application as a row. Raises BadRequest of the first fault's kind with all faults in `errors`."""
    if found := list(wrongs(asked, agreement)):
        told = "; ".join(f"{one.field}: {one.why}" for one in found)
        raise named(
            BadRequest(told, errors=[{"pointer": f"body/{w.field}", "detail": w.why} for w in found]), found[0].kind
        )
    return {
        "kind": asked.kind, "level": level_of(asked), "region": asked.region, "name": asked.name, "icp": asked.icp,
        "organisation": asked.organisation, "credit_code": asked.credit_code.upper(), "school_code": asked.school_code,
        "contacts": orjson.dumps([contact.model_dump() for contact in asked.contacts]).decode(),
        "domain": domain_of(asked), "agreement": asked.agreement,
    }  # fmt: skip


def level_of(asked: Application) -> str:
    """E for a vendor, S for a school, what a platform says of itself."""
    return LEVELS.get(asked.kind, asked.level)


def domain_of(asked: Application) -> str:
    """The host in small letters, with its port if one was given."""
    return asked.domain.lower().rstrip(".")


def _placed(code: str, level: str) -> Iterator[Wrong]:
    region = vocab.region(code)
    if region is None or region.until:
        yield Wrong("region", BadRequest.kind, "not a code of GB/T 2260 that is in force")
    elif level in _REGION_LEVEL and region.level != _REGION_LEVEL[level]:
        yield Wrong("region", BadRequest.kind, f"{region.name} is not of the level {level}")
    if not level:
        yield Wrong("level", BadRequest.kind, "a platform is of a province (P), a city (C) or a county (D)")


def _coded(asked: Application) -> Iterator[Wrong]:
    if asked.kind == Kind.SCHOOL and not school(asked.school_code):
        why = "学校(机构)标识码 has ten digits: two of the kind, two of the province, six of the number"
        yield Wrong("school_code", "enrol.school_code", why)
    if asked.kind == Kind.SCHOOL and not asked.credit_code:
        return
    if why := wrong_credit_code(asked.credit_code.upper()):
        yield Wrong("credit_code", "enrol.credit_code", f"{why} (GB 32100-2015); compare with the certificate")


def wrong_credit_code(code: str) -> str:
    """What is wrong with a 统一社会信用代码, empty when nothing is."""
    if len(code) != 18:
        return "统一社会信用代码 has 18 characters"
    if not _CREDIT_CODE.fullmatch(code):
        return "digits and capital letters without I, O, S, V and Z; the third to the eighth are a region code"
    if not uscc.is_valid(code):
        return "校验位不符: the last character does not fit the other 17, one of them is wrong"
    return ""
