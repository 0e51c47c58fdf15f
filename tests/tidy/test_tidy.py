"""This tree keeps its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy.rules import RULES
from tests.tidy.tree import Tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(ROOT)


def test_the_tree_is_found(tree: Tree) -> None:
    assert tree.find("pyproject.toml") is not None
    assert len(tree.files("src/anabranch/", suffix=".py")) > 5


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_tidy(tree: Tree, rule: Callable[[Tree], Iterator[str]]) -> None:
    complaints = list(rule(tree))
    assert not complaints, f"{rule.__doc__}\n" + "\n".join(complaints)
