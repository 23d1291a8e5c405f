"""The search index: the same answers from SQLite and PostgreSQL, in every script, whatever is typed."""

import sys

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from app.catalogue import search
from app.db import Database
from app.protocol.text import index_tokens, tokens_of

pytestmark = pytest.mark.postgres15
TITLES = {
    1: "三年级数学上册 认识分数",
    2: "三年級函數與數學",
    3: "བོད་ཡིག",
    4: "བུད་མེད",
    5: "ئۇيغۇر تىلى",
    6: "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ\u180b",
    7: "Қазақ тілі, 5-сынып",
    8: "한국어 교과서",
    9: "ꆈꌠꉙ",
    10: "Reading: it's a (short) \\story\\, subject=14",
    11: "𠮷野家 ㊀ 〇一",
    12: "ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ ᠬᠡᠯ\u180eᠡ",
}
TERMS = {pk: f"subject={13 + pk % 2} stage=2 platform=P-440000-0{1 + pk % 3}" for pk in TITLES}
FOUND = {
    "数学": [2, 1], "數學": [2, 1], "三年级": [2, 1], "函数": [2], "数函": [], "年": [2, 1],
    "学": [2, 1], "数学 分数": [1], "三年级数学": [1],
    "བོད": [3], "བོད་ཡིག": [3], "བུད་མེད": [4], "ཡིག": [3],
    "ئۇيغۇر": [5], "تىلى": [5], "ᠮᠣᠩᠭᠣᠯ": [12, 6], "ᠪᠢᠴᠢᠭ": [6], "ᠬᠡᠯᠡ": [12], "ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ": [12],
    "қазақ": [7], "ҚАЗАҚ ТІЛІ": [7], "сынып": [7], "한국": [8], "교과서": [8], "ꆈꌠ": [9], "ꆈꌠꉙ": [9],
    "STORY": [10], "it's": [10], "s it": [10], "read": [], "𠮷野": [11], "〇一": [11], "一": [11],
}  # fmt: skip
HOSTILE = st.text(max_size=30) | st.lists(
    st.sampled_from(
        ['"', "*", "NEAR(", "title:", "words:", "AND", "NOT", "\0", "'", "\\", "|", "!", ":*", "<->", "数学"]
    )
).map("".join)
RELAXED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def _fill(database: Database) -> Database:
    rows = [(pk, index_tokens(title), TERMS[pk]) for pk, title in TITLES.items()]
    with database.write() as connection:
        search.put(connection, rows, [])
    return database


def _find(database: Database, words: str, *terms: str, before: int | None = None, limit: int = 100) -> list[int]:
    with database.read() as connection:
        return search.find(connection, words=words, terms=terms, before=before, limit=limit)


@pytest.fixture
def filled(database: Database) -> Database:
    return _fill(database)


@pytest.fixture
def both(sqlite: Database, postgres: Database) -> tuple[Database, Database]:
    return _fill(sqlite), _fill(postgres)


def test_words_are_found_whole(filled: Database) -> None:
    assert {words: _find(filled, words) for words in FOUND} == FOUND


def test_terms_are_exact_and_all_of_them_count(filled: Database) -> None:
    assert _find(filled, "", "subject=14") == [11, 9, 7, 5, 3, 1]
    assert _find(filled, "数学", "subject=14", "stage=2") == [1]
    assert _find(filled, "", "subject=1") == _find(filled, "", "platform=p-440000-01") == []
    assert _find(filled, "subject=14") == [10]
    assert _find(filled, "", "subject=" + "数" * 3000) == []


def test_pages_go_on_from_the_last_row(filled: Database) -> None:
    pages, before = [], None
    while page := _find(filled, "", "stage=2", before=before, limit=5):
        pages.append(page)
        before = page[-1]
    assert pages == [[12, 11, 10, 9, 8], [7, 6, 5, 4, 3], [2, 1]]


def test_facets_are_counted_over_the_newest_hits(filled: Database) -> None:
    with filled.read() as connection:
        assert search.facets(connection, words="数学", terms=[]) == (
            {"subject=13": 1, "subject=14": 1, "stage=2": 2, "platform=P-440000-02": 1, "platform=P-440000-03": 1},
            True,
        )
        counts, exact = search.facets(connection, words="", terms=["stage=2"], cap=3)
        assert (counts["stage=2"], counts["subject=13"], exact) == (3, 2, False)
        assert search.facets(connection, words="", terms=["stage=2"], cap=12)[1]


def test_a_replaced_row_forgets_its_words_and_a_removed_one_everything(filled: Database) -> None:
    with filled.write() as connection:
        search.put(connection, [(1, index_tokens("语文"), "subject=13")], [1])
        search.put(connection, [], [])
        search.remove(connection, [2])
    assert _find(filled, "数学") == []
    assert _find(filled, "语文", "subject=13") == [1]
    assert 2 not in _find(filled, "", "stage=2")


def test_no_two_terms_share_a_token() -> None:
    terms = [
        "a=",
        "a003d",
        "a^3d^",
        "A=",
        "a",
        "=a",
        "^",
        "^^",
        "^5e^",
        "\U00010000",
        "\u1000" + "0",
        "b" * 600,
        "B" * 600,
    ]
    assert len({search.facet_token(term) for term in terms}) == len(terms)


CODES = st.text(st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=100)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CODES, min_size=1, max_size=4, unique=True))
def test_a_term_is_found_by_itself_alone_and_counted_as_it_is(database: Database, codes: list[str]) -> None:
    named = [f"subject={code}" for code in codes]
    with database.write() as connection:
        search.remove(connection, range(1, 6))
        search.put(connection, [(pk, "", term) for pk, term in enumerate(named, 1)], [])
        for pk, term in enumerate(named, 1):
            assert search.find(connection, words="", terms=[term], before=None, limit=9) == [pk]
            assert search.facets(connection, words="", terms=[term])[0] == {term: 1}


def test_very_long_texts_and_queries_are_taken(filled: Database) -> None:
    long = " ".join(f"w{n}{'数' * (n % 7)}{chr(0x1F600)}{'𠮷' * 200}{'é' * 3000}" for n in range(300))
    with filled.write() as connection:
        search.put(connection, [(99, index_tokens(long), "subject=" + "数" * 3000)], [])
    assert _find(filled, "é" * 3000) == [99]
    assert _find(filled, "w0") == [99]
    assert _find(filled, " ".join(["数学"] * 2000)) == [2, 1]
    assert _find(filled, "数" * 3000) == []
    assert _find(filled, "", "subject=" + "数" * 3000) == [99]


def test_one_of_many_alternatives_is_enough(filled: Database) -> None:
    nobody = [[[f"platform=E-{n:06d}-01"], ["stage=9", "stage=8"]] for n in range(500)]
    either = [*nobody, [["platform=P-440000-01"], ["subject=13", "subject=99"]], [["platform=P-440000-02"]]]
    with filled.read() as connection:
        found = search.find(connection, words="", terms=(), before=None, limit=100, either=either)
        named = search.find(connection, words="三年级", terms=("stage=2",), before=None, limit=100, either=either)
        counts, exact = search.facets(connection, words="", terms=(), either=either)
        assert (found, named) == ([12, 10, 7, 6, 4, 1], [1])
        assert (counts["stage=2"], exact) == (len(found), True)
        assert search.find(connection, words="", terms=(), before=None, limit=100, either=[]) == []


def test_hostile_queries_never_raise_and_both_databases_agree(both: tuple[Database, Database]) -> None:
    @RELAXED
    @given(HOSTILE, st.lists(st.text(max_size=8), max_size=2))
    @example('"数学" NOT * NEAR(a b) title:x AND \0 \ud800', [])
    @example("", ["subject=14", "\0'\\ \ud800"])
    def ask(words: str, terms: list[str]) -> None:
        first, second = (_find(database, words, *terms) for database in both)
        assert first == second

    ask()


def test_any_text_is_found_by_itself_on_both(both: tuple[Database, Database]) -> None:
    @RELAXED
    @given(st.text(max_size=30))
    def store_and_ask(title: str) -> None:
        tokens = index_tokens(title)
        for database in both:
            with database.write() as connection:
                search.put(connection, [(500, tokens, "t=1")], [500])
            assert _find(database, title) == _find(both[0], title)
            assert not tokens or 500 in _find(database, title)

    store_and_ask()


def test_no_token_is_split_again_by_sqlite(sqlite: Database) -> None:
    planes = [range(first, first + 0x1000) for first in range(0, sys.maxunicode + 1, 0x1000)]
    tokens = {token for codes in planes for told in tokens_of([chr(code) for code in codes]) for token in told.split()}
    rows = [(pk, f"q{token}q", "") for pk, token in enumerate(tokens)]
    assert len(rows) > 100_000
    with sqlite.write() as connection:
        search.put(connection, rows, [])
    assert _find(sqlite, "q") == []
