"""A hub with a source whose pages a test can edit, and what a reviewer does with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import select, update

from app.admission import policy, queue
from app.admission.decide import Decision, Item, decide
from app.admission.policy import Policy
from app.admission.tables import candidate, verdict
from app.admission.undo import undo
from app.catalogue import queries
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

HUB = "N-000000-01"
CODE = "P-440000-01"


class Desk(Hub):
    """One platform with one OAI-PMH feed; `edit` changes its pages before they are sent."""

    feed_id: int

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.edit: Callable[[bytes], bytes] = lambda body: body

    def again(self, job: str = "full") -> dict[str, Any]:
        """Harvests the feed."""
        return self.harvest(self.feed_id, job)

    def policy(self, **what: Any) -> None:
        """Sets a policy."""
        with self.database.write() as connection:
            policy.choose(connection, Policy(**what))

    def decide(
        self, decision: str, ids: list[str], by: str = "审核员甲", hub: str = HUB, **more: Any
    ) -> dict[str, Any]:
        """A decision; its answer."""
        with self.database.write() as connection:
            items = [id if isinstance(id, Item) else Item(id) for id in ids]
            made = decide(connection, Decision(decision, items, by, **more), hub)
        self.check()
        return made

    def undo(self, batch: str) -> list[str]:
        """Takes a batch back; the results."""
        with self.database.write() as connection:
            made = undo(connection, batch, "审核员甲", HUB)
        self.check()
        return [item["result"] for item in made["items"]]

    def later(self, seconds: int) -> None:
        """As if all verdicts were that much older."""
        with self.database.write() as connection:
            connection.execute(update(verdict).values(at=verdict.c.at - seconds * 1_000_000))

    def kept(self, state: str = "waiting") -> list[str]:
        """Ids of what is kept back in a state."""
        with self.database.read() as connection:
            query = select(candidate.c.id).where(candidate.c.state == state).order_by(candidate.c.id)
            return list(connection.execute(query).scalars())

    def waiting(self) -> list[dict[str, Any]]:
        """The queue."""
        with self.database.read() as connection:
            return queue.waiting(connection)

    def row(self, id: str) -> Any:
        """A record's row in the catalogue, or None."""
        with self.database.read() as connection:
            return queries.by_id(connection, id)


def id_of(number: int, code: str = CODE) -> str:
    """The hub's id of a demo record."""
    return f"ix:{code}:oai-pmh-1/oai:{code.lower()}.example:{number:06d}"


@contextmanager
def desk(database: Database, count: int = 30, code: str = CODE) -> Iterator[Desk]:
    """A desk with its source running; nothing is harvested yet."""
    made, plain = Desk(database), face(DemoPlatform(code, "广东平台", "oai-pmh", None, count))

    def answer(path: str) -> Answer:
        status, headers, body = plain(path)
        return status, headers, made.edit(body)

    with ReplayServer(answer) as url:
        made.feed_id = made.feed("oai-pmh", {"base_url": f"{url}/oai"}, platform=code)
        yield made
