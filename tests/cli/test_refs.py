"""Refs as a whole by command: dump, restore, symlink files, and what each refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.commands import Commands, lines, masked


def fill(commands: Commands, name: str) -> None:
    commands("repo", "create", name, f"local://{name}")
    commands.put(f"{name}/main/t/day=1/a", "one")
    commands("commit", f"{name}/main", "-m", "first")
    commands("tag", "create", f"{name}/v1", "main")


def test_a_dump_is_restored(commands: Commands, tmp_path: Path) -> None:
    fill(commands, "refs-one")
    log = commands.json("log", "refs-one/main")
    file = tmp_path / "refs.json"
    said = commands("refs", "dump", "refs-one", "--output", str(file)).stdout
    assert masked(said) == lines("Commits   <id 1>", "Tags      <id 2>", "Branches  <id 3>")
    (dump,) = commands.json("refs", "dump", "refs-one")
    assert json.loads(file.read_text()) == dump
    commands("repo", "delete", "refs-one", "--yes")
    made = commands("repo", "create", "refs-two", "local://refs-one", "--bare").stdout
    assert made == "Created repository refs-two without refs on local://refs-one\n"
    assert commands("branch", "list", "refs-two").stdout == ""
    said = commands("refs", "restore", "refs-two", "-", input=file.read_bytes()).stdout
    assert said == "Restored refs-two from local://refs-one\n"
    assert commands.json("log", "refs-two/main") == log
    assert commands("fs", "cat", "refs-two/v1/t/day=1/a").stdout == "one"


def test_restore_refuses(commands: Commands, tmp_path: Path) -> None:
    fill(commands, "refs-three")
    file = tmp_path / "refs.json"
    commands("refs", "dump", "refs-three", "-o", str(file))
    said = commands("refs", "restore", "refs-three", str(file), code=2).stderr
    assert "can only restore into a bare repository" in said
    assert "--bare" in said
    commands("refs", "restore", "refs-three", str(tmp_path / "none"), code=4)
    commands("refs", "restore", "nothing", str(file), code=4)
    commands("refs", "dump", "nothing", code=4)
    assert "refs dump" in commands("refs", "restore", "refs-three", "-", input="{}", code=2).stderr
    commands("repo", "create", "refs-bare", "local://refs-bare", "--bare")
    said = commands("refs", "restore", "refs-bare", str(file), code=4).stderr
    assert "no list of commits" in said
    said = commands("repo", "create", "refs-over", "local://refs-three", "--bare", code=2).stderr
    assert "namespace already in use" in said


def test_symlink_files(commands: Commands) -> None:
    fill(commands, "refs-links")
    said = commands("refs", "symlinks", "refs-links/main/t").stdout
    location = "local://refs-links/_lakefs/symlinks"
    assert said == f"Wrote symlink files below {location}/refs-links/main/t\n"
    assert commands.json("refs", "symlinks", "refs-links/v1/") == [{"location": location}]
    commands("refs", "symlinks", "refs-links/main/none", code=4)


def test_metadata_is_replaced(commands: Commands) -> None:
    fill(commands, "refs-meta")
    place = "refs-meta/main/t/day=1/a"
    (before,) = commands.json("fs", "stat", place)
    (after,) = commands.json("fs", "metadata", place, "--meta", "a=1", "--meta", "b=2")
    assert after["metadata"] == {"a": "1", "b": "2"}
    assert after["physical_address"] == before["physical_address"]
    assert "2 pairs" in commands("fs", "metadata", place, "--meta", "a=1", "--meta", "b=2").stdout
    (found,) = commands.json("fs", "metadata", place)
    assert found.get("metadata", {}) == {}
    commands("fs", "metadata", "refs-meta/main/none", "--meta", "a=1", code=4)
    commands("fs", "metadata", "refs-meta/v1/t/day=1/a", "--meta", "a=1", code=3)
