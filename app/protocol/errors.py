"""Everything that can go wrong, by what the reader of the error does next.

HutongError
  CallerError         the request is at fault: change it           (blame caller)
    BadRequest 422   Unauthorized 401   Forbidden 403   NotFound 404   Conflict 409   CursorGone 410   TooLarge 413
    QuotaExceeded 429 the caller waits wait_s
  PeerError           a platform is at fault                       (blame theirs)
    PeerUnavailable   try again later, with backoff
      PeerUnreachable the network between us, not the platform: no address, no way, no answer to a connection
    PeerThrottled     the platform named a time: wait_s
    PeerRefused       it will not serve us (401, 403, 404 ...): a person must look
    PeerViolation     it answered, but not what its protocol promises; `kind` is the rule id
    AddressForbidden  the address guard refused to connect
      OutOfBounds 403 an applicant looks at its own domain only
  HubError            the hub is at fault                          (blame ours)
    FileMissing       an uploaded file is not where this machine looks for it
    LeaseLost         another worker owns the feed now: stop, nothing of the page is stored
    Unavailable 503   the database does not answer or cannot write now: nothing was done
      DiskFull 503    there is no room, or too little to go on taking in
    SecretLost        a sealed value has no key any more
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar


class HutongError(Exception):
    """An error with a `kind` (documented in docs/problems.md), an HTTP status, a blame and a recovery."""

    kind: str = "hub.error"
    status: ClassVar[int] = 500
    blame: ClassVar[str] = "ours"
    retry: ClassVar[bool] = False
    members: Mapping[str, Any] = MappingProxyType({})  # extension members of the problem document (RFC 9457, 3.2)

    def __init__(self, detail: str, *, errors: Sequence[Mapping[str, Any]] = (), wait_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = list(errors)
        self.wait_s = wait_s


class CallerError(HutongError):
    """The request cannot be served as it is."""

    kind = "request.invalid"
    status = 400
    blame = "caller"


class BadRequest(CallerError):
    """A value of the request is wrong; `errors` names each place."""

    status = 422


class Unauthorized(CallerError):
    """No credential, or none that holds. Always the same words: a caller learns nothing about why."""

    kind = "auth.required"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "this needs a valid credential: `Authorization: Bearer` with a key or token, or a signed-in person"
        )


class SecondFactorNeeded(Unauthorized):
    """The password is right; the account has a second factor and no code was given."""

    kind = "auth.second_factor"


class SignOnRefused(Unauthorized):
    """Signing in through the organisation's identity provider failed. `why` is for the audit chain, never for the caller."""

    kind = "auth.sign_on"

    def __init__(self, why: str) -> None:
        super().__init__()
        self.detail = "signing in with the organisation's account did not succeed"
        self.why = why


class Forbidden(CallerError):
    """The caller is known but may not do this; `errors` is empty, the detail names the scope."""

    kind = "auth.forbidden"
    status = 403


class NotFound(CallerError):
    """Nothing has this identifier."""

    kind = "not_found"
    status = 404


class Conflict(CallerError):
    """The thing exists already, or is in a state that does not allow this."""

    kind = "conflict"
    status = 409


class TooLarge(CallerError):
    """The body is larger than the limit."""

    kind = "request.too_large"
    status = 413


class CursorGone(CallerError):
    """The cursor is foreign, altered or of an earlier epoch: begin again from a snapshot."""

    kind = "cursor_gone"
    status = 410

    def __init__(self, detail: str, *, snapshot: str | None = None) -> None:
        super().__init__(detail)
        if snapshot is not None:  # IX/1 section 3.2 names these two members
            self.members = {"code": self.kind, "snapshot": snapshot}


class QuotaExceeded(CallerError):
    """More requests than the tenant's, or the anonymous address's, rate."""

    kind = "quota.exceeded"
    status = 429
    retry = True

    def __init__(self, detail: str, *, wait_s: float, limit: int) -> None:
        super().__init__(detail, wait_s=wait_s)
        self.limit = limit


class QuotaFull(CallerError):
    """The platform has as many feeds, records or bytes in the hub as it may."""

    kind = "quota.full"
    status = 409


class PeerError(HutongError):
    """A platform is at fault."""

    kind = "peer.error"
    status = 502
    blame = "theirs"


class PeerUnavailable(PeerError):
    """No usable answer: refused connection, time-out, 5xx, a body cut short."""

    kind = "peer.unavailable"
    retry = True


class PeerUnreachable(PeerUnavailable):
    """The platform could not be reached at all: its name has no address, or no connection came about in time."""

    kind = "net.unreachable"


class PeerThrottled(PeerError):
    """429 or 503 with Retry-After; `wait_s` seconds from now."""

    kind = "peer.throttled"
    retry = True


class PeerRefused(PeerError):
    """The platform refuses: 401, 403, 404, 410 and other 4xx."""

    kind = "peer.refused"


class PeerViolation(PeerError):
    """The answer breaks the platform's own protocol; the page is not stored and the checkpoint stays."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = rule


class AddressForbidden(PeerError):
    """The address is private, special or not allowed; add it to HUTONG_FETCH_ALLOW if that is intended."""

    kind = "net.address_forbidden"


class OutOfBounds(AddressForbidden):
    """A test key looks at the domain that its applicant has proved, and nowhere else."""

    kind = "net.out_of_bounds"
    status = 403
    blame = "caller"


class HubError(HutongError):
    """The hub is at fault."""


class FileMissing(HubError):
    """A file that was uploaded is not in this machine's data directory."""

    kind = "file.missing"


class LeaseLost(HubError):
    """The fence moved on: another worker owns this feed."""

    kind = "lease.lost"
    retry = True


class Unavailable(HubError):
    """The database is out of reach, restarting or locked; without it nobody is let in (OWASP ASVS 16.5.2)."""

    kind = "hub.unavailable"
    status = 503
    retry = True

    def __init__(self, detail: str, *, wait_s: float = 5) -> None:
        super().__init__(detail, wait_s=wait_s)


class DiskFull(Unavailable):
    """The disk is full, or so nearly that the hub takes nothing more in."""

    kind = "hub.disk_full"


class SecretLost(HubError):
    """A sealed value cannot be opened with the keys at hand."""

    kind = "hub.secret_lost"
