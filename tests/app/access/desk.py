"""A hub over a real socket with people of every role, for tests of who may do what."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.access import keys, people
from app.access.door import COOKIE
from app.access.scopes import TENANTS, Role
from app.db import Database
from app.main import create
from app.platforms import service as platforms
from app.settings import Settings
from tests.planted import PASSWORD, SECRET_KEY
from tests.served import listening

UNLIMITED = "999999999/s"
PATIENCE_S = 60  # of a test on a busy machine; no figure rests on it


class Desk:
    """One hub, its address and its people."""

    def __init__(self, url: str, database: Database, settings: Settings, app: Any) -> None:
        self.url, self.database, self.settings, self.app = url, database, settings, app
        self.clients: list[httpx.Client] = []

    def platform(self, code: str) -> str:
        """An enrolled platform and a key of it."""
        with self.database.write() as connection:
            platforms.register(connection, code, f"platform {code}")
            return keys.issue(connection, code).key

    def person(
        self, name: str, role: str, *, platforms: tuple[str, ...] = (), regions: tuple[str, ...] = ()
    ) -> "Signed":
        """An account, signed in."""
        with self.database.write() as connection:
            people.add(connection, name, PASSWORD, [role], platforms=platforms, regions=regions, initial=False)
        return self.sign_in(name)

    def everyone(self) -> dict[str, "Signed"]:
        """One person a role; tenants belong to the platform P-440000-01."""
        return {
            role: self.person(f"a-{role}", role, platforms=("P-440000-01",) if role in TENANTS else ()) for role in Role
        }

    def sign_in(self, name: str, password: str = PASSWORD, code: str = "") -> "Signed":
        """A session. Raises AssertionError when refused."""
        answer = self.login(name, password, code)
        assert answer.status_code == 200, answer.text
        self.clients.append(signed := Signed(self.url, answer))
        return signed

    def login(self, name: str, password: str = PASSWORD, code: str = "") -> httpx.Response:
        """The answer of the sign-in."""
        return httpx.post(
            f"{self.url}/api/v1/login", timeout=PATIENCE_S, json={"name": name, "password": password, "code": code}
        )

    def key_client(self, key: str) -> httpx.Client:
        """A program with a key or token."""
        self.clients.append(
            made := httpx.Client(base_url=self.url, timeout=PATIENCE_S, headers={"Authorization": f"Bearer {key}"})
        )
        return made

    def token(self, client: str, key: str, **more: str) -> httpx.Response:
        """The answer of the token endpoint."""
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": key, **more}
        return httpx.post(f"{self.url}/oauth/token", data=form, timeout=PATIENCE_S)


class Signed(httpx.Client):
    """A browser's side of a session. The cookie is sent by hand: it is Secure and the test's socket is plain."""

    def __init__(self, url: str, answer: httpx.Response) -> None:
        self.cookie = answer.headers["set-cookie"].split(";")[0].removeprefix(f"{COOKIE}=")
        self.csrf, self.must = answer.json()["csrf"], answer.json()["must"]
        headers = {"Cookie": f"{COOKIE}={self.cookie}", "X-CSRF-Token": self.csrf, "Origin": url}
        super().__init__(base_url=url, timeout=PATIENCE_S, headers=headers)


@contextmanager
def desk(database: Database, folder: Path, **settings: Any) -> Iterator[Desk]:
    """A running hub on this database; nothing is harvested."""
    plain = {
        "data_dir": folder, "database_url": database.url.render_as_string(hide_password=False), "secret_key": SECRET_KEY,
        "quota_tenant": UNLIMITED, "quota_anonymous": UNLIMITED,
    }  # fmt: skip
    made = Settings(**plain | settings)
    app = create(made, harvest=False)
    with listening(app, proxy_headers=False) as url:
        running = Desk(url, database, made, app)
        try:
            yield running
        finally:
            for client in running.clients:
                client.close()
