"""What an applicant must know before the first word: is the hub open, what is accepted, what is asked for."""

from typing import Any

from app.platforms import documents, proof
from app.platforms.stages import FORGOTTEN_DAYS, Kind
from app.settings import Settings


def terms(settings: Settings) -> dict[str, Any]:
    """Plain facts for a form; the same for everybody."""
    return {
        "open": settings.enrol_open,
        "agreement": {"version": settings.enrol_agreement, "url": settings.enrol_agreement_url or None},
        "kinds": list(Kind), "levels": ["P", "C", "D"], "prove": proof.places("DOMAIN"),
        "documents": {"kinds": documents.KINDS, "bytes": documents.BYTES, "most": documents.MOST},
        "two_people": settings.enrol_two_people.split(",") if settings.enrol_two_people else [],
        "kept_unsubmitted_days": FORGOTTEN_DAYS,
    }  # fmt: skip
