"""Scopes say which verbs, rows (see principal.py) say on whose things; roles are bundles of scopes for people."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from app.protocol.errors import BadRequest


class Scope(StrEnum):
    """What a route needs. The first six can be given to keys; the others only to people."""

    CATALOGUE_READ = "catalogue:read"
    CATALOGUE_PUSH = "catalogue:push"
    FEEDS_MANAGE = "feeds:manage"
    OPS_READ = "ops:read"
    OPS_WRITE = "ops:write"
    ENROL = "enrolment:own"
    KEYS_MANAGE = "keys:manage"
    PEOPLE_MANAGE = "people:manage"
    AUDIT_READ = "audit:read"
    ADMISSION_DECIDE = "admission:decide"


KEY_SCOPES = frozenset(
    {Scope.CATALOGUE_READ, Scope.CATALOGUE_PUSH, Scope.FEEDS_MANAGE, Scope.OPS_READ, Scope.OPS_WRITE, Scope.ENROL}
)
PLATFORM_SCOPES = KEY_SCOPES - {Scope.OPS_WRITE}
"""What a platform's key carries unless fewer are asked for: its own things, no decision of the hub."""


class Role(StrEnum):
    """What a person is. The first three are the 三员 of GB/T 22239-2019 8.1.4.2."""

    SYSTEM = "system-administrator"
    SECURITY = "security-administrator"
    AUDITOR = "auditor"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    PLATFORM = "platform-manager"
    VENDOR = "vendor"


_READS = frozenset({Scope.CATALOGUE_READ, Scope.OPS_READ})
_OWN = PLATFORM_SCOPES | {Scope.KEYS_MANAGE}
GRANTS: dict[Role, frozenset[Scope]] = {
    Role.SYSTEM: _READS | {Scope.FEEDS_MANAGE, Scope.OPS_WRITE},
    Role.SECURITY: _READS | {Scope.KEYS_MANAGE, Scope.PEOPLE_MANAGE},
    Role.AUDITOR: _READS | {Scope.AUDIT_READ},
    Role.OPERATOR: _READS | {Scope.FEEDS_MANAGE, Scope.OPS_WRITE},
    Role.REVIEWER: _READS | {Scope.ADMISSION_DECIDE},
    Role.PLATFORM: _OWN,
    Role.VENDOR: _OWN,
}
OFFICERS = frozenset({Role.SYSTEM, Role.SECURITY, Role.AUDITOR})
TENANTS = frozenset({Role.PLATFORM, Role.VENDOR})


APPLICANT: Final = frozenset({Scope.FEEDS_MANAGE, Scope.ENROL})
"""What the people of an application may do before it has become a platform: what its test key may."""


def granted(roles: Iterable[Role]) -> frozenset[Scope]:
    """All scopes of these roles."""
    return frozenset().union(*(GRANTS[role] for role in roles))


def roles_of(names: Iterable[str]) -> frozenset[Role]:
    """Roles by name. Raises BadRequest for an unknown one, and for two of the 三员 (or an auditor who also works)."""
    try:
        roles = frozenset(Role(name) for name in names)
    except ValueError as unknown:
        raise BadRequest(f"{unknown}; roles are {', '.join(Role)}") from None
    if not roles:
        raise BadRequest(f"a person needs at least one role of {', '.join(Role)}")
    if len(roles & OFFICERS) > 1 or (Role.AUDITOR in roles and len(roles) > 1):
        error = BadRequest(
            "system administrator, security administrator and auditor are three different people (三员分立), "
            "and an auditor has no other role"
        )
        error.kind = "auth.separation"
        raise error
    return roles


def scopes_of(names: Iterable[str], allowed: frozenset[Scope]) -> frozenset[Scope]:
    """Scopes by name. Raises BadRequest for one that is unknown or not among `allowed`."""
    wanted = set(names)
    if strange := wanted - set(allowed):
        raise BadRequest(
            f"scope {', '.join(sorted(strange))} cannot be given here; there are {' '.join(sorted(allowed))}"
        )
    return frozenset(Scope(name) for name in wanted)
