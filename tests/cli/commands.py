"""Runs commands against a server, as a user would, and makes what they print comparable."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typer.main import get_command
from typer.testing import CliRunner

from anabranch.cli.app import app
from anabranch.client.finding import find_server
from anabranch.client.rest import Client
from anabranch.client.transport import Server, Transport
from tests.support.server import RunningServer

_ID = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b|\b[0-9a-f]{12}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


SCRIPT = Path(sys.executable).with_name("anabranch")

# Built once: typer takes longer to build it than most commands to run.
COMMAND = get_command(app)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed."""

    stdout_bytes: bytes
    stderr_bytes: bytes

    @property
    def stdout(self) -> str:
        """Return what it printed to stdout."""
        return self.stdout_bytes.decode()

    @property
    def stderr(self) -> str:
        """Return what it printed to stderr."""
        return self.stderr_bytes.decode()


@dataclass(slots=True)
class Commands:
    """The command line, told by the environment where the server is and who asks."""

    server: RunningServer
    home: Path
    importable: Path = Path("/nowhere")
    environment: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environment |= {
            "HOME": str(self.home),
            "ANABRANCH_ENDPOINT": self.server.api_url,
            "ANABRANCH_DATA": None,
            "ANABRANCH_ACCESS_KEY": self.server.access_key,
            "ANABRANCH_SECRET_KEY": self.server.secret_key,
            "ANABRANCH_CA_CERT": None,
        }

    def __call__(
        self,
        *args: str,
        code: int = 0,
        input: bytes | str | None = None,
        environment: Mapping[str, str | None] | None = None,
    ) -> Said:
        """Run a command and want its exit code."""
        runner = CliRunner(env={**self.environment, **(environment or {})})
        with runner.isolation(input) as (out, errors, _):
            try:
                COMMAND.main(args, prog_name="anabranch")
            except SystemExit as end:
                ended = end.code
            sys.stdout.flush()
            sys.stderr.flush()
            said = Said(out.getvalue(), errors.getvalue())
        assert ended == code, f"{args}: {ended}\n{said.stdout}\n{said.stderr}"
        return said

    def json(self, *args: str, code: int = 0) -> list[Any]:
        """Run a command with --json; return the documents of its lines."""
        return [json.loads(line) for line in self(*args, "--json", code=code).stdout.splitlines()]

    def put(self, place: str, data: str | bytes = "x") -> None:
        """Write an object."""
        self("fs", "cp", "-", f"lake://{place}", input=data)

    def server_place(self) -> Server:
        """Return where the server answers, and as whom it is asked."""
        options = {
            "endpoint": self.server.api_url,
            "access_key": self.server.access_key,
            "secret_key": self.server.secret_key,
        }
        return find_server(options)

    def client(self) -> Client:
        """Return a client of its own connection."""
        return Client(Transport(self.server_place()))


def masked(text: str) -> str:
    """Return a text with ids numbered by first appearance, short and long ones alike, and times."""
    seen: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        return seen.setdefault(found.group()[:12], f"<id {len(seen) + 1}>")

    return _TIME.sub("<time>", _ID.sub(name, text))


def lines(*expected: str) -> str:
    """Return lines as a command prints them."""
    return "".join(f"{line}\n" for line in expected)


def flags(params: Sequence[Any]) -> set[str]:
    """Return the long options of a command's parameters."""
    return {option for param in params for option in param.opts if option.startswith("--")}
