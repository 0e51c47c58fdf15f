"""How commands name repositories, refs and objects."""

import pytest

from anabranch.cli.places import (
    ObjectPlace,
    RefPlace,
    parse_branch_place,
    parse_object_place,
    parse_one_object,
    parse_ref_of,
    parse_ref_place,
    parse_repository,
    parse_tag_place,
)
from anabranch.kernel.errors import InvalidInput


@pytest.mark.parametrize("scheme", ["", "lake://", "lakefs://"])
def test_each_form_takes_each_scheme(scheme: str) -> None:
    assert parse_repository(f"{scheme}repo/") == "repo"
    assert parse_ref_place(f"{scheme}repo/main~2") == RefPlace("repo", "main~2")
    assert parse_branch_place(f"{scheme}repo/feature/x") == RefPlace("repo", "feature/x")
    assert parse_tag_place(f"{scheme}repo/v1.2") == RefPlace("repo", "v1.2")
    assert parse_object_place(f"{scheme}repo/main/a/b") == ObjectPlace("repo", "main", "a/b")


@pytest.mark.parametrize(
    ("text", "ref", "path"),
    [
        ("repo/main", "main", ""),
        ("repo/main/", "main", ""),
        ("repo/feature%2Fx/a", "feature/x", "a"),
        ("repo/main@/a", "main@", "a"),
        ("repo/main//a", "main", "/a"),
        ("repo/main/a%2Fb c?#é", "main", "a%2Fb c?#é"),
        ("repo/main/lake://x", "main", "lake://x"),
    ],
)
def test_a_path_is_taken_as_it_is(text: str, ref: str, path: str) -> None:
    place = parse_object_place(text)
    assert place == ObjectPlace("repo", ref, path)
    assert parse_object_place(str(place)) == place


def test_a_second_ref_may_name_the_repository_again() -> None:
    assert parse_ref_of("dev", "repo") == "dev"
    assert parse_ref_of("repo/dev", "repo") == "dev"
    assert parse_ref_of("lake://repo/dev", "repo") == "dev"
    assert parse_ref_of("other/dev", "repo") == "other/dev"
    with pytest.raises(InvalidInput, match="not in repository"):
        parse_ref_of("lake://other/dev", "repo")


@pytest.mark.parametrize("text", ["", "No_Repo", "lake://", "lake:///main"])
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a repository name"):
        parse_object_place(text)


@pytest.mark.parametrize("text", ["repo", "repo/", "lake://repo"])
def test_a_missing_ref_is_explained(text: str) -> None:
    for parse in (parse_ref_place, parse_object_place):
        with pytest.raises(InvalidInput, match="names no branch") as caught:
            parse(text)
        assert "repo/main" in str(caught.value.details["hint"])


def test_a_missing_path_is_explained() -> None:
    with pytest.raises(InvalidInput, match="names no object"):
        parse_one_object("repo/main/")


def test_a_branch_is_no_expression() -> None:
    for parse in (parse_branch_place, parse_tag_place):
        with pytest.raises(InvalidInput):
            parse("repo/main~1")
