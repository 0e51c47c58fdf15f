"""`anabranch setup`."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from anabranch.cli.asking import ask
from anabranch.cli.exits import out, print_json, told
from anabranch.directory import Directory
from anabranch.kernel.errors import (
    AnabranchError,
    Conflict,
    InvalidInput,
    Kind,
    Unavailable,
)
from anabranch.processes import Plan, run
from anabranch.settings import Settings, load

_OK = 200
_CONFLICT = 409


def setup(
    data: Annotated[Path | None, typer.Option("--data", help="Directory of the server.")] = None,
    user: Annotated[str, typer.Option("--user", help="Name of the first user.")] = "admin",
    key_id: Annotated[
        str | None,
        typer.Option("--access-key-id", help="Key id to install; generated if not given."),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(
            "--secret-access-key",
            envvar="ANABRANCH_SETUP_SECRET",
            help="Its secret; generated if not given.",
        ),
    ] = None,
    is_raw_only: Annotated[
        bool, typer.Option("--raw-key", help="Only show the raw store's keys of a server set up.")
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print keys as JSON.")] = False,
) -> None:
    """Make the first user of a server and show its keys, and those of the raw store.

    Works on a running server and on a stopped one's directory. Secrets are shown this once.
    """
    with told(is_json=is_json):
        settings = load({"data": data})
        directory = Directory(settings.data.absolute())
        found: dict[str, Any] = {}
        if is_raw_only:
            directory.check_format()
            found = _offline(settings, directory, {"action": "show_raw"}, is_exclusive=False)
        elif directory.is_locked():
            endpoints = directory.find_endpoints()
            if endpoints is None:
                raise Unavailable(Kind.BUSY, "the server is starting or stopping; try again")
            found = _online(endpoints["api"], user, key_id, secret)
            found |= _offline(settings, directory, {"action": "show_raw"}, is_exclusive=False)
        else:
            arguments = {"action": "setup", "user": user, "key_id": key_id, "secret": secret}
            found = _offline(settings, directory, arguments, is_exclusive=True)
    if is_json:
        print_json(found)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    for name, label in _LABELS.items():
        if name in found:
            table.add_row(label, str(found[name]))
    out.print(table)


_LABELS = {
    "user": "User",
    "key_id": "Access key",
    "secret": "Secret key",
    "raw_key_id": "Raw store's access key",
    "raw_secret": "Raw store's secret key",
}


def _offline(
    settings: Settings, directory: Directory, arguments: dict[str, Any], *, is_exclusive: bool
) -> dict[str, Any]:
    lock = directory.acquire_lock() if is_exclusive else None
    try:
        if is_exclusive:
            directory.prepare()
        plan = Plan(settings, "setup", arguments=arguments)
        found: dict[str, Any] = {}
        for said in run("anabranch.maintenance", plan, lock=lock):
            if "error" in said:
                raise _error(said)
            found |= said
        return found
    finally:
        if lock is not None:
            os.close(lock)


def _error(said: dict[str, Any]) -> AnabranchError:
    kind = Kind(said["kind"])
    if kind is Kind.SETUP_DONE:
        return Conflict(kind, said["error"])
    if kind is Kind.VALUE:
        return InvalidInput(kind, said["error"])
    return AnabranchError(kind, said["error"])


def _online(
    endpoint: dict[str, Any], user: str, key_id: str | None, secret: str | None
) -> dict[str, Any]:
    body: dict[str, Any] = {"username": user}
    if key_id is not None:
        body["key"] = {"access_key_id": key_id, "secret_access_key": secret}
    status, answer = ask(endpoint, "POST", "/api/v1/setup_lakefs", body)
    if status != _OK:
        message = json.loads(answer).get("message", f"status {status}")
        if status == _CONFLICT:
            raise Conflict(Kind.SETUP_DONE, message)
        raise InvalidInput(Kind.VALUE, message)
    made = json.loads(answer)
    return {
        "user": user,
        "key_id": made["access_key_id"],
        "secret": made["secret_access_key"],
    }
