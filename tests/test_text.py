"""Text from elsewhere is shown in Markdown as it is: rendering gives it back, without markup, links or mentions."""

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from project.text import Markdown, code, escape, mean_and_sd, table

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PLAIN = ("text", "code_inline", "text_special", "softbreak")
HOSTILE = [
    "![x](http://evil.example/x.png)", "[x](http://evil.example)", "<img src=http://evil.example>", "<!-- x -->",
    "<script>alert(1)</script>", "<http://evil.example>", "a | b", "`x`", "``` ` ```", "**x**", "_x_", "\\", "a\\|b",
    "&lt;b&gt;", "[x][1]", "$x_$", "| --- |", "~~x~~", "# x", "> x", "1. x", "- x", "x\n\n# y",
    "two\r\n lines", "end\\", "*",
]  # fmt: skip
# What GitHub makes links of, in text that is not code
GITHUB_LINKS = re.compile(r"@\w|(?<!\w)#\d|\w#\d|(?i:www\.)|(?i:\bGH-\d)|://")
# Texts of such pieces, which are likely to be markup
markup = st.lists(st.sampled_from([*"\\`*_[]()<>!|~&$#@:/-+=.\n\t 1aé\u2028\u200b", "www.", "http://", "GH-", "<!--"]))
texts = st.one_of(markup.map("".join), st.sampled_from(HOSTILE), st.text(max_size=20))


def shown(value: str) -> str:
    """The text that a reader should see: in one line, without characters that cannot be printed."""
    return "".join(each for each in " ".join(value.split()) if each.isprintable())


def cells(text: str) -> list[Token]:
    """The content of the only row of a table."""
    tokens = [token for token in RENDERER.parse(text) if token.type == "inline"]
    assert len(tokens) == 4, "two cells in the head and two in the row"
    return tokens[2:]


def plain(token: Token) -> str:
    """The text of inline content, in which there is no markup."""
    children = token.children or []
    assert {child.type for child in children} <= set(PLAIN), token.content
    return "".join(child.content for child in children).replace("\u2060", "")


@given(texts)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_an_escaped_text_is_rendered_as_it_is(value: str) -> None:
    first, second = cells(table(["one", "two"], [[value, escape(value)]]))
    assert plain(first) == plain(second) == shown(value).strip()
    (paragraph,) = [token for token in RENDERER.parse(f"Results of {escape(value)}.") if token.type == "inline"]
    assert plain(paragraph) == f"Results of {shown(value)}."
    assert not GITHUB_LINKS.search(escape(value))


@given(texts)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_code_is_rendered_as_it_is(value: str) -> None:
    first, _ = cells(table(["one", "two"], [[code(value), "end"]]))
    expected = shown(value).replace("`", "ˋ")
    assert plain(first).strip() == expected.strip()
    assert [child.type for child in first.children or []] == (["code_inline"] if expected else [])


@pytest.mark.parametrize(
    "text",
    [
        "@everyone",
        "team/project#1",
        "#7",
        "www.evil.example",
        "WWW.evil.example",
        "HTTPS://evil.example",
        "a@b.c",
        "gh-1",
    ],
)
def test_github_makes_no_link_or_mention_of_an_escaped_text(text: str) -> None:
    assert GITHUB_LINKS.search(text)
    assert not GITHUB_LINKS.search(escape(text))
    assert html.unescape(re.sub("<.*?>", "", RENDERER.render(escape(text)))).replace("\u2060", "").strip() == text


def test_only_what_is_marked_as_markdown_keeps_its_markup() -> None:
    assert table(["a", "*b*"], [["**x**", Markdown("**x**")], [None, 7]]) == (
        "| a | \\*b\\* |\n| --- | --- |\n| \\*\\*x\\*\\* | **x** |\n| – | 7 |"
    )


def test_a_mean_over_seeds_has_its_standard_deviation_and_the_number_of_seeds() -> None:
    assert mean_and_sd(0.9073, 0.00105, 5) == "90.73 ± 0.10 % (5 seeds)"
