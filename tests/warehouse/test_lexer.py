"""Tokens, strings and the splitting of several statements; nothing takes more than linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.sql.lexer import (
    TokenKind,
    quote_name,
    quote_string,
    scan,
    split,
    unquote_string,
)
from anabranch.warehouse.sql.parser import parse

WORDS = """
    CREATE DROP ALTER TABLE DATABASE IF NOT EXISTS SHOW LOAD LABEL DATA INFILE INTO SET WHERE
    PARTITION BY RANGE LIST VALUES LESS THAN MAXVALUE DISTRIBUTED HASH BUCKETS PROPERTIES INSERT
    DELETE UPDATE FROM USE GRANT ON TO USER IDENTIFIED KILL CALL DESC EXPLAIN ARRAY < > << >> MAP
    STRUCT int decimal ( ) , ; = . @ @@ : [ ] * - ' " ` -- # /* */ /*! /*+ 1 1.5 0x1F 'a' "b" `c`
    ? NULL DEFAULT COLUMN ADD KEY hll hll_union WITH BROKER COLUMNS TERMINATED LIMIT ORDER LIKE
"""


def tokens(text: str) -> list[tuple[str, str]]:
    return [(token.kind.value, token.value) for token in scan(text)][:-1]


@pytest.mark.parametrize(
    "literal, value",
    [
        ("'it''s'", "it's"),
        ('"say ""x"""', 'say "x"'),
        (r"'\n\t\0\\\'\Z'", "\n\t\0\\'\x1a"),
        (r"'100\%'", r"100\%"),
        (r"'\q'", "q"),
        ("'\"\"'", '""'),
    ],
)
def test_strings_have_mysql_escapes(literal: str, value: str) -> None:
    assert unquote_string(literal) == value


@given(st.text())
def test_a_quoted_string_is_read_back(text: str) -> None:
    assert next(scan(quote_string(text))).value == text


@given(st.text(min_size=1))
def test_a_quoted_name_is_read_back(name: str) -> None:
    assert tokens(quote_name(name)) == [("quoted", name)]


def test_tokens_of_every_kind() -> None:
    text = "a.`b` 1 1.5 .5 2e3 0xfF 'x' ? >= 2022db /*+ Hint */ @@v"
    assert tokens(text) == [
        ("word", "a"),
        ("operator", "."),
        ("quoted", "b"),
        ("integer", "1"),
        ("number", "1.5"),
        ("number", ".5"),
        ("number", "2E3"),
        ("hex", "0XFF"),
        ("string", "x"),
        ("parameter", "?"),
        ("operator", ">="),
        ("word", "2022db"),
        ("hint", "/*+ Hint */"),
        ("operator", "@@"),
        ("word", "v"),
    ]


def test_split_knows_strings_names_and_comments() -> None:
    text = 'select \';\' ; -- no;\n; select `a;b` /* ; */;# x;\n\n select "\\";";'
    assert split(text) == [
        "select ';'",
        "select `a;b` /* ; */",
        '# x;\n\n select "\\";"',
    ]


def test_a_version_comment_is_what_it_contains() -> None:
    assert split("/*!40101 SET NAMES utf8 */;") == ["SET NAMES utf8"]
    assert split("select '/*!40101 x */'") == ["select '/*!40101 x */'"]


def test_comments_alone_are_no_statement() -> None:
    assert split(" ; -- x\n;/* y */ ; ") == []


@pytest.mark.parametrize("text", ["select 'a", 'select "a', "select `a", "/* a", "/*!40101 a"])
def test_what_does_not_end_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SqlError, match="does not end") as raised:
        split(text)
    assert (raised.value.code, raised.value.state) == (1064, "42000")


def test_a_syntax_error_points_at_its_place() -> None:
    with pytest.raises(SqlError) as raised:
        parse("CREATE TABLE t (\n  a intt\n)")
    assert raised.value.code == 1064
    assert raised.value.message == (
        "errCode = 2, detailMessage = Syntax error in line 2:\n"
        "  a intt\n    ^\nEncountered: intt\nExpected: a data type"
    )


@pytest.mark.parametrize(
    "piece",
    [
        "'",
        "`",
        "/*",
        "-",
        "'\\",
        "/*!",
        "(",
        "a;",
        "\\",
        "@",
        "0",
        "0.",
        "/*! */",
        "''",
        ">",
        "#\n",
    ],
)
@pytest.mark.timeout(20)
def test_long_texts_take_linear_time(piece: str) -> None:
    for head in ("", "SHOW ", "CREATE TABLE t (a ", "SET a = ", "DELETE FROM t WHERE "):
        error_of(head + piece * (60_000 // len(piece)))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a " + "ARRAY<" * 5000 + "INT" + ">" * 5000 + ")",
        "EXPLAIN " * 5000 + "SELECT 1",
        "DELETE FROM t WHERE " + "(" * 5000 + "1" + ")" * 5000,
    ],
)
def test_deep_nesting_is_no_recursion(text: str) -> None:
    error_of(text)


def error_of(text: str) -> SqlError | None:
    try:
        parse(text)
    except SqlError as error:
        return error
    return None


@given(st.text())
def test_any_text_parses_or_is_an_sql_error(text: str) -> None:
    error = error_of(text)
    assert error is None or (error.code > 1000 and error.message)


@given(st.lists(st.sampled_from(WORDS.split()), max_size=30).map(" ".join))
def test_any_words_parse_or_are_an_sql_error(text: str) -> None:
    error = error_of(text)
    assert error is None or (error.code > 1000 and error.message)


def test_end_comes_last() -> None:
    assert [token.kind for token in scan("")] == [TokenKind.END]
