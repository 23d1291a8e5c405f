"""The second wall, on PostgreSQL: row-level security on every tenant's table, should a statement ever pass the first
(`principal.within` and its guard) unnarrowed.

`principal` says at the beginning of each transaction who acts; without a word (worker, migrations, the hub's own people) the
policies open at their first condition. FORCE binds the owner of the tables too; a superuser, and a role with
BYPASSRLS, walks through all of it (`hutong doctor` says so). SQLite has no such thing.
"""

from typing import Final

from sqlalchemy import Connection, MetaData, Table, text

POLICY: Final = "tenant_rows"
_FUNCTIONS: Final = (
    """CREATE FUNCTION hutong_open() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('hutong.platforms', true), '') = '' $$""",
    """CREATE FUNCTION hutong_sees(code text, region text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT code = ANY (nullif(current_setting('hutong.platforms', true), '')::text[])
        OR region LIKE ANY (nullif(current_setting('hutong.regions', true), '')::text[]) $$""",
)
# Also with the enrolment's key, which lives while the platform is suspended.
_BY_ENROLMENT: Final = (
    "platform IN (SELECT code FROM platform) OR platform IN (SELECT code FROM enrolment WHERE code IS NOT NULL)"
)
# By the column, and by the region in a code (`L-RRRRRR-NN`), as `within` does.
_SEEN: Final = {
    "platform": "hutong_sees(code, region) OR hutong_sees(code, substr(code, 3, 6))",
    "enrolment": "hutong_sees(id, region) OR hutong_sees(code, region)",
    "choice": "platform IN (SELECT code FROM platform) OR hutong_sees('', region)",
    "platform_notice_addressee": _BY_ENROLMENT,
    "grading": _BY_ENROLMENT,
    "admission_policy": "platform = '*' OR hutong_sees(platform, substr(platform, 3, 6))"
    " OR platform IN (SELECT code FROM platform)",
}
_BY_PLATFORM: Final = "hutong_sees(platform, substr(platform, 3, 6)) OR platform IN (SELECT code FROM platform)"
_BY_FEED: Final = "feed_id IN (SELECT id FROM feed)"  # that look is under the policy of `feed` itself


def build(connection: Connection, metadata: MetaData) -> None:
    """Puts a policy on every table that is marked as a tenant's; called by the migration."""
    if connection.dialect.name != "postgresql":
        return
    for function in _FUNCTIONS:
        connection.execute(text(function))
    for table in tenants(metadata):
        connection.execute(text(f"ALTER TABLE {table.name} ENABLE ROW LEVEL SECURITY"))
        connection.execute(text(f"ALTER TABLE {table.name} FORCE ROW LEVEL SECURITY"))
        connection.execute(
            text(f"CREATE POLICY {POLICY} ON {table.name} USING ((SELECT hutong_open()) OR {_own(table)})")
        )


def tear_down(connection: Connection, metadata: MetaData) -> None:
    """Undoes `build` for the way down."""
    if connection.dialect.name != "postgresql":
        return
    for table in tenants(metadata):
        connection.execute(text(f"DROP POLICY {POLICY} ON {table.name}"))
    for name in ("hutong_open()", "hutong_sees(text, text)"):
        connection.execute(text(f"DROP FUNCTION {name}"))


def tenants(metadata: MetaData) -> list[Table]:
    """The tables whose rows belong to tenants."""
    return [table for table in metadata.sorted_tables if table.info.get("tenant")]


def walks_through(connection: Connection) -> bool:
    """Whether this database's role is bound by no policy."""
    if connection.dialect.name != "postgresql":
        return False
    query = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
    return bool(connection.execute(text(query)).scalar_one())


def _own(table: Table) -> str:
    if table.name in _SEEN:
        return f"({_SEEN[table.name]})"
    return f"({_BY_FEED if 'feed_id' in table.c and 'platform' not in table.c else _BY_PLATFORM})"
