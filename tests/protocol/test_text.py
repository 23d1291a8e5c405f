"""Text for search and the text rule: every script of the country, folded one way, split one way."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.protocol.text import WORD_LIMIT, _tokens, fold, index_tokens, query_tokens, rule, tokens_of

ANY = st.text(st.characters(categories=("L", "M", "N", "P", "S", "Z", "C")), max_size=60)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("三年級數學", "三年 年级 级数 数学 学"),
        ("５年级ＭＡＴＨ", "5 年级 级 math"),
        ("𠮷野家", "𠮷野 野家 家"),
        ("〇一", "〇一 一"),
        ("\U00031350\U00030000", "\U00031350\U00030000 \U00030000"),
        ("数学(上)", "数学 学 上"),
        ("한국어 교과서", "한국 국어 어 교과 과서 서"),
        ("ꆈꌠꉙ", "ꆈꌠ ꌠꉙ ꉙ"),
        ("བོད་ཡིག", "བོད ཡིག"),
        ("ئۇيغۇر تىلى", "ئۇيغۇر تىلى"),
        ("Қазақ тілі", "қазақ тілі"),
        ("ᠪᠢᠴᠢᠭ\u180b ᠬᠡᠯ\u180eᠡ ᠮᠣᠩᠭᠣᠯ\u202fᠤᠨ", "ᠪᠢᠴᠢᠭ ᠬᠡᠯᠡ ᠮᠣᠩᠭᠣᠯ ᠤᠨ"),
        ('C++ x_y, a\'b\\c "d"', "c x y a b c d"),
        ("葛\U000e0100城", "葛城 城"),
        ("一\n二\0三", "一 二三 三"),
        ("", ""),
    ],
)
def test_what_a_text_is_indexed_as(text: str, tokens: str) -> None:
    assert index_tokens(text) == tokens


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("三年級", [["三年", "年级"]]),
        ("年", [["年*"]]),
        ("数学 ab-c", [["数学"], ["ab", "c"]]),
        ("高中math", [["高中"], ["math"]]),
        ("བོད་ཡིག", [["བོད", "ཡིག"]]),
        ('"*\0', []),
    ],
)
def test_what_a_query_looks_for(text: str, phrases: list[list[str]]) -> None:
    assert query_tokens(text) == phrases


@given(ANY)
@example("\ud800乾\ud800")
def test_a_text_is_always_found_by_itself(text: str) -> None:
    tokens = index_tokens(text).split(" ")
    for phrase in query_tokens(text):
        found = [tokens[i : i + len(phrase)] for i in range(len(tokens))]
        assert phrase in found or any(token.startswith(phrase[0].rstrip("*")) for token in tokens)


def _has_pairs(character: str) -> bool:
    return query_tokens(character) == [[f"{character}*"]]


@given(ANY)
@example("\U000323af\U0003134b")
def test_tokens_are_letters_digits_and_marks(text: str) -> None:
    # Cn: the Han ranges reach further (Extension H is of Unicode 15) than the tables of Python 3.11.
    for character in index_tokens(text).replace(" ", ""):
        kind = unicodedata.category(character)
        assert kind[0] in "LN" or kind in ("Mn", "Mc", "Co") or (kind == "Cn" and _has_pairs(character))


@given(st.lists(ANY, max_size=5))
@example(["a\u2028b", "乾", "坤 乾坤"])
@example(["\u2028", "\ud800乾", "á", "\u0301"])
def test_texts_together_have_the_tokens_they_have_alone(texts: list[str]) -> None:
    assert tokens_of(texts) == [
        " ".join(filter(None, (_tokens(fold(word)) for word in text.replace("\n", " ").split(" ")))) for text in texts
    ]


def test_a_word_longer_than_the_limit_is_cut_alike() -> None:
    word = "a" * 5000
    assert index_tokens(word) == query_tokens(word)[0][0] == "a" * WORD_LIMIT


def test_folding_keeps_what_a_phrase_means() -> None:
    assert fold("乾坤 乾燥") == "乾坤 干燥"


def test_the_rule_on_every_code_point() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        expected = None
        if code == 0:
            expected = "text.nul"
        elif 0xD800 <= code <= 0xDFFF:
            expected = "text.surrogate"
        elif unicodedata.category(character) == "Cc" and character not in "\n\t":
            expected = "text.control"
        elif code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF:
            expected = "text.noncharacter"
        assert rule(character) == expected, hex(code)


def test_the_rule_names_what_comes_first() -> None:
    assert rule("好\n\t课\u200c\u3000本") is None
    assert rule("好\x1b\0") == "text.control"
    assert rule("好\0\x1b") == "text.nul"
