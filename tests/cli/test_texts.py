"""What people are shown: sizes, escapes, alignment."""

import pytest

from anabranch.cli.texts import (
    aligned,
    change_line,
    change_summary,
    commit_block,
    commit_line,
    count_text,
    shown,
    size_text,
    time_text,
)
from anabranch.client.answers import Change, Commit


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (78_869, "77.0 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (2048 * 1024**4, "2.0 PiB"),
    ],
)
def test_sizes_are_in_the_largest_unit_they_fill(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text


def test_what_moves_a_cursor_is_escaped() -> None:
    assert shown("données/é x.csv") == "données/é x.csv"
    assert shown("a\x1b[2J\nb\ud800") == "a\\x1b[2J\\nb\\ud800"


def test_markup_in_names_is_text() -> None:
    line = change_line(Change("added", "[red]a[/red]", 5))
    assert line.plain == "+        5 B  [red]a[/red]"


def test_rows_are_aligned_without_trailing_spaces() -> None:
    rows = [("a", "main", "s3://x"), ("longer", "m", "s3://y")]
    assert [line.plain for line in aligned(rows)] == [
        "a       main  s3://x",
        "longer  m     s3://y",
    ]
    assert list(aligned([])) == []


def test_a_commit_in_full_and_in_a_line() -> None:
    commit = Commit("a" * 64, ["b" * 64, "c" * 64], "eve", "One\n\ntwo", 0, {"z": "1", "k": "v"})
    assert commit_block(commit).plain.split("\n") == [
        "aaaaaaaaaaaa  1970-01-01 00:00:00  eve",
        "    One",
        "",
        "    two",
        "    k: v",
        "    z: 1",
        "    parents bbbbbbbbbbbb cccccccccccc",
    ]
    assert commit_line(commit).plain == "aaaaaaaaaaaa  One"


def test_counts() -> None:
    assert change_summary(1_200, 0, 3).plain == "1,200 added, 3 changed"
    assert change_summary(0, 0, 0).plain == "no changes"
    assert (count_text(1, "path"), count_text(0, "path")) == ("1 path", "0 paths")
    assert time_text(1_770_000_000) == "2026-02-02 02:40:00"
