"""What is asked of an applicant, and what comes in over HTTP; unknown members are refused."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.platforms.stages import Kind
from app.protocol.text import rule

Code = Annotated[str, Field(pattern=r"^[NPCDSE]-\d{6}-\d{2}$", examples=["E-440000-01"])]
Region = Annotated[str, Field(pattern=r"^\d{6}$", examples=["440000"])]
Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    @field_validator("*")
    @classmethod
    def _text(cls, value: Any) -> Any:
        """Texts keep the hub's text rule before any database sees them; forms send lines that end in CRLF."""
        if type(value) is not str:
            return value
        text = value.replace("\r\n", "\n")
        if broken := rule(text):
            raise ValueError(f"{broken}: a character that is no text (docs/problems.md)")
        return text


class Contact(Body):
    """A person to reach; at least one of telephone and e-mail."""

    name: str = Field(min_length=1, max_length=64)
    duty: str = Field(default="", max_length=64, examples=["技术"])
    telephone: str = Field(default="", max_length=32, pattern=r"^[0-9+() -]*$")
    email: str = Field(default="", max_length=254, pattern=r"^$|^[^@\s]+@[^@\s]+\.[^@\s]+$")


class Application(Body):
    """What an applicant says of itself."""

    kind: Kind = Kind.VENDOR
    name: str = Field(min_length=1, max_length=200, description="of the platform or product")
    organisation: str = Field(min_length=1, max_length=200)
    region: Region
    level: Literal["P", "C", "D", ""] = Field(default="", description="of a platform: province, city, county")
    credit_code: str = Field(default="", max_length=18, examples=["91110000600037341L"])
    school_code: str = Field(default="", max_length=10, examples=["3144010001"])
    icp: str = Field(default="", max_length=64, examples=["京ICP备10000000号-1"])
    contacts: list[Contact] = Field(min_length=1, max_length=10)
    domain: str = Field(min_length=1, max_length=255, examples=["resources.example.com"])
    agreement: str = Field(min_length=1, max_length=32, description="the version of the agreement that is accepted")


class Submission(Body):
    """A word to the reviewers with a submission; `application` replaces what was said before."""

    note: str = Field(default="", max_length=2000)
    application: Application | None = None


class Proof(Body):
    """How the domain is proved."""

    by: Literal["file", "dns"]


class Approval(Body):
    """A step forward; `rests_on` names documents, without it the latest that the step asks for; `waive` ends a trial
    that is not over, with a reason."""

    reason: str = Field(default="", max_length=2000)
    rests_on: list[Sha] = Field(default=[], max_length=20)
    waive: bool = False


class Refusal(Body):
    """Why, and what it rests on."""

    reason: str = Field(default="", max_length=2000)
    rests_on: list[Sha] = Field(default=[], max_length=20)


class Stop(Body):
    """A suspension (at once without `days`) or a retirement (announced; `days` at least the grace period)."""

    reason: str = Field(default="", max_length=2000)
    days: int | None = Field(default=None, ge=0, le=3650)


class Agreement(Body):
    """Whom a platform reports to by agreement; null goes back to the region code."""

    parent: Code | None
    reason: Text


class Choice(Body):
    """A region's word on a vendor; `only` narrows it to codes of `stage`, `subject` or `type`."""

    platform: Code
    region: Region
    chosen: bool = True
    only: dict[Literal["stage", "subject", "type"], list[str]] = {}
    reason: str = Field(default="", max_length=2000)


class Grading(Body):
    """等级保护: level, number of the filing, last day of validity."""

    level: int = Field(ge=1, le=5)
    filing: str = Field(min_length=4, max_length=64, examples=["44010043001-23001"])
    expires_on: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=["2027-06-30"])
    document: Sha | Literal[""] = ""


class Notice(Body):
    """通报 to chosen platforms: by code, or all harvested ones of a region."""

    title: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=10_000)
    platforms: list[Code] = Field(default=[], max_length=5000)
    region: Region | None = None
    days: int | None = Field(default=None, ge=0, le=365, description="until it must be acknowledged")


class Acknowledgement(Body):
    """What was done about it."""

    platform: Code
    answer: str = Field(default="", max_length=2000)
