"""`make setup` does again what changed, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.setup import Stamps, digest, native_sources


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path in ("pyproject.toml", "native/Cargo.lock", "native/ranges/src/lib.rs"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return tmp_path


def key(root: Path) -> str:
    return digest(root, native_sources(root))


def test_a_step_is_done_for_one_key(root: Path) -> None:
    stamps = Stamps(root / "stamps")
    assert not stamps.is_done("project", "a")
    stamps.mark_done("project", "a")
    assert stamps.is_done("project", "a")
    assert not stamps.is_done("project", "b")
    assert not stamps.is_done("dev", "a")


@pytest.mark.parametrize(
    "path", ["pyproject.toml", "native/Cargo.lock", "native/ranges/src/lib.rs"]
)
def test_a_changed_source_changes_the_key(root: Path, path: str) -> None:
    before = key(root)
    (root / path).write_text("changed")
    assert key(root) != before


def test_a_new_source_changes_the_key(root: Path) -> None:
    before = key(root)
    (root / "native" / "ranges" / "src" / "new.rs").touch()
    assert key(root) != before


def test_what_cargo_builds_does_not_change_the_key(root: Path) -> None:
    before = key(root)
    (root / "native" / "target" / "release").mkdir(parents=True)
    (root / "native" / "target" / "release" / "generated.rs").write_text("x")
    assert key(root) == before
