"""The configurations docs/clients.md shows: the suites of clients run with these very lines."""

import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clients.md"


def example(client: str) -> str:
    """Return the first block of code below the heading that begins with the client's name."""
    found = re.search(
        rf"^## {re.escape(client)}\b.*?^```\w*\n(.*?)^```",
        PAGE.read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert found is not None, f"docs/clients.md shows nothing for {client}"
    return found.group(1)
