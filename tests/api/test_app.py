"""What holds for every operation: routes, methods, limits, what is not offered."""

import pytest

from anabranch.api import unsupported
from anabranch.api.errors import KIND_STATUS, STATUS, error_response, status_of
from anabranch.api.operations import Operation
from anabranch.api.routing import Match, OtherMethods, Router
from anabranch.api.table import OPERATIONS
from anabranch.kernel import errors
from anabranch.kernel.errors import Conflict, Corrupted, Kind, Unavailable
from tests.api.rest import Rest, at


def test_unknown_paths_are_404_json(rest: Rest) -> None:
    for path in ("/nothing", "/repositories/example/nothing", "/", "/repositories//branches"):
        reply = rest.get(path)
        assert reply.status == 404, path
        assert reply.message
    assert rest.call("GET", "/api/v2/repositories", base="").status == 404


def test_other_methods_are_405_with_allow(rest: Rest) -> None:
    reply = rest.call("PATCH", at("branches"))
    assert reply.status == 405
    assert reply.header("allow") == "GET, POST"
    assert reply.message


def test_a_trailing_slash_makes_no_difference(rest: Rest) -> None:
    assert rest.get("/repositories/").status == 200


@pytest.mark.parametrize("operation", unsupported.OPERATIONS, ids=lambda one: one.id)
def test_what_is_not_offered_says_so(rest: Rest, operation: Operation) -> None:
    path = operation.path.replace("{repository}", "example")
    path = path.replace("{", "").replace("}", "")
    reply = rest.call(operation.method, path, body={"any": "thing"})
    assert reply.status == 501
    assert operation.id in reply.message
    if not operation.is_open:
        assert rest.call(operation.method, path, is_anonymous=True).status == 401


def test_lakefs_has_134_operations_and_all_are_known() -> None:
    names = [operation.id for operation in OPERATIONS]
    assert len(names) == len(set(names))
    # One is ours: the pages of a merge's conflicts.
    assert len(names) == 134 + 1
    assert "listMergeConflicts" in names


def test_a_body_has_a_limit(rest: Rest) -> None:
    reply = rest.call(
        "POST", "/repositories", body=b"{}", headers={"content-length": str(17 * 1024**2)}
    )
    assert reply.status == 413


def test_unauthenticated_bodies_are_not_read(rest: Rest) -> None:
    reply = rest.call(
        "POST",
        "/repositories",
        body=b"not json",
        headers={"expect": "100-continue"},
        is_anonymous=True,
    )
    assert reply.status == 401
    assert reply.header("connection") == "close"


def test_every_error_class_has_a_status() -> None:
    classes = [
        one
        for one in vars(errors).values()
        if isinstance(one, type)
        and issubclass(one, errors.AnabranchError)
        and one is not errors.AnabranchError
    ]
    assert set(classes) == set(STATUS)
    assert all(400 <= status < 600 for status in KIND_STATUS.values())


def test_errors_have_lakefs_statuses() -> None:
    assert status_of(Conflict(Kind.CONFLICT, "m")) == 409
    assert status_of(Conflict(Kind.DIRTY_BRANCH, "m")) == 400
    assert status_of(Conflict(Kind.RETRIES_EXHAUSTED, "m")) == 423
    busy = error_response(Unavailable(Kind.BUSY, "m"))
    assert busy.status == 503
    assert (b"retry-after", b"1") in busy.headers
    assert error_response(Corrupted(Kind.STORE_FAILED, "\udcff")).status == 500


def test_literal_segments_win_and_parameters_are_decoded() -> None:
    router = Router(
        [
            Operation("one", "GET", "/a/{x}/c", "t"),
            Operation("two", "GET", "/a/b/{y}", "t"),
            Operation("three", "PUT", "/a/{z}", "t"),
        ]
    )
    found = router.find("GET", b"a/b/c%2Fd")
    assert isinstance(found, Match)
    assert (found.operation.id, found.path) == ("two", {"y": "c/d"})
    found = router.find("GET", b"a/x%20y/c")
    assert isinstance(found, Match)
    assert (found.operation.id, found.path) == ("one", {"x": "x y"})
    found = router.find("GET", b"a/b/c")
    assert isinstance(found, Match)
    assert found.operation.id == "two"
    assert router.find("GET", b"a/b") == OtherMethods(("PUT",))
    assert router.find("GET", b"a") is None
    assert router.find("GET", b"a//c") is None
