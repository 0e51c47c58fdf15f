"""Every error has a code, and every code a status."""

import re
from pathlib import Path

import pytest

from anabranch.kernel import errors
from anabranch.kernel.errors import AnabranchError, Kind
from anabranch.s3.actions import action_of
from anabranch.s3.app import HANDLERS
from anabranch.s3.errors import CODE, STATUS, Refused, code_of, details_of

CLASSES = [
    one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, AnabranchError) and one is not AnabranchError
]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_code_with_a_status(kind: Kind) -> None:
    for one in CLASSES:
        assert code_of(one(kind, "x")) in STATUS


def test_only_stored_data_that_is_damaged_is_an_internal_error() -> None:
    internal = {one for one in CLASSES if code_of(one(Kind.VALUE, "x")) == "InternalError"}
    assert internal == {errors.Corrupted}
    assert "InternalError" not in CODE.values()


def test_what_may_work_later_says_slow_down() -> None:
    for error in (
        errors.Unavailable(Kind.BUSY, "x"),
        errors.Conflict(Kind.RETRIES_EXHAUSTED, "x"),
        errors.OutcomeUnknown(Kind.OUTCOME_UNKNOWN, "x"),
    ):
        assert code_of(error) == "SlowDown"


def test_details_of_other_errors_are_not_shown() -> None:
    assert details_of(errors.NotFound(Kind.PATH, "x", secret=1)) == []
    assert details_of(Refused("InvalidRange", "x", Size=1)) == [("Size", "1")]


def test_a_code_without_a_status_can_not_be_raised() -> None:
    with pytest.raises(AssertionError):
        Refused("Nonsense", "x")


def test_every_handler_can_be_reached() -> None:
    names = (
        "",
        "acl",
        "tagging",
        "location",
        "versioning",
        "uploads",
        "uploadId",
        "delete",
    )
    found = set()
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        for has_key in (False, True):
            for name in names:
                for is_copy in (False, True):
                    try:
                        found.add(
                            action_of(
                                method,
                                has_bucket=True,
                                has_key=has_key,
                                names=frozenset([name] if name else []),
                                is_copy=is_copy,
                            )
                        )
                    except Refused:
                        continue
    assert set(HANDLERS) - found == {"ListBuckets"}


def test_the_page_about_s3_lists_every_action_and_every_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "s3.md").read_text()
    offered, _, codes = text.partition("\n## Codes\n")
    named = re.findall(r"^\| (`.*?) \|", offered, re.MULTILINE)
    actions = {name for row in named for name in re.findall(r"`(\w+)`", row)}
    assert actions == set(HANDLERS) - {"DeleteBucket"}
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", codes, re.MULTILINE)
    listed = {code: int(status) for status, row in rows for code in re.findall(r"`(\w+)`", row)}
    assert listed == STATUS
