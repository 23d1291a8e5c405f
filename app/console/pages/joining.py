"""The form of who wants to join: from its fields to an application, and all that is wrong with it by field."""

from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection

from app.access import passwords
from app.console.form import Form
from app.platforms import applications, checking, proof
from app.platforms.applications import Applied
from app.platforms.schemas import Application
from app.platforms.stages import Kind
from app.protocol.errors import BadRequest
from app.settings import Settings

PLAIN: Final = ("kind", "name", "organisation", "region", "level", "credit_code", "school_code", "icp", "domain")
CONTACTS: Final = 2
PERSON: Final = ("name", "duty", "telephone", "email")


class Wrong(Exception):
    """What is wrong with a form, by field."""

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults


def asked(form: Form, settings: Settings) -> Application:
    """The application that a form says. Raises Wrong with all its faults."""
    said: dict[str, Any] = {name: form.one(name) for name in PLAIN}
    said["contacts"] = [person for n in range(CONTACTS) if any((person := _person(form, n)).values())]
    said["agreement"] = form.one("agreement")
    try:
        found = Application.model_validate(said)
    except ValidationError as error:
        raise Wrong({_place(one["loc"]): one["msg"] for one in reversed(error.errors())}) from None
    if faults := {_place(tuple(w.field.split("/"))): w.why for w in checking.wrongs(found, settings.enrol_agreement)}:
        raise Wrong(faults)
    return found


def _person(form: Form, n: int) -> dict[str, str]:
    return {name: form.one(f"contact-{n}-{name}") for name in PERSON}


def _place(loc: tuple[Any, ...]) -> str:
    """The input that a pointer means."""
    if loc[0] == "contacts":
        return f"contact-{loc[1] if len(loc) > 1 else 0}-{loc[2] if len(loc) > 2 else 'name'}"
    return str(loc[0])


def password(form: Form) -> str:
    """The password, which is good and was typed twice alike. Raises Wrong."""
    found = form.fields.get("password", [""])[0]
    if found != form.fields.get("again", [""])[0]:
        raise Wrong({"again": "the two are not the same"})
    try:
        passwords.check(found, form.one("name"))
    except BadRequest as error:
        raise Wrong({"password": error.detail}) from None
    return found


def join(connection: Connection, found: Application, secret: str, settings: Settings) -> Applied:
    """Applies; what is shown once."""
    return applications.join(connection, found, secret, settings)


def page(settings: Settings, form: Form, faults: dict[str, str], problem: str = "") -> dict[str, Any]:
    """The form, with what was typed and what is wrong."""
    return {
        "form": form, "faults": faults, "problem": problem, "kinds": list(Kind), "contacts": range(CONTACTS),
        "person": PERSON, "open": settings.enrol_open, "agreement": settings.enrol_agreement,
        "agreement_url": settings.enrol_agreement_url, "where": None,
    }  # fmt: skip


def filled(row: dict[str, Any]) -> Form:
    """The form of an application as it stands."""
    fields = {name: [str(row[name])] for name in PLAIN}
    for n, person in enumerate(row["contacts"][:CONTACTS]):
        fields |= {f"contact-{n}-{name}": [person.get(name, "")] for name in PERSON}
    return Form({**fields, "agreement": [row["agreement"]]})


def joined(made: Applied, found: Application) -> dict[str, Any]:
    """What is shown once, and what comes next."""
    return {"made": made, "places": proof.places(checking.domain_of(found))}
