"""Names and their grammars."""

from collections.abc import Callable

import pytest

from anabranch.kernel import limits
from anabranch.kernel.errors import InvalidInput
from anabranch.kernel.ids import (
    is_commit_prefix,
    parse_branch_id,
    parse_commit_id,
    parse_namespace,
    parse_path,
    parse_repository_id,
    parse_tag_id,
)

Parse = Callable[[str], str]


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_repository_id, "example3"),
        (parse_repository_id, "a-b"),
        (parse_repository_id, "a" * limits.REPOSITORY_NAME_LENGTH_MAX),
        (parse_branch_id, "main"),
        (parse_branch_id, "feature/x"),
        (parse_branch_id, "tx-7b2a"),
        (parse_branch_id, "_hidden.1"),
        (parse_branch_id, "b" * limits.BRANCH_NAME_LENGTH_MAX),
        (parse_tag_id, "v1.2"),
        (parse_tag_id, "t" * limits.TAG_NAME_LENGTH_MAX),
        (parse_commit_id, "0" * 64),
        (parse_path, "a"),
        (parse_path, "/"),
        (parse_path, "a//../b/"),
        (parse_path, "é" * (limits.PATH_BYTES_MAX // 2)),
        (parse_namespace, "s3://example3"),
        (parse_namespace, "local://data/lake one"),
    ],
)
def test_good_names_come_back_as_they_are(parse: Parse, text: str) -> None:
    assert parse(text) == text


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_repository_id, "ab"),
        (parse_repository_id, "-ab"),
        (parse_repository_id, "Abc"),
        (parse_repository_id, "a_b"),
        (parse_repository_id, "a" * (limits.REPOSITORY_NAME_LENGTH_MAX + 1)),
        (parse_branch_id, ""),
        (parse_branch_id, "-x"),
        (parse_branch_id, "a..b"),
        (parse_branch_id, "a//b"),
        (parse_branch_id, "a/"),
        (parse_branch_id, "a.lock"),
        (parse_branch_id, "a~1"),
        (parse_branch_id, "a b"),
        (parse_branch_id, "b" * (limits.BRANCH_NAME_LENGTH_MAX + 1)),
        (parse_tag_id, "a^"),
        (parse_commit_id, "0" * 63),
        (parse_commit_id, "G" * 64),
        (parse_path, ""),
        (parse_path, "a\x00b"),
        (parse_path, "\ud800"),
        (parse_path, "é" * (limits.PATH_BYTES_MAX // 2) + "a"),
        (parse_namespace, "http://x"),
        (parse_namespace, "s3://"),
        (parse_namespace, "s3://a/../b"),
        (parse_namespace, "s3://a/_lakefs"),
        (parse_namespace, "s3://a//b"),
        (parse_namespace, "s3://" + "a" * limits.NAMESPACE_LENGTH_MAX),
    ],
)
def test_bad_names_are_refused(parse: Parse, text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


def test_a_namespace_loses_its_trailing_slashes() -> None:
    assert parse_namespace("s3://a/b//") == "s3://a/b"


def test_a_commit_prefix_has_six_hex_digits_at_least() -> None:
    assert is_commit_prefix("abcdef")
    assert not is_commit_prefix("abcde")
    assert not is_commit_prefix("abcdeg")
    assert not is_commit_prefix("a" * 65)
