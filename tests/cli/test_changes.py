"""revert, cherry-pick, reset and import against a real server."""

import json
from collections.abc import Iterator

import pytest

from anabranch.cli.importing import import_objects
from anabranch.cli.session import Session
from anabranch.client.answers import Change, ImportStatus, Problem
from anabranch.client.rest import Client
from anabranch.kernel.errors import AnabranchError
from tests.cli.commands import Commands, lines, masked


def make(commands: Commands, name: str) -> str:
    """Make a repository with three commits on main, each with an object of its own."""
    commands("repo", "create", name)
    for path in ("a", "b", "c"):
        commands.put(f"{name}/main/{path}", path)
        commands("commit", f"{name}/main", "-m", f"Add {path}", "--meta", "k=v")
    return name


def paths(commands: Commands, place: str) -> list[str]:
    """Return the paths of all objects."""
    return [one["path"] for one in commands.json("fs", "ls", "-r", f"{place}/")]


def test_revert_undoes_one_commit(commands: Commands) -> None:
    name = make(commands, "reverts")
    said = commands("revert", f"{name}/main", "main~1", "-m", "No b", "--meta", "why=wrong")
    assert masked(said.stdout) == lines(f"Reverted main~1 on {name}/main: <id 1> No b")
    assert paths(commands, f"{name}/main") == ["a", "c"]
    (head,) = commands.json("log", f"{name}/main", "-n", "1")
    assert (head["message"], head["metadata"]) == ("No b", {"why": "wrong"})
    (back,) = commands.json("revert", f"{name}/main", f"lake://{name}/main")
    assert back["message"].startswith("Revert ")
    assert paths(commands, f"{name}/main") == ["a", "b", "c"]
    commands("revert", f"{name}/main", "nowhere", code=4)
    commands("revert", f"{name}/main~1", "main", code=2)
    commands("revert", f"{name}/main", "main", "--parent", "-1", code=2)


def test_revert_of_what_changed_since_is_a_conflict(commands: Commands) -> None:
    name = make(commands, "reverts-late")
    commands.put(f"{name}/main/b", "other")
    commands("commit", f"{name}/main", "-m", "Change b")
    before = commands.json("branch", "show", f"{name}/main")
    refused = commands("revert", f"{name}/main", "main~2", "--json", code=5)
    assert json.loads(refused.stderr)["kind"] == "merge_conflict"
    assert "by hand" in json.loads(refused.stderr)["hint"]
    assert commands.json("branch", "show", f"{name}/main") == before


def test_a_merge_needs_a_parent(commands: Commands) -> None:
    name = make(commands, "merged")
    commands("branch", "create", f"{name}/dev", "--source", "main~1")
    commands.put(f"{name}/dev/d")
    commands("commit", f"{name}/dev", "-m", "Add d")
    commands("merge", f"{name}/dev", "main", "-m", "Join")
    refused = commands("revert", f"{name}/main", "main", code=2)
    assert "--parent 1" in refused.stderr
    commands("revert", f"{name}/main", "main", "--parent", "1")
    assert paths(commands, f"{name}/main") == ["a", "b", "c"]


def test_cherry_pick_keeps_message_and_metadata(commands: Commands) -> None:
    name = make(commands, "picks")
    commands("branch", "create", f"{name}/old", "--source", "main~2")
    said = commands("cherry-pick", f"{name}/old", "main").stdout
    assert masked(said) == lines(f"Picked main onto {name}/old: <id 1> Add c")
    assert paths(commands, f"{name}/old") == ["a", "c"]
    (picked,) = commands.json("log", f"{name}/old", "-n", "1")
    (origin,) = commands.json("log", f"{name}/main", "-n", "1")
    assert picked["metadata"]["k"] == "v"
    assert picked["metadata"]["cherry-pick-origin"] == origin["id"]
    commands("cherry-pick", f"{name}/old", "nowhere", code=4)
    (made,) = commands.json("cherry-pick", f"{name}/old", "main~1")
    assert made["message"] == "Add b"


def test_reset_is_branch_reset(commands: Commands) -> None:
    name = make(commands, "reset-alone")
    for path in ("a", "t/1", "u"):
        commands.put(f"{name}/main/{path}", "new")
    commands("reset", f"{name}/main", "--path", "a", "-y")
    commands("reset", f"{name}/main", "--prefix", "t/", "-y")
    assert [one["path"] for one in commands.json("diff", f"{name}/main")] == ["u"]
    assert commands.json("reset", f"{name}/main", "--yes") == [{"reset": f"{name}/main"}]
    assert commands.json("diff", f"{name}/main") == []
    commands("reset", f"{name}/main", "--hard", "main~2", "--yes")
    assert paths(commands, f"{name}/main") == ["a"]
    commands("reset", f"{name}/main", code=2)


def test_import_adopts_a_folder_and_single_files(commands: Commands) -> None:
    commands("repo", "create", "imports")
    uri = f"local://{commands.importable}/sub/"
    said = commands("import", uri, "imports/main/in/", "-m", "Adopt", "--meta", "by=me").stdout
    assert masked(said) == lines("Imported 3 objects to lake://imports/main/in/: <id 1>")
    assert paths(commands, "imports/main") == ["in/0.csv", "in/1.csv", "in/2.csv"]
    (head,) = commands.json("log", "imports/main", "-n", "1")
    assert (head["message"], head["metadata"]["by"]) == ("Adopt", "me")
    assert commands("fs", "cat", "imports/main/in/2.csv").stdout == "2"
    (done,) = commands.json("import", f"{uri}0.csv", f"{uri}1.csv", "imports/main/one/")
    assert done["ingested_objects"] == 2
    assert done["commit"]["message"] == "Import"
    assert paths(commands, "imports/main")[3:] == ["one/0.csv", "one/1.csv"]


def test_import_refuses(commands: Commands) -> None:
    commands("repo", "create", "imports-not")
    uri = f"local://{commands.importable}/sub/"
    assert "no URI" in commands("import", "sub", "imports-not/main/", code=2).stderr
    outside = commands("import", "local:///etc/", "imports-not/main/", code=3)
    assert "--import-from" in outside.stderr
    commands("import", uri, "imports-not/none/", code=4)
    commands("import", uri, "imports-not/main~1/", code=2)
    failed = commands("import", f"{uri}none.csv", "imports-not/main/", "--json", code=1)
    assert json.loads(failed.stderr)["kind"] == "import_source"
    assert paths(commands, "imports-not/main") == []
    commands.put("imports-not/main/new")
    dirty = commands("import", uri, "imports-not/main/in/", code=5)
    assert "uncommitted changes" in dirty.stderr


class Stuck(Client):
    """A client whose imports go on until Ctrl-C, or fail."""

    def __init__(self, answer: ImportStatus | BaseException) -> None:
        self.answer = answer
        self.cancelled: list[str] = []

    def uncommitted(self, *_: object, **__: object) -> Iterator[list[Change]]:
        return iter([[]])

    def start_import(self, *_: object, **__: object) -> str:
        return "import-1"

    def import_status(self, *_: object, **__: object) -> ImportStatus:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def cancel_import(self, repository: str, branch: str, import_id: str) -> None:
        self.cancelled.append(import_id)


@pytest.mark.parametrize("is_json", [False, True])
def test_ctrl_c_cancels_an_import(commands: Commands, *, is_json: bool) -> None:
    client = Stuck(KeyboardInterrupt())
    session = Session(client, is_json, commands.server_place())
    with pytest.raises(KeyboardInterrupt, match="cancelled and nothing of it is visible"):
        import_objects(session, ["s3://b/c/"], "repo/main/", "m", None)
    assert client.cancelled == ["import-1"]


def test_a_failed_import_is_an_error(commands: Commands) -> None:
    client = Stuck(ImportStatus(completed=False, error=Problem("disk full")))
    session = Session(client, False, commands.server_place())
    with pytest.raises(AnabranchError, match="disk full"):
        import_objects(session, ["s3://b/c/"], "repo/main/", "m", None)
    assert client.cancelled == []
