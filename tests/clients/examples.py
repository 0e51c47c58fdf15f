"""The configurations docs/clients.md shows: the suites of clients run with these very lines."""

import re

from tests.support.pages import DOCS, read_blocks


def example(client: str) -> str:
    """Return the first block of code below the heading that begins with the client's name."""
    begins = re.compile(rf"{re.escape(client)}\b")
    found = [one for one in read_blocks(DOCS / "clients.md") if begins.match(one.section)]
    assert found, f"docs/clients.md shows nothing for {client}"
    return found[0].code
