"""Each rule finds what it is there to find, and leaves alone what keeps it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tidy import rules
from tests.tidy.tree import Tree

Rule = Callable[[Tree], Iterator[str]]

LIMITS = "src/anabranch/kernel/limits.py"
ERRORS = "src/anabranch/kernel/errors.py"
SETTINGS = "src/anabranch/settings.py"
PROJECT = (
    '[project]\ndependencies = ["apsw>=3", "rich"]\n[project.scripts]\na = "anabranch.cli:main"\n'
)
LOCKED = "apsw==3.54 \\\n    --hash=sha256:00\n"
HOME = "/" + "home/somebody/data"


def plant(root: Path, files: dict[str, str]) -> Tree:
    """Write `files` below `root` and return them as a tree."""
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Tree(root)


def function(lines: int) -> str:
    return "def f():\n" + "    x = 1\n" * (lines - 1)


BROKEN: list[tuple[Rule, dict[str, str]]] = [
    (rules.module_sizes, {"src/a.py": "x = 1\n" * 501}),
    (rules.module_sizes, {"tests/test_a.py": "x = 1\n" * 801}),
    (rules.function_sizes, {"src/a.py": function(61)}),
    (rules.function_sizes, {"tools/a.py": "class A:\n  " + function(61).replace("\n", "\n  ")}),
    (rules.names_that_say_something, {"src/anabranch/lake/utils.py": '"""A."""'}),
    (rules.names_that_say_something, {"src/anabranch/common/a.py": '"""A."""'}),
    (rules.names_that_say_something, {"native/ranges/src/misc.rs": ""}),
    (rules.docstrings_present, {"src/a.py": "x = 1"}),
    (rules.docstrings_present, {"src/a.py": '"""A."""\nclass A:\n    x = 1'}),
    (rules.no_history, {"src/a.py": "x = 1  # TODO: more"}),
    (rules.no_history, {"src/a.py": '"""This was renamed from b."""'}),
    (rules.no_history, {"native/a/src/lib.rs": "// good enough for now\n"}),
    (rules.no_dead_modules, {"src/anabranch/a.py": '"""Imports itself."""\nimport anabranch.a'}),
    (rules.no_machine_paths, {"docs/a.md": f"see {HOME}"}),
    (rules.no_machine_paths, {"docs/a.md": "from https://py" + "pi.org/simple"}),
    (rules.no_machine_paths, {"requirements/a.txt": "--index-url https://example.org\n"}),
    (rules.limits_have_reasons, {LIMITS: "A_MAX = 1\n"}),
    (rules.limits_have_reasons, {LIMITS: "x = 1\n\n# A title\nA_MAX = 1\n"}),
    (rules.kinds_documented, {ERRORS: 'class Kind:\n    A = "a"', "docs/errors.md": "| `b` | |"}),
    (rules.settings_documented, {SETTINGS: "class S:\n    port: int", "docs/settings.md": "port"}),
    (rules.settings_documented, {SETTINGS: "", "docs/settings.md": "| `ANABRANCH_X` | |"}),
    (rules.flags_documented, {"src/anabranch/cli/a.py": '"--raw"', "docs/a.md": "`--raw-port`"}),
    (rules.flags_documented, {"src/anabranch/cli.py": '"--a/--no-a"', "docs/a.md": "`--a`"}),
    (rules.dependencies_agree, {"pyproject.toml": PROJECT, "requirements/run.in": "apsw\n"}),
    (rules.imports_are_dependencies, {"requirements/run.in": "apsw\n", "src/a.py": "import numpy"}),
    (rules.locks_have_hashes, {"requirements/run.in": "apsw\n"}),
    (rules.locks_have_hashes, {"requirements/a.in": "apsw", "requirements/a.txt": "apsw==3.54\n"}),
    (rules.locks_have_hashes, {"requirements/a.in": "b", "requirements/a.txt": LOCKED + "b>=1\n"}),
    (rules.tests_keep_the_rules, {"tests/test_a.py": "from unittest.mock import Mock"}),
    (rules.tests_keep_the_rules, {"tests/test_a.py": "import time\ntime.sleep(1)"}),
    (rules.tests_keep_the_rules, {"tests/conftest.py": "@pytest.fixture\ndef f(): ...\n" * 6}),
    (rules.skips_have_reasons, {"tests/test_a.py": "@pytest.mark.skip\ndef test_a(): ..."}),
    (rules.skips_have_reasons, {"src/a.py": "x = y  # type: ignore" + "[name-defined]"}),
    (rules.skips_have_reasons, {"src/a.py": "x = y  # noqa: " + "F821"}),
    (rules.changelog_is_open, {"CHANGELOG.md": "# Changelog\n\n## 1.0\n\n## Unreleased\n"}),
]

KEPT: list[tuple[Rule, dict[str, str]]] = [
    (rules.module_sizes, {"src/a.py": "x = 1\n" * 500, "tests/test_a.py": "x = 1\n" * 800}),
    (rules.function_sizes, {"src/a.py": function(60)}),
    (rules.names_that_say_something, {"src/anabranch/lake/merges.py": "", "docs/utils.md": ""}),
    (rules.docstrings_present, {"src/a.py": '"""A."""\nclass _B:\n    x = 1'}),
    (rules.no_history, {"src/a.py": '"""A."""\nx = "TODO"\n'}),
    (rules.no_dead_modules, {"src/anabranch/cli.py": "", "pyproject.toml": PROJECT}),
    (rules.no_dead_modules, {"src/a/b.py": "", "src/a/__main__.py": "from a import b"}),
    (rules.no_dead_modules, {"src/a/b.py": "", "src/a/__main__.py": 'serve("a.b:app")'}),
    (
        rules.no_machine_paths,
        {"docs/a.md": "`../shared`, s3://b/work/x, /tmp/a, https://a.org/root/x"},
    ),
    (rules.limits_have_reasons, {LIMITS: "A_MAX = 1  # one is enough\n"}),
    (rules.limits_have_reasons, {LIMITS: "x = 1\n# Two lines\n# of reason\nA_MAX = 1\n"}),
    (rules.kinds_documented, {ERRORS: 'class Kind:\n    A = "a"', "docs/errors.md": "| `a` | |"}),
    (
        rules.settings_documented,
        {
            SETTINGS: "class B:\n    port: int\nclass S:\n    b: B",
            "docs/settings.md": "| `--port N` | |",
        },
    ),
    (rules.flags_documented, {"src/anabranch/cli.py": '"--raw-port"', "docs/a.md": "--raw-port=N"}),
    (rules.dependencies_agree, {"pyproject.toml": PROJECT, "requirements/run.in": "apsw\nrich\n"}),
    (
        rules.imports_are_dependencies,
        {"requirements/run.in": "a-b\n", "src/a.py": "import sys, a_b.c\nimport anabranch.x"},
    ),
    (rules.locks_have_hashes, {"requirements/a.in": "apsw\n", "requirements/a.txt": LOCKED}),
    (rules.tests_keep_the_rules, {"tests/support/a.py": "import time\ntime.sleep(1)"}),
    (
        rules.skips_have_reasons,
        {"tests/test_a.py": "@pytest.mark.skipif(x, reason='y')\ndef f(): ..."},
    ),
    (rules.changelog_is_open, {"CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.0\n"}),
]


@pytest.mark.parametrize(
    ("rule", "files"), BROKEN, ids=lambda value: getattr(value, "__name__", "")
)
def test_a_rule_finds_what_breaks_it(tmp_path: Path, rule: Rule, files: dict[str, str]) -> None:
    assert len(list(rule(plant(tmp_path, files)))) > 0


@pytest.mark.parametrize(("rule", "files"), KEPT, ids=lambda value: getattr(value, "__name__", ""))
def test_a_rule_leaves_the_rest_alone(tmp_path: Path, rule: Rule, files: dict[str, str]) -> None:
    assert list(rule(plant(tmp_path, files))) == []


def test_a_copy_of_shared_is_found_under_any_name(tmp_path: Path) -> None:
    (tmp_path / "shared" / "seeds").mkdir(parents=True)
    (tmp_path / "shared" / "seeds" / "notebook.txt").write_text("In [1]")
    tree = plant(tmp_path / "main", {"tests/data/cells.txt": "In [1]", "docs/a.md": "In [2]"})
    assert list(rules.nothing_of_shared(tree)) == [
        "tests/data/cells.txt: is notebook.txt of ../shared"
    ]


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    tried = {rule for rule, _ in BROKEN} | {rules.nothing_of_shared}
    assert tried == set(rules.RULES)


def test_files_that_git_ignores_are_not_ours(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    tree = plant(tmp_path, {".gitignore": "built/\n", "built/a.py": "", "src/a.py": ""})
    assert tree.paths == [".gitignore", "src/a.py"]


def test_without_git_what_builds_leave_is_not_ours(tmp_path: Path) -> None:
    tree = plant(tmp_path, {".venv/a.py": "", "native/target/a.rs": "", "src/a.py": ""})
    assert tree.paths == ["src/a.py"]
