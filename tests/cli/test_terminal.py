"""The console script as a process: terminals, pipes, exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import SCRIPT, Commands
from tests.cli.terminals import environment, on_terminal, piped


def test_colours_are_for_terminals(commands: Commands) -> None:
    shown, code = on_terminal(commands, "log", "example3/main", "-n", "1")
    assert code == 0
    assert "\x1b[33m" in shown
    plain, _ = on_terminal(commands, "log", "example3/main", "-n", "1", NO_COLOR="1")
    assert "\x1b[3" not in plain
    assert b"\x1b" not in piped(commands, "log", "example3/main", "-n", "1").stdout


def test_a_question_is_asked_on_a_terminal(commands: Commands) -> None:
    commands("branch", "create", "example3/asked")
    shown, code = on_terminal(commands, "branch", "delete", "example3/asked", typed=b"n\n")
    assert "Delete branch example3/asked" in shown
    assert code == 1
    shown, code = on_terminal(commands, "branch", "delete", "example3/asked", typed=b"y\n")
    assert shown.endswith("Deleted branch example3/asked\n")
    assert code == 0


def test_bytes_pass_through_pipes(commands: Commands) -> None:
    data = os.urandom(3_000_000)
    assert piped(commands, "fs", "cp", "-", "lake://example3/main/p", input=data).returncode == 0
    assert piped(commands, "fs", "cat", "example3/main/p").stdout == data


def test_a_reader_that_leaves_ends_the_command_quietly(commands: Commands) -> None:
    commands.put("example3/main/long", os.urandom(3_000_000))
    with subprocess.Popen(
        [SCRIPT, "fs", "cat", "example3/main/long"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(commands),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert process.wait(timeout=30) == 1


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("repo", "list", "--secret-key", "wrong"), 3),
        (("fs", "stat", "example3/main/none"), 4),
        (("repo", "list", "--endpoint", "http://127.0.0.1:1"), 6),
        (("repo", "list", "--no-such-option"), 2),
    ],
)
def test_exit_codes_of_the_process(commands: Commands, args: tuple[str, ...], code: int) -> None:
    ended = piped(commands, *args)
    assert ended.returncode == code
    assert bool(ended.stderr) == bool(code)


def test_a_wrong_command_line_is_json_too(commands: Commands) -> None:
    for args in (("repo", "list", "--nothing"), ("log",), ("nothing",), ("log", "x/y", "-n", "0")):
        said = commands(*args, "--json", code=2)
        assert json.loads(said.stderr)["kind"] == "value"
        assert said.stdout == ""
    assert "Usage" in commands("log", code=2).stderr
    assert commands("log", "--help", "--json").stdout


@pytest.mark.slow
def test_a_transfer_shows_bars_on_a_terminal(commands: Commands, tmp_path: Path) -> None:
    file = tmp_path / "large.bin"
    with file.open("wb") as opened:
        opened.truncate(40 * 1024**2)
    shown, code = on_terminal(commands, "fs", "upload", str(file), "example3/main/bars/")
    assert code == 0
    assert "Uploading 1 file" in shown
    assert "40.0 MiB" in shown
    assert "/s" in shown
    assert shown.rstrip().endswith(
        "Uploaded 1 file (40.0 MiB) to lake://example3/main/bars/large.bin"
    )
    target = f"{tmp_path}/copy.bin"
    shown, code = on_terminal(
        commands, "fs", "download", "example3/main/bars/large.bin", target, NO_COLOR="1"
    )
    assert (code, "\x1b[3" in shown) == (0, False)


@pytest.mark.parametrize(
    "args", [("fs", "cat", "example3/main/full"), ("repo", "list"), ("--help",)]
)
def test_a_full_disk_is_told(commands: Commands, args: tuple[str, ...]) -> None:
    commands.put("example3/main/full", "x")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [SCRIPT, *args],
            stdout=full,
            stderr=subprocess.PIPE,
            env={key: value for key, value in commands.environment.items() if value is not None},
            check=False,
            timeout=30,
        )
    assert done.stderr == b"error: No space left on device\n"
    assert done.returncode == 1


def test_ctrl_c_while_it_loads_ends_it_quietly() -> None:
    program = (
        "import sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'rich.console':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "from anabranch.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "repo", "list"],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_what_few_values_need_is_not_loaded(commands: Commands) -> None:
    program = (
        "import sys\n"
        "from anabranch.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    sys.stderr.write(' '.join(sys.modules))\n"
    )
    environment = {key: value for key, value in commands.environment.items() if value is not None}
    for args in (["branch", "list", "example3"], ["fs", "ls", "example3/main/"], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *args],
            capture_output=True,
            check=True,
            env=environment,
            timeout=30,
        )
        loaded = set(done.stderr.decode().split())
        assert not loaded & {"pydantic", "asyncio", "duckdb", "pyarrow"}, args
