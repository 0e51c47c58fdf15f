"""One server for all modules, and the commands that speak to it."""

from collections.abc import Iterator

import pytest

from tests.cli.commands import Commands
from tests.support.server import start_server


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """Commands against one quickstart server: tests keep to repositories and paths of their own."""
    folder = tmp_path_factory.mktemp("cli")
    importable = folder / "importable"
    (importable / "sub").mkdir(parents=True)
    for number in range(3):
        (importable / "sub" / f"{number}.csv").write_text(str(number))
    allowed = ("--import-from", f"local://{importable}/")
    with start_server(folder / "data", "--workers", "1", *allowed) as server:
        home = folder / "home"
        home.mkdir()
        yield Commands(server, home, importable)
