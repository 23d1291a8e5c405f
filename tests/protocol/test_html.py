"""HTML of descriptions becomes text; nothing hostile survives, nothing plain is touched."""

import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.html import Form, to_text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("plain 草原 a < b & c", "plain 草原 a < b & c"),
        ("<p>一</p><p>二</p>", "一\n二"),
        ("一<br>二<br/>三", "一\n二\n三"),
        ("<ul><li>甲</li><li>乙</li></ul>尾", "甲\n乙\n尾"),
        ("a<script>alert(1)</script>b<style>p{}</style>c", "abc"),
        ("<b onclick='x()'>粗</b>体 &amp; &#x4e2d;", "粗体 & 中"),
        ("&lt;p&gt;两次&lt;/p&gt;", "两次"),
        ("<!-- 无 -->有", "有"),
        ("<p>བོད་ཡིག ئۇيغۇر ᠮᠣᠩᠭᠣᠯ</p>", "བོད་ཡིག ئۇيغۇر ᠮᠣᠩᠭᠣᠯ"),
        ("<img src=x onerror=alert(1)>", ""),
        ("<p>", ""),
    ],
)
def test_markup_goes_and_text_stays(source: str, text: str) -> None:
    assert to_text(source) == text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a<b and c>d", "a<b and c>d"),
        ("List<String> und <k>x</k>", "List<String> und <k>x</k>"),
        ("<p>一</p>\n<p class='x'>二</p>", "一\n二"),
        (
            "&lt;h2&gt;&lt;a href=&quot;x&quot;&gt;v2&lt;/a&gt;&lt;/h2&gt;\n&lt;li&gt;Fix &amp;amp; go&lt;/li&gt;",
            "v2\nFix & go",
        ),
        ("Tom &amp; Jerry", "Tom & Jerry"),
        ("  two  blanks \n kept ", "  two  blanks \n kept "),
    ],
)
def test_in_a_text_that_may_hold_html_only_written_tags_are_markup(source: str, text: str) -> None:
    assert to_text(source, "unsure") == text


def test_html_is_read_once_so_that_a_lesson_on_html_keeps_its_tags() -> None:
    assert to_text("<p>Use &lt;b&gt; for bold</p>", "html") == "Use <b> for bold"
    assert to_text("<p>Use &lt;b&gt; for bold</p>", "escaped") == "Use for bold"


def test_nesting_without_end_is_bounded() -> None:
    began = time.perf_counter()
    to_text("<div>" * 100_000 + "深")
    to_text("&lt;" * 200_000)
    assert time.perf_counter() - began < 5


@given(st.text(alphabet=st.sampled_from(list("<>/&;!-ap=\"' \n\0中\ud800")), max_size=60))
def test_no_text_breaks_it(source: str) -> None:
    for form in get_args(Form):
        assert isinstance(to_text(source, form), str)
