"""Platforms, feeds, runs and the catalogue."""

import secrets

from alembic import op
from sqlalchemy import text

from app.access import audit, wall
from app.access import tables as access
from app.admission import tables as admission
from app.catalogue import search
from app.catalogue import tables as catalogue
from app.db import metadata
from app.feeds import tables as feeds
from app.harvest import tables as harvest
from app.monitor import tables as monitor
from app.platforms import tables as platforms

revision = "0001"
down_revision = None

SEQUENCES = ("record_pk", "original_pack_id")
ROOMS = (access, platforms, feeds, catalogue, admission, harvest, monitor)


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection, checkfirst=False)
    search.create(connection)
    audit.protect(connection)
    wall.build(connection, metadata)
    if connection.dialect.name == "postgresql":
        for name in SEQUENCES:
            connection.execute(text(f"CREATE SEQUENCE {name} CACHE 1"))
    for name in ("seq", "pk", "at"):
        connection.execute(catalogue.position.insert(), {"name": name, "value": 0})
    connection.execute(catalogue.about.insert(), {"name": "epoch", "value": secrets.token_hex(8)})


def downgrade() -> None:
    connection = op.get_bind()
    search.drop(connection)
    audit.unprotect(connection)
    wall.tear_down(connection, metadata)
    if connection.dialect.name == "postgresql":
        for name in SEQUENCES:
            connection.execute(text(f"DROP SEQUENCE {name}"))
    metadata.drop_all(connection)
