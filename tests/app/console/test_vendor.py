"""The pages of who wants to join, or has: what is typed stays, what is one's own is nobody else's."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import html
from sqlalchemy import update

from app.access import audit, secrets
from app.access.principal import Principal, Rows
from app.access.scopes import APPLICANT, GRANTS, Role
from app.catalogue import completeness
from app.console import questions
from app.console.form import Form
from app.console.pages import vendor
from app.db import Database, now
from app.feeds import service as feeds
from app.harvest.discovery import configured, kinds
from app.platforms.tables import enrolment
from app.protocol.errors import BadRequest, Forbidden
from tests.app.access.desk import PASSWORD, Desk, Signed, desk
from tests.app.platforms.office import admitted, credit_code, in_sandbox, proved, website
from tests.hub import Hub

PAGE = {"Accept": "text/html"}
PLACE = "/.well-known/hutong-challenge"
LINES = "".join(f'{{"id":"a{n}","title":"第{n}课","subject":"数学"}}\n' for n in range(30))


@pytest.fixture
def hub(sqlite: Database, tmp_path: Path) -> Iterator[Desk]:
    """A running hub that may reach loopback."""
    with desk(sqlite, tmp_path, fetch_allow="127.0.0.0/8") as running:
        yield running


def _form(place: str, **more: str) -> dict[str, str]:
    said = {
        "kind": "vendor", "name": "备课助手", "organisation": "示例教育科技有限公司", "region": "110000", "domain": place,
        "credit_code": credit_code(), "contact-0-name": "陈工", "contact-0-email": "chen@example.com", "agreement": "2026-1",
        "password": PASSWORD, "again": PASSWORD,
    }  # fmt: skip
    return {**said, **more}


def _tree(answer: httpx.Response) -> Any:
    return html.fromstring(answer.content)


def _joined(hub: Desk, domain: str) -> tuple[str, Signed]:
    """An applicant by the form, signed in."""
    answer = httpx.post(f"{hub.url}/join", data=_form(domain))
    assert answer.status_code == 201, answer.text
    number = str(_tree(answer).xpath("string(//code[@id='number'])"))
    return number, hub.sign_in(number)


def _own(hub: Desk, code: str, name: str = "a-vendor") -> Signed:
    return hub.person(name, Role.VENDOR, platforms=(code,))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("organisation", ""), ("region", "999999"), ("region", "abc"), ("credit_code", "911100006000373410"),
        ("domain", "https://x.example/"), ("contact-0-name", ""), ("contact-0-email", "nobody"), ("agreement", "2020-1"),
        ("password", "short"), ("again", "another-lantern-41"), ("kind", "friend"), ("school_code", "12345678901"),
    ],
)  # fmt: skip
def test_what_is_wrong_stands_beside_its_field_and_all_that_was_typed_stays(hub: Desk, field: str, value: str) -> None:
    changed = {field: value} | ({"again": value} if field == "password" else {})
    form = _form("resources.example.com", **changed)
    answer = httpx.post(f"{hub.url}/join", data=form)
    tree = _tree(answer)
    assert answer.status_code == 422
    found = tree.xpath("//span[@class='wrong']/@id")
    assert found == [f"e-{field}"]
    typed = {str(e.get("name")): e.get("value") for e in tree.xpath("//form[contains(@class,'ask')]//input")}
    assert {k: typed[k] for k in form if k in typed and k not in ("password", "again", "agreement")} == {
        k: v for k, v in form.items() if k in typed and k not in ("password", "again", "agreement")
    }
    assert typed["password"] is None


def test_another_sites_page_cannot_apply_and_a_full_hub_says_so(hub: Desk) -> None:
    foreign = httpx.post(f"{hub.url}/join", data=_form("a.example"), headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    object.__setattr__(hub.settings, "enrol_waiting", 1)
    assert httpx.post(f"{hub.url}/join", data=_form("a.example")).status_code == 201
    full = httpx.post(f"{hub.url}/join", data=_form("b.example"))
    assert (full.status_code, "备课助手" in full.text) == (429, True)


def test_an_applicant_may_what_its_test_key_may_and_no_more(hub: Desk) -> None:
    number, signed = _joined(hub, "resources.example.com")
    assert set(signed.get("/api/v1/me").json()["scopes"]) == set(APPLICANT)
    assert signed.get("/vendor", headers=PAGE).headers["location"] == f"/vendor/{number}"
    assert signed.get("/", headers=PAGE).headers["location"] == "/vendor"
    for path in ("/system", "/platforms", "/runs", "/metrics", "/enrolments"):
        assert signed.get(path, headers=PAGE).status_code == 403, path
    looked = signed.post("/api/v1/probe", json={"url": f"{hub.url}/oai"})
    assert looked.json()["failed"][0]["kind"] == "net.out_of_bounds"
    with hub.database.read() as connection:
        assert audit.search(connection, act="person.added")[0]["object"] == f"person:{number}"


def test_a_domain_is_proved_from_the_page_and_says_why_when_it_is_not(hub: Desk) -> None:
    pages: dict[str, str] = {}
    with website(pages) as domain:
        number, signed = _joined(hub, domain)
        home = f"/vendor/{number}"
        failed = signed.post(f"{home}/proof", data={"by": "file"})
        assert (failed.status_code, "does not hold" in failed.text) == (422, True)
        challenge = _tree(signed.get(home)).xpath("//div[@class='next']//dd/code/text()")[1]
        pages[PLACE] = str(challenge)
        assert signed.post(f"{home}/proof", data={"by": "file"}).status_code == 303
        made = signed.post(f"{home}/key")
        assert made.status_code == 201
        assert _tree(made).xpath("string(//code[@id='key'])").startswith("hk_")
        pages["/lines"] = LINES
        config = {"c-kind": "ndjson", "c-url": f"http://{domain}/lines", "c-id_paths": "id"}
        mapping = '{"version":1,"fields":{"title":{"path":"title"},"subject":{"path":"subject"}}}'
        sample = signed.post(f"{home}/feeds/new", data={"do": "sample", "mapping": mapping, **config})
        assert len(_tree(sample).xpath("//article[@class='hit']")) == 20
        early = signed.post(f"{home}/feeds/new", data={"do": "register", "mapping": mapping, **config})
        assert early.status_code == 409
        assert signed.post(f"{home}/submit").status_code == 303
        again = signed.post(f"{home}/submit")
        assert (again.status_code, "enrol.stage" in again.text) == (409, True)


def test_a_draft_is_put_right_and_another_domain_is_proved_anew(hub: Desk) -> None:
    number, signed = _joined(hub, "resources.example.com")
    page = _tree(signed.get(f"/vendor/{number}/application"))
    assert page.xpath("string(//input[@name='organisation']/@value)") == "示例教育科技有限公司"
    form = _form("other.example.com", name="新名称")
    assert signed.post(f"/vendor/{number}/application", data=form).status_code == 303
    assert "other.example.com/.well-known" in signed.get(f"/vendor/{number}").text
    moved = signed.post(f"/vendor/{number}/application", data={**form, "region": "310000"})
    assert (moved.status_code, "region and kind" in moved.text) == (422, True)
    assert signed.post(f"/vendor/{number}/withdraw", data={"why": "不做了"}).status_code == 303
    assert signed.get(f"/vendor/{number}", headers=PAGE).status_code == 404
    assert set(hub.sign_in(number).get("/api/v1/me").json()["scopes"]) == set(APPLICANT)


def test_a_secret_is_never_shown_again_and_goes_to_the_vault(hub: Desk) -> None:
    operator = hub.person("wang", Role.OPERATOR)
    with proved(hub) as applicant:
        code, _ = in_sandbox(hub, applicant, operator)
        signed = _own(hub, code)
        form = {
            "c-kind": "ix",
            "c-base_url": f"http://{applicant.said['domain']}",
            "c-api_key": "s3cret-token",
            "name": "目录",
        }
        looked = signed.post(f"/vendor/{applicant.id}/feeds/new", data={"do": "sample", **form})
        assert "s3cret-token" not in looked.text
        assert signed.post(f"/vendor/{applicant.id}/feeds/new", data={"do": "register", **form}).status_code == 303
        feed = signed.get("/api/v1/feeds").json()["items"][0]
        assert (feed["platform"], feed["name"], "s3cret-token" in str(feed)) == (code, "目录", False)


def test_a_wrong_configuration_is_named_by_its_field(hub: Desk) -> None:
    operator = hub.person("wang", Role.OPERATOR)
    with proved(hub) as applicant:
        code, _ = in_sandbox(hub, applicant, operator)
        signed, path = _own(hub, code), f"/vendor/{applicant.id}/feeds/new"
        for form, field in (
            ({"do": "sample", "c-kind": "ix", "c-base_url": "nowhere"}, "base_url"),
            ({"do": "register", "c-kind": "ix", "c-base_url": "http://a.example", "c-limit": "many"}, "limit"),
            ({"do": "sample", "c-kind": "json", "c-url": "http://a.example", "c-paging": "{"}, "paging"),
            ({"do": "register", "c-kind": "ndjson", "c-url": "http://a.example", "c-id_paths": "id"}, "mapping"),
            ({"do": "register", "c-kind": "ndjson", "c-url": "http://a.example", "mapping": "[1"}, "mapping"),
            ({"do": "probe", "url": "ftp://a.example"}, "url"),
        ):
            answer = signed.post(path, data=form)
            assert answer.status_code == 422, form
            assert _tree(answer).xpath("//span[@class='wrong']/@id") == [f"e-{field}"], form
        assert signed.post(path, data={"do": "sample", "c-kind": "none"}).status_code == 422
        assert signed.post(path, data={"do": "probe", "url": "http://127.0.0.1:9/"}).status_code == 200


@pytest.mark.parametrize("kind", list(kinds()))
def test_a_form_asks_for_every_field_of_a_kind_and_gives_its_defaults_back(kind: str) -> None:
    asked = questions.questions(kind, {})
    assert {q.name for q in asked} == set(kinds()[kind].model_fields)
    needed = {"address": "https://a.example/x", "lines": "id", "json": '{"format":"ndjson","id_paths":["id"]}'}
    fields = {f"c-{q.name}": [q.value or (needed[q.way] if q.required else "")] for q in asked}
    made = configured(kind, questions.answers(kind, Form(fields)))
    plain = configured(kind, {q.name: questions._answer(q, needed[q.way]) for q in asked if q.required})
    assert made == plain


def test_text_that_is_no_json_is_refused_by_its_field() -> None:
    with pytest.raises(BadRequest, match="paging"):
        questions.answers("json", Form({"c-paging": ["{"]}))


def test_keys_are_rotated_and_revoked_from_the_page(hub: Desk) -> None:
    wang, li = hub.person("wang", Role.OPERATOR), hub.person("li", Role.OPERATOR)
    with proved(hub) as applicant:
        code, _ = admitted(hub, applicant, wang, li)
        signed, home = _own(hub, code), f"/vendor/{applicant.id}"
        prefix = next(k["prefix"] for k in signed.get("/api/v1/keys").json()["items"] if k["label"] == "main")
        rotated = signed.post(f"{home}/keys/{prefix}/rotate")
        assert (rotated.status_code, 'id="key"' in rotated.text) == (201, True)
        assert signed.post(f"{home}/keys/{prefix}/revoke").status_code == 422
        assert signed.post(f"{home}/keys/{prefix}/revoke", data={"why": "轮换完成"}).status_code == 303
        states = {k["prefix"]: k["state"] for k in signed.get("/api/v1/keys").json()["items"]}
        assert states[prefix] == "revoked"
        wang.post("/api/v1/notices", json={"title": "核对联系人", "body": "请核对", "platforms": [code], "days": 7})
        assert "核对联系人" in signed.get(home).text
        assert "有通报未回执" in signed.get(f"{home}/diagnosis").text
        assert signed.post(f"{home}/notices/1", data={"why": "已核对"}).status_code == 303
        assert "有通报未回执" not in signed.get(f"{home}/diagnosis").text


def _mapping(domain: str, path: str) -> dict[str, Any]:
    fields = {"title": {"path": "title"}, "subject": {"path": "subject"}}
    config = {"url": f"http://{domain}{path}", "id_paths": ["id"]}
    return {"connector": "ndjson", "config": config, "mapping": {"version": 1, "fields": fields}}


def test_a_feed_goes_on_from_another_address_of_its_domain_that_brings_the_same_records(hub: Desk) -> None:
    wang, li = hub.person("wang", Role.OPERATOR), hub.person("li", Role.OPERATOR)
    others = LINES.replace('"a', '"b')
    with website({"/old": LINES, "/new": LINES, "/others": others}) as domain, proved(hub) as applicant:
        code, main = admitted(hub, applicant, wang, li)
        with hub.database.write() as connection:
            connection.execute(update(enrolment).where(enrolment.c.id == applicant.id).values(domain=domain))
        body = {"platform": code, "name": "目录", **_mapping(domain, "/old")}
        feed = main.post("/api/v1/feeds", json=body).json()["id"]
        rig = Hub(hub.database)
        for _ in range(2):  # from 1 % to all
            raised = wang.post(f"/api/v1/feeds/{feed}/ramp", json={"act": "raise", "reason": "known for years"})
            assert raised.status_code == 200, raised.text
        assert rig.harvest(feed)["created"] == 30
        signed, path = _own(hub, code), f"/vendor/{applicant.id}/feeds/{feed}"
        assert "100 %" in signed.get(path).text
        form = {"c-kind": "ndjson", "c-id_paths": "id", "why": "换服务器"}
        for address, status, kind in (
            (f"http://{domain}/others", 409, "enrol.another_catalogue"), ("http://127.0.0.2/new", 403, "enrol.elsewhere"),
            ("nowhere", 422, "request.invalid"),
        ):  # fmt: skip
            refused = signed.post(f"{path}/move", data={**form, "c-url": address})
            assert (refused.status_code, f"/problems/{kind}" in refused.text) == (status, True), address
            assert f'value="{address}"' in refused.text
        assert (
            signed.post(f"{path}/move", data={"c-url": f"http://{domain}/new", "c-id_paths": "id"}).status_code == 422
        )
        assert signed.post(f"{path}/move", data={**form, "c-url": f"http://{domain}/new"}).status_code == 303
        moved = signed.get(f"/api/v1/feeds/{feed}").json()
        assert (moved["config"]["url"], moved["checkpoint"]) == (f"http://{domain}/new", {})
        assert (rig.harvest(feed)["unchanged"], rig.live()) == (30, 30)


def test_a_feed_is_moved_to_another_domain_by_the_operator_alone(hub: Desk) -> None:
    operator = hub.person("wang", Role.OPERATOR)
    with proved(hub) as applicant:
        code, sandbox = in_sandbox(hub, applicant, operator)
        body = {
            "platform": code,
            "name": "f",
            "connector": "ix",
            "config": {"base_url": "https://a.example", "api_key": "k"},
        }
        feed = sandbox.post("/api/v1/feeds", json=body).json()["id"]
        ring, rows = hub.app.state.gate.ring, Rows(platforms=frozenset({code}))
        vendor_ = Principal("person:v", GRANTS[Role.VENDOR], rows)
        for address in ("https://b.example/", "https://127.0.0.1.evil.example/"):
            with pytest.raises(Forbidden) as refused, hub.database.acting(vendor_).write() as connection:
                feeds.move(connection, feed, {"base_url": address}, (ring, {}), "x")
            assert refused.value.kind == "enrol.elsewhere"
        with hub.database.write() as connection:
            feeds.move(connection, feed, {"base_url": "https://b.example/"}, (ring, {}), "x")
            assert feeds.by_id(connection, feed)["config"] == {"base_url": "https://b.example/", "api_key": feeds.MASK}
            assert secrets.opened(connection, ring, feeds.owner(feed)) == {"api_key": "k"}


def test_a_member_leaves_with_notice_and_takes_it_back_but_not_the_hubs(hub: Desk) -> None:
    wang, li = hub.person("wang", Role.OPERATOR), hub.person("li", Role.OPERATOR)
    with proved(hub) as applicant:
        code, _ = admitted(hub, applicant, wang, li)
        signed, home = _own(hub, code), f"/vendor/{applicant.id}"
        assert signed.post(f"{home}/leave").status_code == 422
        assert signed.post(f"{home}/leave", data={"why": "停办"}).status_code == 303
        row = applicant.shown()
        assert (row["stage"], row["due_stage"]) == ("trial", "retired")
        assert signed.post(f"{home}/leave", data={"why": "又"}).status_code == 409
        assert signed.post(f"{home}/stay", data={"why": "不停了"}).status_code == 303
        assert applicant.shown()["due_at"] is None
        wang.post(f"/api/v1/enrolments/{code}/suspend", json={"reason": "维护", "days": 3})
        assert signed.post(f"{home}/stay", data={"why": "不"}).status_code == 403
        assert applicant.shown()["due_stage"] == "suspended"


def test_completeness_is_compared_with_enough_peers_of_the_same_level_and_with_last_month(database: Database) -> None:
    rig = Hub(database)
    with website({"/l": LINES, "/m": '{"id":"x","title":"一","subject":"数学"}\n'}) as domain:
        ids = [rig.feed(platform=f"E-110000-{n:02}", **_mapping(domain, "/l")) for n in range(1, 5)]
        rig.feed(platform="P-110000-01", **_mapping(domain, "/m"))
        for feed in ids:
            rig.harvest(feed)
    with database.write() as connection:
        assert completeness.refresh(connection) == 4
        assert completeness.refresh(connection) == 0
        assert completeness.peers(connection, "P-110000-01") == (0, {})
        number, shares = completeness.peers(connection, "E-110000-01")
        assert (number, shares["title"], shares["subject"]) == (3, 1.0, 1.0)
        month = completeness.month_of(now(connection))
        kept = completeness.kept(connection, ids[0], month)
        assert kept == completeness.current(connection, ids[0])
        assert completeness.kept(connection, ids[0], completeness.month_of(now(connection), 1)) is None
    alone = Principal("person:v", GRANTS[Role.VENDOR], Rows(platforms=frozenset({"E-110000-01"})))
    with database.acting(alone).read() as connection:
        assert completeness.kept(connection, ids[1], month) is None
        assert completeness.peers(connection, "E-110000-01")[0] == 3


@pytest.mark.parametrize(
    ("at", "back", "month"), [(1_795_795_200, 0, 202611), (1_795_795_200, 11, 202512), (1_798_735_600, 0, 202701)]
)
def test_a_month_is_that_of_beijing(at: int, back: int, month: int) -> None:
    assert completeness.month_of(at * 1_000_000, back) == month


def test_files_come_in_by_pages_with_the_token_of_the_session_and_byte_for_byte(hub: Desk) -> None:
    wang, li = hub.person("wang", Role.OPERATOR), hub.person("li", Role.OPERATOR)
    with proved(hub) as applicant:
        code, _ = admitted(hub, applicant, wang, li)
        signed, home = _own(hub, code), f"/vendor/{applicant.id}"
        token = signed.headers.pop("X-CSRF-Token")
        odd = bytes(range(256)) + b"\r\n--\r\n\r\n"
        assert (
            signed.post(f"{home}/documents", files={"file": ("a.pdf", odd)}, data={"kind": "licence"}).status_code
            == 403
        )
        said = {"kind": "licence", "csrf_token": token}
        assert signed.post(f"{home}/documents", files={"file": ("证照.pdf", odd)}, data=said).status_code == 303
        kept = applicant.shown()["documents"][0]
        assert (kept["kind"], kept["sha256"]) == ("licence", sha256(odd).hexdigest())
        empty = signed.post(f"{home}/documents", files={"file": ("a.pdf", b"")}, data=said)
        assert (empty.status_code, "文件没有保存" in empty.text) == (422, True)
        table = "id,标题,学科\n" + "".join(f"u{n},第{n}课,数学\n" for n in range(25))
        looked = signed.post(
            f"{home}/feeds/look", files={"file": ("目录.csv", table.encode())}, data={"csrf_token": token}
        )
        tree = _tree(looked)
        assert len(tree.xpath("//article[@class='hit']")) == 20
        form = {
            "do": "register",
            "csrf_token": token,
            "c-kind": "upload",
            "name": "上传",
            "mapping": tree.xpath("string(//textarea[@name='mapping'])"),
        }
        made = signed.post(
            f"{home}/feeds/new", data={**form, "c-file": tree.xpath("string(//textarea[@name='c-file'])")}
        )
        assert made.status_code == 303, made.text[-2000:]
        page = made.headers["location"]
        assert (
            signed.post(f"{page}/files", files={"file": ("目录.csv", b"")}, data={"csrf_token": token}).status_code
            == 422
        )
        assert (
            signed.post(
                f"{page}/files", files={"file": ("目录.csv", table.encode())}, data={"csrf_token": token}
            ).status_code
            == 303
        )
        assert [row.xpath("string(span)") for row in _tree(signed.get(page)).xpath("//ul[@class='plain']/li")] == [
            "目录.csv"
        ]
        for bad in (b"", b"--x", b"--x\r\nContent-Disposition: form-data; name=\xff\r\n\r\nv\r\n--x--"):
            headers = {"Content-Type": "multipart/form-data; boundary=x", "X-CSRF-Token": token}
            assert signed.post(f"{home}/documents", content=bad, headers=headers).status_code == 422


def test_another_vendor_finds_nothing_of_it(hub: Desk) -> None:
    operator = hub.person("wang", Role.OPERATOR)
    hub.platform("E-310000-01")
    other = _own(hub, "E-310000-01", "b-vendor")
    with proved(hub) as applicant:
        code, sandbox = in_sandbox(hub, applicant, operator)
        form = {"name": "f", "connector": "ix", "config": {"base_url": "https://a.example"}, "platform": code}
        feed = sandbox.post("/api/v1/feeds", json=form).json()["id"]
        digest = applicant.attach().json()["sha256"]
        for name in (applicant.id, code):
            home = f"/vendor/{name}"
            for path in ("", "/application", "/feeds/new", "/diagnosis", "/diagnosis.csv", f"/documents/{digest}"):
                assert other.get(f"{home}{path}", headers=PAGE).status_code == 404, path
            for path in (
                "/application", "/proof", "/submit", "/withdraw", "/key", "/keys/hk_0/rotate", "/keys/hk_0/revoke", "/notices/1",
                "/feeds/new", f"/feeds/{feed}/validate", f"/feeds/{feed}/move", "/leave", "/stay", "/documents",
                f"/feeds/{feed}/files", "/feeds/look",
            ):  # fmt: skip
                said = {"do": "probe", "url": "https://a.example/", "why": "x", "by": "file", **_form("a.example")}
                assert other.post(f"{home}{path}", data=said).status_code == 404, path
        own = other.get("/vendor").headers["location"]
        assert other.post(f"{own}/feeds/{feed}/validate").status_code == 404
        assert other.get(f"{own}/feeds/{feed}").status_code == 404
        for path in (f"/feeds/{feed}", f"/feeds/{feed}/mapping", f"/feeds/{feed}/do/pause"):
            assert other.get(path, headers=PAGE).status_code == 404, path
        for deed in ("pause", "retire", "harvest"):
            assert other.post(f"/feeds/{feed}/do/{deed}", data={"why": "x"}).status_code == 404
        assert code not in other.get("/vendor", follow_redirects=True).text


def test_the_reviewers_decide_on_evidence_and_a_refusal_says_why(hub: Desk) -> None:
    operator = hub.person("wang", Role.OPERATOR)
    with proved(hub) as applicant:
        digest = applicant.attach("licence", b"pdf", 'a"证.pdf').json()["sha256"]
        applicant.post("submit")
        page, path = operator.get("/enrolments"), f"/enrolments/{applicant.id}"
        assert applicant.id in page.text
        kept = operator.get(f"{path}/documents/{digest}")
        assert (kept.content, kept.headers["content-disposition"].count('"')) == (b"pdf", 2)
        silent = operator.post(f"{path}/refuse")
        assert (silent.status_code, "enrol.reason_missing" in silent.text or "理由" in silent.text) == (422, True)
        assert operator.post(f"{path}/refuse", data={"why": "缺少协议"}).status_code == 303
        assert applicant.shown()["stage"] == "applied"
        applicant.post("submit")
        said = {"why": "齐全", "rests_on": digest}
        assert operator.post(f"{path}/approve", data=said).status_code == 303
        assert applicant.shown()["steps"][-1]["rests_on"] == [digest]
        late = operator.post(f"{path}/approve", data={"why": "x"})
        assert (late.status_code, "enrol.stage" in late.text or "阶段" in late.text) == (409, True)
        assert operator.post(f"{path}/dance", data={"why": "x"}).status_code == 422


def test_what_is_wrong_is_a_table_without_formulas(hub: Desk) -> None:
    operator = hub.person("wang", Role.OPERATOR)
    with proved(hub) as applicant:
        code, sandbox = in_sandbox(hub, applicant, operator)
        form = {"name": "=1+1", "connector": "ix", "config": {"base_url": "https://a.example"}, "platform": code}
        feed = sandbox.post("/api/v1/feeds", json=form).json()["id"]
        signed = _own(hub, code)
        signed.post(f"/feeds/{feed}/do/pause", data={"why": "x"})
        answer = signed.get(f"/vendor/{applicant.id}/diagnosis.csv")
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "feed,advice,paused,'=1+1," in answer.text


@pytest.mark.parametrize(
    ("stage", "proved_at", "feeds", "documents", "next"),
    [
        ("applied", None, False, [], "prove"), ("applied", 1, False, [], "submit"), ("review", 1, False, [], "wait"),
        ("sandbox", 1, False, [], "feed"), ("sandbox", 1, True, [], "validate"),
        ("sandbox", 1, True, [{"kind": "validation", "at": 5}], "submit"), ("conformance", 1, True, [], "wait"),
        ("trial", 1, True, [], "look"), ("online", None, False, [], "feed"), ("suspended", 1, True, [], "suspended"),
        ("retired", 1, True, [], "retired"),
    ],
)  # fmt: skip
def test_there_is_one_thing_to_do_next(
    stage: str, proved_at: int | None, feeds: bool, documents: list[dict[str, Any]], next: str
) -> None:
    row = {"proved_at": proved_at, "documents": documents, "steps": []}
    assert vendor.step(vendor.Stage(stage), row, feeds) == next
