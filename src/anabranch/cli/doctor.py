"""`anabranch doctor`."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from anabranch.cli.asking import ask
from anabranch.cli.exits import PROBLEMS, out, print_json, told
from anabranch.directory import Directory
from anabranch.kernel.errors import AnabranchError, Kind, Unavailable
from anabranch.processes import Plan, run
from anabranch.settings import Settings, load

_FAILURES = 500
_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `is_good` is None for what is neither."""

    check: str
    is_good: bool | None
    detail: str


def doctor(
    data: Annotated[Path | None, typer.Option("--data", help="Directory of the server.")] = None,
    is_verifying: Annotated[
        bool,
        typer.Option("--verify", help="Walk everything stored; the server must be stopped."),
    ] = False,
    has_checksums: Annotated[
        bool, typer.Option("--checksums", help="With --verify: read all bytes, compare MD5.")
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
) -> None:
    """Check a server and its directory; ends with code 1 when something is wrong.

    A running server is asked; a stopped one's directory is opened only with --verify.
    """
    with told(is_json=is_json):
        settings = load({"data": data})
        directory = Directory(settings.data.absolute())
        findings = list(_look(directory))
        if is_verifying:
            findings += _verify(settings, directory, has_checksums=has_checksums)
    if is_json:
        print_json([asdict(finding) for finding in findings])
    else:
        out.print(_table(findings))
    if any(finding.is_good is False for finding in findings):
        raise typer.Exit(PROBLEMS)


def _look(directory: Directory) -> Iterator[Finding]:
    try:
        directory.check_format()
        yield Finding("data format", True, str(directory.path))
    except AnabranchError as error:
        yield Finding("data format", False, error.message)
        return
    if directory.key.exists():
        is_private = not directory.key.stat().st_mode & 0o077
        detail = "its owner's alone" if is_private else "others may read it"
        yield Finding("server key", is_private, detail)
    endpoints = directory.find_endpoints()
    if not directory.is_locked():
        left = "" if endpoints is None else "; endpoints.json is left from a killed server"
        yield Finding("server", None, f"not running{left}")
        return
    if endpoints is None:
        yield Finding("server", None, "running, does not answer yet")
        return
    yield Finding("server", True, f"running, process {endpoints.get('pid')}")
    for name, path in (("api", "/_health"), ("raw", "/")):
        if name in endpoints:
            yield _ask(name, endpoints[name], path)


def _ask(name: str, endpoint: dict[str, Any], path: str) -> Finding:
    where = f"{endpoint['host']}:{endpoint['port']}"
    try:
        status, _ = ask(endpoint, "GET", path)
    except Unavailable as error:
        return Finding(f"{name} port", False, error.message)
    return Finding(f"{name} port", status < _FAILURES, f"{where} answers {status}")


def _verify(settings: Settings, directory: Directory, *, has_checksums: bool) -> Iterator[Finding]:
    if directory.is_locked():
        raise Unavailable(Kind.BUSY, "--verify opens the directory: stop its server first")
    directory.check_format()
    lock = directory.acquire_lock()
    try:
        plan = Plan(
            settings, "doctor", arguments={"action": "verify", "has_checksums": has_checksums}
        )
        count = 0
        for said in run("anabranch.maintenance", plan, lock=lock):
            if "error" in said:
                yield Finding("stores", False, said["error"])
                return
            count += bool(said["repository"])
            yield _finding(said)
        yield Finding("repositories", True, str(count))
    finally:
        os.close(lock)


def _finding(said: dict[str, Any]) -> Finding:
    check = f"repository {said['repository']}" if said["repository"] else "blocks"
    if said["repository"]:
        detail = (
            f"{said['commits']} commits, {said['ranges']} ranges, {said['entries']} entries, "
            f"{said['staged']} staged, {said['bytes']} bytes"
        )
    else:
        detail = (
            f"{said['entries']} other objects, {said['parts']} parts of open uploads, "
            f"{said['bytes']} bytes"
        )
    if said["problem_count"]:
        shown = said["problems"][:_SHOWN_MAX]
        detail += "".join(f"\n{problem}" for problem in shown)
        if said["problem_count"] > len(shown):
            detail += f"\n... {said['problem_count'] - len(shown)} more"
    return Finding(check, not said["problem_count"], detail)


def _table(findings: list[Finding]) -> Table:
    table = Table("Check", "", "Detail", show_edge=False)
    marks = {True: "[green]good[/]", False: "[bold red]problem[/]", None: "[dim]-[/]"}
    for finding in findings:
        table.add_row(finding.check, marks[finding.is_good], escape(finding.detail))
    return table
