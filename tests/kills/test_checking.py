"""The checks of a trial can fail: each finds the one thing that was made wrong for it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kills.bodies import find_number, make_body, state_of
from tests.kills.checking import Checker
from tests.kills.client import RAW_BUCKET, REPOSITORY
from tests.kills.journal import History, Journal
from tests.kills.objects import completion
from tests.kills.wire import S3, Key, Rest
from tests.support.server import start_server

_OLD, _NEW = state_of(b"old"), state_of(b"new")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with contextlib.closing(Journal(tmp_path / "writer")) as made:
        yield made


@pytest.mark.parametrize(
    ("end", "possible"),
    [("done", {_NEW}), ("lost", {_OLD, _NEW}), ("refused", {_OLD}), (None, {_OLD, _NEW})],
)
def test_what_a_key_may_be(
    journal: Journal, end: str | None, possible: set[tuple[str, str, int]]
) -> None:
    journal.end(journal.intend("put", "key", _OLD), "done")
    number = journal.intend("put", "key", _NEW)
    if end is not None:
        journal.end(number, end)
    history = History()
    assert history.feed(journal.path) == {"key"}
    assert history.possible["key"] == possible
    assert not history.wrong


def test_a_refused_delete_leaves_an_absent_key_absent(journal: Journal) -> None:
    journal.end(journal.intend("delete", "key", None), "refused")
    history = History()
    history.feed(journal.path)
    assert history.possible["key"] == {None}


def test_a_state_that_nothing_explains_is_wrong(journal: Journal) -> None:
    journal.end(journal.intend("put", "key", _OLD), "done")
    journal.end(journal.intend("put", "key", _NEW), "lost")
    journal.saw("key", None)
    history = History()
    history.feed(journal.path)
    assert len(history.wrong) == 1


def test_half_a_line_was_not_written(journal: Journal) -> None:
    journal.intend("put", "key", _NEW)
    with journal.path.open("ab") as file:
        file.write(b'{"n": 2, "do": "put", "ke')
    history = History()
    assert history.feed(journal.path) == {"key"}
    assert history.ends["put", "lost"] == 1


def test_half_a_body_has_no_number() -> None:
    body = make_body("a/b", 7, 300)
    assert find_number("a/b", body) == 7
    assert find_number("a/c", body) is None
    assert find_number("a/b", body[:100] + make_body("a/b", 8, 300)[100:]) is None
    assert find_number("a/b", body[:150] + bytes(150)) is None


@dataclass(frozen=True)
class Checked:
    """A server with one object of each kind, and the checker of it."""

    checker: Checker
    lake: S3
    commit: str
    upload: str


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checked]:
    with start_server(tmp_path_factory.mktemp("checked") / "data") as server:
        stopping = threading.Event()
        ports = (server.endpoints["api"]["port"], server.endpoints["raw"]["port"])
        api = Key("127.0.0.1", ports[0], server.access_key, server.secret_key)
        raw = Key("127.0.0.1", ports[1], server.raw_access_key, server.raw_secret_key)
        with contextlib.ExitStack() as stack:
            checker = stack.enter_context(contextlib.closing(Checker(api, raw)))
            lake = stack.enter_context(contextlib.closing(S3(api, REPOSITORY, stopping)))
            plain = stack.enter_context(contextlib.closing(S3(raw, RAW_BUCKET, stopping)))
            rest = stack.enter_context(contextlib.closing(Rest(api, stopping)))
            plain.send("PUT", "")
            plain.send("PUT", "raw", body=b"old")
            here = f"repositories/{REPOSITORY}"
            rest.send("POST", f"{here}/branches", {"name": "dev", "source": "main"})
            lake.send("PUT", "dev/marks/1/1", body=b"old")
            lake.send("PUT", "dev/scratch/1", body=b"old")
            made = rest.send("POST", f"{here}/branches/dev/commits", {"message": "1-1"})
            rest.send("POST", f"{here}/tags", {"id": "tag", "ref": "dev"})
            upload = lake.send("POST", "dev/multi", {"uploads": ""}).xml.findtext("UploadId") or ""
            lake.send("PUT", "dev/multi", {"uploadId": upload, "partNumber": "1"}, b"old")
            lake.send("POST", "dev/multi", {"uploadId": upload}, completion([_OLD[0]]))
            yield Checked(checker, lake, made.json["id"], upload)


def _history(checked: Checked) -> History:
    """Return what is so."""
    etag = checked.lake.send("HEAD", "dev/multi").etag
    history = History()
    history.possible = {
        f"{REPOSITORY}/dev/marks/1/1": {_OLD},
        f"{REPOSITORY}/dev/scratch/1": {_OLD},
        f"{REPOSITORY}/dev/multi": {(etag, _OLD[1], 3)},
        f"{RAW_BUCKET}/raw": {_OLD},
    }
    marks = ["marks/1/1"]
    history.notes = {
        "committing": [{"message": "1-1", "marks": marks}],
        "commit": [{"message": "1-1", "id": checked.commit}],
        "merge": [{"id": None, "marks": marks}],
        "tag": [{"name": "tag", "commit": checked.commit, "is_there": True}],
        "view": [{"branch": "dev", "either": [{"scratch/1": _OLD[0]}]}],
        "repository": [{"name": REPOSITORY, "either": [True]}],
        "completed": [
            {
                "bucket": REPOSITORY,
                "path": "dev/multi",
                "upload": checked.upload,
                "body": completion([_OLD[0]]).decode(),
                "etag": etag,
            }
        ],
    }
    return history


def _lose_a_key(history: History) -> None:
    history.possible[f"{REPOSITORY}/dev/lost"] = {_OLD}


def _lose_a_raw_key(history: History) -> None:
    history.possible[f"{RAW_BUCKET}/lost"] = {_OLD}


def _forget_a_key(history: History) -> None:
    del history.possible[f"{REPOSITORY}/dev/marks/1/1"]


def _change_an_etag(history: History) -> None:
    history.possible[f"{REPOSITORY}/dev/marks/1/1"] = {_NEW, None}


def _change_bytes(history: History) -> None:
    history.possible[f"{REPOSITORY}/dev/scratch/1"] = {(_OLD[0], _NEW[1], 3)}


def _lose_a_commit(history: History) -> None:
    history.notes["commit"][0]["message"] = "1-2"


def _commit_what_was_not_acknowledged(history: History) -> None:
    history.notes["commit"][0]["id"] = None


def _lose_a_mark(history: History) -> None:
    history.notes["committing"][0]["marks"] = ["marks/1/1", "marks/1/2"]


def _lose_a_merge(history: History) -> None:
    history.notes["merge"][0] = {"id": "f" * 64, "marks": []}


def _lose_a_tag(history: History) -> None:
    history.notes["tag"][0]["name"] = "lost"


def _reset_by_half(history: History) -> None:
    history.notes["view"][0]["either"] = [{}, {"scratch/1": _OLD[0], "scratch/2": _OLD[0]}]


def _lose_a_repository(history: History) -> None:
    history.notes["repository"][0]["name"] = "lost"


def _complete_otherwise(history: History) -> None:
    history.notes["completed"][0]["etag"] = _OLD[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        _lose_a_key,
        _lose_a_raw_key,
        _forget_a_key,
        _change_an_etag,
        _change_bytes,
        _lose_a_commit,
        _commit_what_was_not_acknowledged,
        _lose_a_mark,
        _lose_a_merge,
        _lose_a_tag,
        _reset_by_half,
        _lose_a_repository,
        _complete_otherwise,
    ],
)
def test_each_check_can_fail(checked: Checked, wrong: Callable[[History], None]) -> None:
    history = _history(checked)
    wrong(history)
    assert list(checked.checker.check(history, set(history.possible)))


@pytest.mark.slow
def test_what_is_so_has_no_complaint(checked: Checked) -> None:
    history = _history(checked)
    assert list(checked.checker.check(history, set(history.possible))) == []
