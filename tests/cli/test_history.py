"""repo, branch, tag, commit, log, diff and merge against a real server."""

import json
from pathlib import Path

import pytest

from anabranch.kernel import limits
from tests.cli.commands import Commands, lines, masked


def make(commands: Commands, name: str) -> str:
    """Make a repository whose main holds one object, and branch dev at it."""
    commands("repo", "create", name)
    commands.put(f"{name}/main/a.csv", "one")
    commands("commit", f"{name}/main", "-m", "First", "--meta", "job=42", "--meta", "by=eve=x")
    commands("branch", "create", f"{name}/dev")
    return name


def test_a_repository_comes_and_goes(commands: Commands) -> None:
    said = commands("repo", "create", "coming", "local://place/of-it", "--default-branch", "trunk")
    assert said.stdout == lines(
        "Created repository coming with branch trunk on local://place/of-it"
    )
    assert masked(commands("repo", "show", "lake://coming").stdout) == lines(
        "Repository      coming",
        "Namespace       local://place/of-it",
        "Default branch  trunk",
        "Created         <time> UTC",
    )
    assert commands("repo", "list", "--prefix", "comi").stdout == lines(
        "coming  trunk  local://place/of-it"
    )
    (found,) = commands.json("repo", "list", "--prefix", "comi")
    assert set(found) == {
        "id",
        "storage_namespace",
        "default_branch",
        "creation_date",
        "read_only",
    }
    assert "exists" in commands("repo", "create", "coming", code=5).stderr
    assert commands.json("repo", "delete", "coming", "--yes") == [{"deleted": "coming"}]
    missing = commands("repo", "show", "coming", code=4)
    assert missing.stderr == lines(
        "error: no repository 'coming'",
        f"  asked: GET {commands.server.api_url}/api/v1/repositories/coming",
        "  try: `anabranch repo list` shows the repositories",
    )


def test_a_read_only_repository_goes_by_force(commands: Commands) -> None:
    made = commands.json("repo", "create", "fixed", "--read-only")
    assert made[0]["storage_namespace"] == "local://fixed"
    assert made[0]["read_only"] is True
    assert commands("repo", "list", "--prefix", "fixed").stdout.endswith("(read-only)\n")
    commands("branch", "create", "fixed/dev", code=3)
    commands("repo", "delete", "fixed", "--yes", code=3)
    commands("repo", "delete", "fixed", "--yes", "--force")


def test_deletions_are_asked_for(commands: Commands) -> None:
    name = make(commands, "asked")
    refused = commands("branch", "delete", f"{name}/dev", code=2)
    assert "--yes" in refused.stderr
    assert "--yes" in commands("branch", "delete", f"{name}/dev", "--json", code=2).stderr
    assert commands("branch", "delete", f"{name}/dev", "-y").stdout == lines(
        f"Deleted branch {name}/dev"
    )
    stays = commands("branch", "delete", f"{name}/main", "-y", code=5)
    assert "default branch" in stays.stderr


def test_branches(commands: Commands) -> None:
    name = make(commands, "branches")
    commands("branch", "create", f"{name}/feature/x", "--source", "main~1")
    assert masked(commands("branch", "list", name).stdout) == lines(
        "<id 1>  dev", "<id 2>  feature/x", "<id 1>  main"
    )
    assert commands.json("branch", "list", name, "--prefix", "feature/")[0]["id"] == "feature/x"
    assert "no branch" in commands("branch", "show", f"{name}/none", code=4).stderr
    commands.put(f"{name}/feature%2Fx/b.csv", "two")
    assert masked(commands("branch", "show", f"{name}/feature/x").stdout) == lines(
        f"Branch       {name}/feature/x",
        "Commit       <id 1>",
        "Made         <time> UTC by docker",
        "Message      Repository created",
        "Uncommitted  yes",
    )
    assert commands.json("branch", "show", f"{name}/dev")[0]["is_dirty"] is False
    commands("branch", "create", f"{name}/dev", code=5)


def test_resets(commands: Commands) -> None:
    name = make(commands, "resets")
    for path in ("a.csv", "t/1", "t/2", "u"):
        commands.put(f"{name}/dev/{path}", "new")
    reset = ("branch", "reset", f"{name}/dev")
    assert commands(*reset, "--path", "a.csv", "-y").stdout == lines(f"Reset a.csv on {name}/dev")
    assert commands(*reset, "--prefix", "t/", "-y").stdout == lines(
        f"Reset all under t/ on {name}/dev"
    )
    assert [one["path"] for one in commands.json("diff", f"{name}/dev")] == ["u"]
    assert commands.json(*reset, "--yes") == [{"reset": f"{name}/dev"}]
    assert commands("diff", f"{name}/dev").stdout == lines("Nothing uncommitted")
    commands(*reset, "--hard", "main~1", "--yes")
    assert len(commands.json("log", f"{name}/dev")) == 1
    commands(*reset, "--hard", "main", "--path", "x", "--yes", code=2)
    commands(*reset, code=2)


def test_tags(commands: Commands) -> None:
    name = make(commands, "tags")
    made = commands("tag", "create", f"{name}/v1", "main")
    assert masked(made.stdout) == lines(f"Created tag {name}/v1 at <id 1>")
    assert masked(commands("tag", "list", name, "--prefix", "v").stdout) == lines("<id 1>  v1")
    assert set(commands.json("tag", "list", name)[0]) == {"id", "commit_id"}
    assert "exists" in commands("tag", "create", f"{name}/v1", "dev", code=5).stderr
    commands("tag", "create", f"{name}/v2", "nowhere", code=4)
    assert commands("tag", "delete", f"{name}/v1").stdout == lines(f"Deleted tag {name}/v1")
    assert "tag list" in commands("tag", "delete", f"{name}/v1", code=4).stderr


def test_commit_says_what_it_made(commands: Commands) -> None:
    name = make(commands, "commits")
    commands.put(f"{name}/dev/b.csv")
    said = commands("commit", f"{name}/dev", "-m", "Second\nand more").stdout
    assert masked(said) == lines(f"Committed <id 1> to {name}/dev: Second")
    nothing = commands("commit", f"{name}/dev", "-m", "again", code=5)
    assert "--allow-empty" in nothing.stderr
    (made,) = commands.json("commit", f"{name}/dev", "-m", "empty", "--allow-empty")
    assert made["message"] == "empty"
    assert made["metadata"] == {}
    commands("commit", f"{name}/dev", code=2)
    commands("commit", f"{name}/dev", "-m", "x", "--meta", "no pair", code=2)


def test_log(commands: Commands) -> None:
    name = make(commands, "logs")
    commands.put(f"{name}/dev/b.csv")
    commands("commit", f"{name}/dev", "-m", "Second\n\nwith a body")
    commands.put(f"{name}/main/c.csv")
    commands("commit", f"{name}/main", "-m", "Third")
    commands("merge", f"{name}/dev", "main", "-m", "Join")
    log = ("log", f"{name}/main")
    assert masked(commands(*log).stdout) == lines(
        "<id 1>  <time>  docker",
        "    Join",
        "    parents <id 2> <id 3>",
        "",
        "<id 2>  <time>  docker",
        "    Third",
        "    parent <id 4>",
        "",
        "<id 3>  <time>  docker",
        "    Second",
        "",
        "    with a body",
        "    parent <id 4>",
        "",
        "<id 4>  <time>  docker",
        "    First",
        "    by: eve=x",
        "    job: 42",
        "    parent <id 5>",
        "",
        "<id 5>  <time>  docker",
        "    Repository created",
    )
    assert masked(commands(*log, "--oneline", "-n", "2").stdout) == lines(
        "<id 1>  Join", "<id 2>  Third"
    )
    messages = [one["message"] for one in commands.json(*log, "--first-parent")]
    assert messages == ["Join", "Third", "First", "Repository created"]
    assert [one["message"] for one in commands.json(*log, "--path", "c.csv")] == ["Third"]
    assert commands.json(*log, "--since", "2999-01-01T00:00:00Z") == []
    assert commands(*log, "--since", "soon", code=2).stderr.startswith("error: since")
    commands(*log, "-n", "0", code=2)
    assert "branch list" in commands("log", f"{name}/nowhere", code=4).stderr


def test_diff(commands: Commands) -> None:
    name = make(commands, "diffs")
    commands.put(f"{name}/main/old.csv", "o" * 2048)
    commands("commit", f"{name}/main", "-m", "Second")
    commands("branch", "create", f"{name}/topic")
    commands.put(f"{name}/topic/a.csv", "other")
    commands.put(f"{name}/topic/new.csv", "")
    commands("fs", "rm", f"{name}/topic/old.csv")
    expected = lines(
        "~        5 B  a.csv",
        "+        0 B  new.csv",
        "-    2.0 KiB  old.csv",
        "",
        "1 added, 1 removed, 1 changed",
    )
    assert commands("diff", f"{name}/topic").stdout == expected
    commands("commit", f"{name}/topic", "-m", "Third")
    assert commands("diff", f"{name}/main", f"{name}/topic").stdout == expected
    commands("diff", f"{name}/main", "topic", "--exit-code", code=1)
    assert commands("diff", f"{name}/topic", "main", "--exit-code").stdout == lines(
        "No differences"
    )
    back = commands.json("diff", f"{name}/topic", "main", "--two-dot", "--prefix", "a")
    assert back == [{"type": "changed", "path": "a.csv", "size_bytes": 3}]
    commands("diff", f"{name}/main", "nowhere", code=4)
    assert "not a branch name" in commands("diff", f"{name}/main~1", code=2).stderr


def test_merge_tells_what_changed(commands: Commands) -> None:
    name = make(commands, "merges")
    commands.put(f"{name}/dev/b.csv")
    dirty = commands("merge", f"{name}/main", "dev", "--allow-empty", code=5)
    assert "commit" in dirty.stderr
    commands("commit", f"{name}/dev", "-m", "Second")
    said = commands("merge", f"{name}/dev", "main", "--squash", "--meta", "ok=yes").stdout
    assert masked(said) == lines(
        f"Merged {name}/dev into main: <id 1>", "+        1 B  b.csv", "", "1 added"
    )
    head = commands.json("log", f"{name}/main", "-n", "1")[0]
    assert head["metadata"] == {"ok": "yes"}
    assert len(head["parents"]) == 1
    (result,) = commands.json("merge", f"{name}/dev", "main", "--allow-empty")
    assert set(result) == {"reference", "summary"}
    assert result["summary"] == {"added": 0, "removed": 0, "changed": 0}
    commands("merge", f"{name}/nowhere", "main", code=4)


@pytest.mark.parametrize("over", [0, 1])
def test_merge_shows_a_page_of_changes(commands: Commands, over: int) -> None:
    name = make(commands, f"many-{over}")
    count = limits.MERGE_CHANGES_SHOWN_MAX + over
    for number in range(count):
        commands.put(f"{name}/dev/{number:02}")
    commands("commit", f"{name}/dev", "-m", "many")
    said = commands("merge", f"{name}/dev", "main").stdout.splitlines()
    assert sum(line.startswith("+") for line in said) == limits.MERGE_CHANGES_SHOWN_MAX
    assert said[-1] == f"{count} added"
    more = [line for line in said if line.startswith("...")]
    if not over:
        assert more == []
        return
    assert more[0].startswith("... 1 more: anabranch diff ")
    rest = commands(*more[0].partition("anabranch ")[2].split()).stdout
    assert rest.splitlines()[-1] == f"{count} added"


def test_merge_lists_all_conflicts(commands: Commands) -> None:
    name = make(commands, "conflicts")
    for branch in ("main", "dev"):
        commands.put(f"{name}/{branch}/a.csv", branch)
        commands.put(f"{name}/{branch}/z.csv", branch)
        commands("commit", f"{name}/{branch}", "-m", "Change")
    merge = ("merge", f"{name}/dev", "main")
    refused = commands(*merge, code=5)
    assert refused.stdout == lines("! a.csv  changed on both sides", "! z.csv  added on both sides")
    assert refused.stderr == lines(
        f"error: {name}/dev conflicts with main at 2 paths; nothing was merged",
        "  try: change one side, or let one win: --strategy source-wins or dest-wins",
    )
    assert commands.json(*merge, code=5) == [
        {"path": "a.csv", "type": "both_changed"},
        {"path": "z.csv", "type": "both_added"},
    ]
    won = commands(*merge, "--strategy", "source-wins").stdout
    assert "2 changed" in won
    assert commands("fs", "cat", f"{name}/main/a.csv").stdout == "dev"
    commands(*merge, "--strategy", "nobody", code=2)


def test_the_kind_of_a_refusal_is_the_one_documented(commands: Commands, tmp_path: Path) -> None:
    make(commands, "kinds")
    commands("repo", "create", "still", "--read-only")
    file = tmp_path / "x"
    file.write_bytes(b"x")
    commands("tag", "create", "kinds/v1", "main")
    for target, kind in (("kinds/v1", "not_a_branch"), ("still/main", "read_only_repository")):
        refused = commands("fs", "cp", str(file), f"lake://{target}/x", "--json", code=3)
        assert json.loads(refused.stderr)["kind"] == kind
