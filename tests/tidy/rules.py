"""Rules about form. Each takes a tree and returns its complaints: one line each, none when tidy."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tests.tidy.tree import Source, Tree

MODULE_LINES_MAX = 500
TEST_MODULE_LINES_MAX = 800
FUNCTION_LINES_MAX = 60
FIXTURES_MAX = 5

VAGUE = {"util", "utils", "common", "misc", "helper", "helpers", "shared", "stuff"}

# Plans belong into docs/PLAN.md, history into the changelog.
HISTORY = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b"
    r"|\b(formerly|refactored|nowadays|not yet implemented|good enough for now)\b"
    r"|\b(was|were|has been) (renamed from|refactored|rewritten)\b"
    r"|\b(old|new|previous) (implementation|version of (this|the) (code|function|module))\b",
    re.IGNORECASE,
)

# Folders that only one machine has. A path in a test of paths may be any other.
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|root|home/\w+|Users/\w+|opt/wheels)/[\w.]")
REGISTRY_HOST = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|crates\.io|repo1?\.maven\.|registry\.npmjs\.|"
    r"proxy\.golang\.org|deb\.debian\.org)"
)
INDEX_OPTION = re.compile(
    r"^\s*(?:-i|--index-url|--extra-index-url|--find-links|-f)\b", re.MULTILINE
)

# No server is built on them, and that is their point.
STORES_OF_TESTS = {"anabranch.storage.kv.memory", "anabranch.storage.blocks.memory"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
PYTHON = ("src/", "tests/", "tools/")


def module_sizes(tree: Tree) -> Iterator[str]:
    """At most 500 lines a module, 800 a test module."""
    for source in tree.files(*PYTHON, suffix=".py"):
        is_test = source.path.startswith("tests/")
        limit = TEST_MODULE_LINES_MAX if is_test else MODULE_LINES_MAX
        if len(source.lines) > limit:
            yield f"{source.path}: {len(source.lines)} lines, at most {limit}"


def function_sizes(tree: Tree) -> Iterator[str]:
    """At most 60 lines a function, from `def` to its last line."""
    for source in tree.files(*PYTHON, suffix=".py"):
        for node in source.nodes:
            if not isinstance(node, Function):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield f"{source.path}:{node.lineno}: {node.name} has {lines} lines"


def names_that_say_something(tree: Tree) -> Iterator[str]:
    """No `utils`, `common`, `misc`: a name says what is inside."""
    for source in tree.files("src/", "tests/", "tools/", "native/"):
        parts = Path(source.path).with_suffix("").parts
        for part in VAGUE.intersection(word for name in parts for word in name.split("_")):
            yield f"{source.path}: named {part!r}"


def docstrings_present(tree: Tree) -> Iterator[str]:
    """Every module and public class of the source has a docstring."""
    for source in tree.files("src/", "tools/", suffix=".py"):
        if ast.get_docstring(source.tree) is None:
            yield f"{source.path}: no docstring"
        for node in source.tree.body:
            if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
                continue
            if ast.get_docstring(node) is None:
                yield f"{source.path}:{node.lineno}: class {node.name} has no docstring"


def no_history(tree: Tree) -> Iterator[str]:
    """Comments and docstrings say what is so and why, not what was or shall be."""
    sources = tree.files(*PYTHON, suffix=".py") + tree.files("native/", suffix=".rs")
    for source in sources:
        # Telling comments from code takes long; most files need no telling.
        for line, text in source.remarks if HISTORY.search(source.text) else ():
            if found := HISTORY.search(text):
                yield f"{source.path}:{line}: {found.group()!r}"


def no_dead_modules(tree: Tree) -> Iterator[str]:
    """Each module of the source is imported by another, or is where a process starts."""
    sources = {source.module: source for source in tree.files("src/", suffix=".py")}
    used = entry_points(tree) | STORES_OF_TESTS
    for source in sources.values():
        used |= {name for name in imported(source.nodes) if name != source.module}
        used |= started(source.nodes) - {source.module}
    for module, source in sources.items():
        if source.path.endswith(("/__init__.py", "/__main__.py")) or module in used:
            continue
        yield f"{source.path}: nobody imports it"


def entry_points(tree: Tree) -> set[str]:
    """Return the modules of console scripts."""
    project = tree.find("pyproject.toml")
    if project is None:
        return set()
    scripts = tomllib.loads(project.text).get("project", {}).get("scripts", {})
    return {target.partition(":")[0] for target in scripts.values()}


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Return every dotted name that an import may mean: `from a import b` is `a` or `a.b`."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def started(nodes: Iterable[ast.AST]) -> set[str]:
    """Return modules that are named in a text, as for `python -m NAME` or a server's `NAME:app`."""
    texts = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {text.partition(":")[0] for text in texts if isinstance(text, str) and "." in text}


def no_machine_paths(tree: Tree) -> Iterator[str]:
    """No folder of one machine and no registry's address, in any committed file."""
    for source in tree.files():
        if source.path in {"native/Cargo.lock", "tests/tidy/rules.py"}:
            continue  # cargo writes a registry's name; the rules spell what they look for
        for number, line in enumerate(source.lines, 1):
            for found in (MACHINE_PATH.search(line), REGISTRY_HOST.search(line)):
                if found:
                    yield f"{source.path}:{number}: {found.group()!r}"
    for source in tree.files("requirements/"):
        if INDEX_OPTION.search(source.text):
            yield f"{source.path}: names an index"


def nothing_of_shared(tree: Tree) -> Iterator[str]:
    """No file of ../shared is committed here, under whatever name."""
    folder = tree.root.parent / "shared"
    theirs = {
        digest(path): path.name
        for path in (folder.rglob("*") if folder.is_dir() else ())
        if path.is_file() and path.stat().st_size > 0
    }
    for path in tree.paths:
        file = tree.root / path
        if file.is_file() and (name := theirs.get(digest(file))):
            yield f"{path}: is {name} of ../shared"


def digest(path: Path) -> str:
    """Return the hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def limits_have_reasons(tree: Tree) -> Iterator[str]:
    """Each maximum or minimum in limits.py has its reason on its line or in the lines above it."""
    source = tree.find("src/anabranch/kernel/limits.py")
    if source is None:
        return
    for node in source.tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case _:
                continue
        if not name.isupper() or name in {"KIB", "MIB", "GIB", "TIB"}:
            continue
        lines = source.lines[node.lineno - 1 : node.end_lineno]
        above = source.lines[node.lineno - 2]
        is_part_of_a_title = above.startswith("# ") and not source.lines[node.lineno - 3].strip()
        if not any("  # " in line for line in lines) and (
            not above.startswith("# ") or is_part_of_a_title
        ):
            yield f"{source.path}:{node.lineno}: {name} has no reason"


def kinds_documented(tree: Tree) -> Iterator[str]:
    """docs/errors.md has a row for each `Kind`, and for nothing else."""
    source, page = tree.find("src/anabranch/kernel/errors.py"), tree.find("docs/errors.md")
    if source is None or page is None:
        return
    kinds = {
        value
        for node in source.tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Kind"
        for value in texts_assigned(node)
    }
    yield from differences(page, kinds, first_cells(page), "Kind")


def settings_documented(tree: Tree) -> Iterator[str]:
    """docs/settings.md has a row for each field of a settings class, and for nothing else.

    A row may show a setting as a field, an option or a variable: `raw_port`, `--raw-port`,
    `ANABRANCH_RAW_PORT`. A field whose type is another settings class is a group, no setting.
    """
    source, page = tree.find("src/anabranch/settings.py"), tree.find("docs/settings.md")
    if source is None or page is None:
        return
    documented = {
        re.split(r"[\s=]", cell)[0].lower().replace("-", "_").strip("_").removeprefix("anabranch_")
        for cell in first_cells(page)
    }
    yield from differences(page, set(settings(source)), documented, "setting")


def settings(source: Source) -> Iterator[str]:
    """Yield the names of all fields of public classes that are no groups."""
    classes = {node.name: node for node in source.tree.body if isinstance(node, ast.ClassDef)}
    for name, node in classes.items():
        for statement in node.body:
            match statement:
                case ast.AnnAssign(target=ast.Name(id=field), annotation=annotation):
                    if ast.unparse(annotation) not in classes and not name.startswith("_"):
                        yield field


def flags_documented(tree: Tree) -> Iterator[str]:
    """Each option that the command line spells out is written of in docs/."""
    pages = [page.text for page in tree.files("docs/", suffix=".md")]
    if not pages:
        return
    for source in tree.files("src/anabranch/cli", suffix=".py"):
        for node in source.nodes:
            if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
                continue
            if not re.fullmatch(r"--[a-z][a-z0-9-]*(/--[a-z0-9-]+)?", node.value):
                continue
            for flag in set(node.value.split("/")) - {"--help"}:
                if not any(re.search(rf"(?<![\w-]){flag}(?![\w-])", page) for page in pages):
                    yield f"{source.path}:{node.lineno}: {flag} is in no page of docs/"


def texts_assigned(node: ast.ClassDef) -> Iterator[str]:
    """Yield the texts that a class's body assigns to names."""
    for statement in node.body:
        match statement:
            case ast.Assign(value=ast.Constant(value=str(text))):
                yield text


def first_cells(page: Source) -> set[str]:
    """Return the code in the first cell of each table row of a page."""
    return {
        found.group(1) for line in page.lines if (found := re.match(r"\|\s*`([^`]+)`\s*\|", line))
    }


def differences(page: Source, ours: set[str], documented: set[str], what: str) -> Iterator[str]:
    """Complain of what is on one side only."""
    yield from (f"{page.path}: {what} {name} is not there" for name in sorted(ours - documented))
    yield from (f"{page.path}: no {what} is called {name}" for name in sorted(documented - ours))


def dependencies_agree(tree: Tree) -> Iterator[str]:
    """requirements/run.in and the project's dependencies name the same packages."""
    project, run = tree.find("pyproject.toml"), tree.find("requirements/run.in")
    if project is None or run is None:
        return
    ours = {package(line) for line in tomllib.loads(project.text)["project"]["dependencies"]}
    theirs = {package(line) for line in run.lines if re.match(r"[a-z]", line)}
    for name in sorted(ours ^ theirs):
        yield f"{name}: in one of pyproject.toml and requirements/run.in only"


def imports_are_dependencies(tree: Tree) -> Iterator[str]:
    """What the source imports is Python's own, ours, or named in requirements/run.in."""
    run = tree.find("requirements/run.in")
    if run is None:
        return
    known = {package(line).replace("-", "_") for line in run.lines if re.match(r"[a-z]", line)}
    known |= sys.stdlib_module_names | {"anabranch"}
    for source in tree.files("src/", suffix=".py"):
        for name in sorted({name.partition(".")[0] for name in imported(source.nodes)} - known):
            yield f"{source.path}: imports {name}, which requirements/run.in does not name"


def package(requirement: str) -> str:
    """Return the name of a requirement's package."""
    return re.split(r"[\s<>=!~;\[]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-")


def locks_have_hashes(tree: Tree) -> Iterator[str]:
    """Each lock is compiled: every package pinned, with hashes; and every list has its lock."""
    for source in tree.files("requirements/", suffix=".in"):
        lock = tree.find(source.path.removesuffix(".in") + ".txt")
        if lock is None:
            yield f"{source.path}: not compiled"
            continue
        for entry in re.split(r"\n(?=\S)", lock.text.strip()):
            if "==" not in entry.partition("\n")[0] or "--hash=sha256:" not in entry:
                yield f"{lock.path}: {entry.partition(chr(10))[0]!r} is not pinned with a hash"


def tests_keep_the_rules(tree: Tree) -> Iterator[str]:
    """No mock library, no sleeping outside tests/support, five shared fixtures at most."""
    for source in tree.files("tests/", suffix=".py"):
        names = imported(source.nodes)
        for name in sorted(names & {"unittest.mock", "mock", "pytest_mock"}):
            yield f"{source.path}: imports {name}"
        if source.path.startswith("tests/support/"):
            continue
        for node in source.nodes:
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"time.sleep", "sleep"}:
                yield f"{source.path}:{node.lineno}: sleeps"
    conftest = tree.find("tests/conftest.py")
    if conftest is not None:
        fixtures = sum(
            "fixture" in ast.unparse(d) for f in functions(conftest) for d in f.decorator_list
        )
        if fixtures > FIXTURES_MAX:
            yield f"{conftest.path}: {fixtures} fixtures, at most {FIXTURES_MAX}"


def functions(source: Source) -> Iterator[Function]:
    """Yield the functions at the top of a module."""
    for node in source.tree.body:
        if isinstance(node, Function):
            yield node


def skips_have_reasons(tree: Tree) -> Iterator[str]:
    """A skipped test, and each word to a checker, says why."""
    for source in tree.files("tests/", suffix=".py"):
        for node in source.nodes:
            if not isinstance(node, ast.Attribute) or node.attr != "skip":
                continue
            if ast.unparse(node) == "pytest.mark.skip":
                yield f"{source.path}:{node.lineno}: skips always"
    for source in tree.files(*PYTHON, suffix=".py"):
        has_any = "type: ignore" in source.text or "noqa: " in source.text
        for number, text in source.remarks if has_any else ():
            if re.fullmatch(r"#\s*(type: ignore\[[\w, -]+\]|noqa: [\w, ]+)\s*", text):
                yield f"{source.path}:{number}: {text!r} without a reason"


def changelog_is_open(tree: Tree) -> Iterator[str]:
    """The changelog starts with what is unreleased."""
    changelog = tree.find("CHANGELOG.md")
    titles = [line for line in changelog.lines if line.startswith("## ")] if changelog else []
    if titles[:1] != ["## Unreleased"]:
        yield "CHANGELOG.md: the first section is not Unreleased"


RULES: tuple[Callable[[Tree], Iterator[str]], ...] = (
    changelog_is_open,
    dependencies_agree,
    imports_are_dependencies,
    docstrings_present,
    flags_documented,
    function_sizes,
    kinds_documented,
    limits_have_reasons,
    locks_have_hashes,
    module_sizes,
    names_that_say_something,
    no_dead_modules,
    no_history,
    no_machine_paths,
    nothing_of_shared,
    settings_documented,
    skips_have_reasons,
    tests_keep_the_rules,
)
