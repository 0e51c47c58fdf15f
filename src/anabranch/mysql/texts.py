"""What the connection itself has to see in a statement's text: a second statement, and KILL."""

import re
from dataclasses import dataclass

# One token: a literal, a quoted name, a comment, or other characters. What is not closed goes on
# to the end, and nothing is tried twice, so that the time is linear in the text whatever it says.
_TOKEN = re.compile(
    r"""
      '(?:[^'\\]++|\\.?|'')*+'?
    | "(?:[^"\\]++|\\.?|"")*+"?
    | `[^`]*+`?
    | (?P<comment> --(?=\s|\Z)[^\n]*+ | \#[^\n]*+ | /\*(?:[^*]++|\*(?!/))*+(?:\*/)? )
    | (?P<space> \s++ )
    | (?P<end> ; )
    | [^'"`\-\#/\s;]++
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_KILL = re.compile(r"\s*KILL\s+(?:(CONNECTION|QUERY)\s+)?(\d{1,10})\s*;?\s*", re.IGNORECASE)

_LIGHT = re.compile(r"\s*(?:SET|USE|SHOW)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Kill:
    """A KILL statement, which the event loop runs itself: it must not wait for a thread."""

    connection_id: int
    is_query_only: bool


def has_second_statement(text: str) -> bool:
    """Tell whether anything but space and comments follows a statement's end."""
    if ";" not in text.rstrip("; \t\r\n"):
        return False
    is_ended = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "end":
            is_ended = True
        elif is_ended and (kind is None or text.startswith("/*!", token.start())):
            return True
    return False


def find_kill(text: str) -> Kill | None:
    """Return the KILL that a text is, None when it is anything else."""
    found = _KILL.fullmatch(text)
    if found is None:
        return None
    return Kill(int(found[2]), (found[1] or "").upper() == "QUERY")


def is_light(text: str) -> bool:
    """Tell whether a text is one statement that sets or shows something."""
    return _LIGHT.match(text) is not None and ";" not in text.rstrip("; \t\r\n")


def quote_name(name: str) -> str:
    """Return a name in back-ticks."""
    return "`" + name.replace("`", "``") + "`"
