"""The public status page: platforms of the board, narrowed and cut."""

from typing import Any, Final

from pydantic import BaseModel, Field

from app.console.pages.lists import cut
from app.console.regions import places
from app.monitor.board import Board, Bulletin, Plate, Shown, Word
from app.protocol.words import LEVELS

CLASSES: Final = {
    Word.INTERRUPTED: "fail", Word.DELAYED: "late", Word.CHECKED: "held", Word.CATCHING_UP: "run", Word.NOT_OPEN: "new",
    Word.IN_STEP: "ok", Word.PAUSED: "off",
}  # fmt: skip


class Wanted(BaseModel):
    """What a visitor narrows the list by; all of it stands in the address."""

    q: str = Field(default="", max_length=100)
    word: str = Field(default="", max_length=16)
    level: str = Field(default="", max_length=1)
    province: str = Field(default="", max_length=6)
    page: int = Field(default=1, ge=1, le=10_000)

    def keeps(self, one: Shown) -> bool:
        """Whether a platform stays in the list."""
        return (
            (not self.word or one.word.value == self.word)
            and (not self.level or one.level == self.level)
            and (not self.province or one.province == self.province)
            and self.q.strip().casefold() in f"{one.code} {one.name}".casefold()
        )


def listed(present: Bulletin, wanted: Wanted) -> dict[str, Any]:
    """A page of platforms with what stands above them."""
    found = [one for one in present.platforms.values() if wanted.keeps(one)]
    return {
        "present": present, "cut": cut(found, wanted.page), "query": wanted, "word_classes": CLASSES, "words": list(Word),
        "levels": list(LEVELS), "provinces": list(places().values()), "names": names(present),
    }  # fmt: skip


def plate(board: Board, code: str) -> dict[str, Any]:
    """One platform. Raises NotFound."""
    found: Plate = board.plate(code)
    return {"plate": found, "one": found.shown, "word_classes": CLASSES, "names": names(board.bulletin())}


def names(present: Bulletin) -> dict[str, str]:
    """Names of the platforms by code."""
    return {one.code: one.name for one in present.platforms.values()}
