"""A statement's text with its literals taken out, so that another literal is the same statement.

In the skeleton the n-th literal is a number or text that only stands for it (`encode`); the
skeleton and the literals' shapes are what plans are kept by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from anabranch.warehouse.errors import doris, syntax

_FIRST = 990_000_000  # the skeleton's numbers: 99ddddddd
LITERALS_MAX = 9_999_999  # seven digits
_TOKEN = re.compile(
    r"""(?P<blank>\s+|--(?=[\s\x00-\x1f]|$)[^\n]*|\#[^\n]*|/\*(?![+!]).*?\*/)
  | (?P<quoted>`(?:[^`]|``)*`)
  | (?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
  | (?P<bytes>[xX]'[0-9a-fA-F]*'|0x[0-9a-fA-F]+|[bB]'[01]*')
  | (?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w$]))
  | (?P<word>@?@?[\w$\u0080-\uffff]+)
  | (?P<hint>/\*[+!]|\*/)
  | (?P<other><=>|->>|->|&&|\|\||<<|>>|<=|>=|<>|!=|:=|.)""",
    re.X | re.S,
)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
_ESCAPED = re.compile(r"\\(.)", re.S)
_FRACTION = re.compile(r"\d{1,2}:\d{1,2}:\d{1,2}\.(\d{1,6})\d*\s*\Z")
_INTEGER = re.compile(r" *[+-]?[0-9]{1,18} *")
_DAY = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
_ENCODED = re.compile(r"(?<![\w.])'?99(\d{7})'?(?!\w)")


@dataclass(frozen=True, slots=True)
class Literal:
    """A literal: its value as text, and its shape (`s`, `i`, `d`, `f`, `n`, ...) with sizes."""

    value: str
    shape: str

    @property
    def is_text(self) -> bool:
        return self.shape.startswith("s")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; `slot` is set for literals."""

    kind: str
    text: str
    position: int
    end: int
    slot: int | None = None


def encode(slot: int) -> str:
    """Return the number that stands for a literal in the skeleton."""
    return str(_FIRST + slot)


def decode(text: str) -> int | None:
    """Return the slot that a skeleton's literal stands for."""
    if len(text) == len(str(_FIRST)) and text.startswith("99") and text.isdigit():
        return int(text) - _FIRST
    return None


def replace_encoded(text: str, literals: Sequence[Literal]) -> str:
    """Return a piece of the skeleton with its literals back in, as a column's name shows it."""

    def shown(found: re.Match[str]) -> str:
        slot = int(found.group(1))
        if slot >= len(literals):
            return found.group()
        literal = literals[slot]
        return "'" + literal.value.replace("'", "''") + "'" if literal.is_text else literal.value

    return _ENCODED.sub(shown, text)


def scan(text: str, parameters: Sequence[object] | None) -> tuple[list[Token], list[Literal]]:
    """Return the text's tokens without blanks, and its literals; `?` takes the next parameter."""
    tokens: list[Token] = []
    literals: list[Literal] = []
    given = list(parameters or ())
    taken = 0
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup or "other"
        value = found.group()
        at = found.start()
        if kind == "blank":
            continue
        if kind == "other" and value in "'\"`":
            raise syntax(text, at, value)
        literal = None
        if kind == "other" and value == "?" and parameters is not None:
            if taken >= len(given):
                raise doris("too few parameters")
            literal = of_parameter(given[taken])
            taken += 1
        elif kind == "text":
            literal = _text(value)
            if tokens and tokens[-1].kind == "text":  # 'a' 'b' is one text
                before = literals[-1]
                literals[-1] = _shaped_text(before.value + literal.value)
                continue
        elif kind == "number" and not (tokens and tokens[-1].text == "."):
            literal = _number(value)
        elif kind == "bytes":
            literal = _bytes(value)
        if literal is None:
            tokens.append(Token(kind, value, at, found.end()))
            continue
        if len(literals) >= LITERALS_MAX:
            raise doris("too many literals in one statement")
        shape = "text" if literal.is_text else "number"
        tokens.append(Token(shape, value, at, found.end(), len(literals)))
        literals.append(literal)
    return tokens, literals


def _text(quoted: str) -> Literal:
    mark = quoted[0]
    inner = quoted[1:-1].replace(mark * 2, mark)
    return _shaped_text(_ESCAPED.sub(_unescaped, inner))


def _unescaped(found: re.Match[str]) -> str:
    letter = found.group(1)
    if letter in "%_":  # LIKE's own escapes keep their backslash
        return found.group()
    return _ESCAPES.get(letter, letter)


def _shaped_text(value: str) -> Literal:
    """Shapes of texts: s0-s6 times with a fraction, si integers, sd days, s the rest."""
    if not value or value[0] not in "0123456789+- ":
        return Literal(value, "s")
    fraction = _FRACTION.search(value)
    if fraction:
        return Literal(value, f"s{len(fraction.group(1))}")
    if _INTEGER.fullmatch(value):
        return Literal(value, "si")
    return Literal(value, "sd" if _DAY.fullmatch(value) else "s")


_SIZES = ((127, "i1"), (32_767, "i2"), (2_147_483_647, "i4"), (2**63 - 1, "i8"))


def _number(value: str) -> Literal:
    if "e" in value or "E" in value:
        return Literal(value, "f")
    if "." in value:
        whole, _, part = value.partition(".")
        whole = whole.lstrip("0")
        if len(whole) + len(part) > 38:
            return Literal(value, "f")
        return Literal(f"{whole or '0'}.{part}", f"d{max(1, len(whole) + len(part))},{len(part)}")
    return _integer(int(value) if len(value) < 60 else 10**60)


LARGEINT_EDGE = "f127"
"""The shape of 2^127 alone: a DOUBLE that is LARGEINT behind a minus."""


def _integer(value: int) -> Literal:
    for most, shape in _SIZES:
        if abs(value) <= most:
            return Literal(str(value), shape)
    if abs(value) < 2**127:
        return Literal(str(value), "i16")
    # Negated, this one number is the smallest LARGEINT.
    return Literal(repr(float(value)), LARGEINT_EDGE if abs(value) == 2**127 else "f")


def _bytes(value: str) -> Literal:
    if value[0] in "bB":
        return _integer(int(value[2:-1] or "0", 2))
    digits = value[2:-1] if value[0] in "xX" else value[2:]
    digits = digits if len(digits) % 2 == 0 else "0" + digits
    return _shaped_text(bytes.fromhex(digits).decode("utf-8", "replace"))


def of_parameter(value: object) -> Literal:
    """Return the literal of a prepared statement's parameter."""
    match value:
        case None:
            return Literal("", "n")
        case bool():
            return _integer(int(value))
        case int():
            return _integer(value)
        case float():
            return Literal(repr(value), "f")
        case Decimal():
            return _number(f"{value:f}") if value.is_finite() else Literal(str(value), "f")
        case bytes():
            return _shaped_text(value.decode("utf-8", "replace"))
        case datetime():
            return _shaped_text(value.isoformat(" "))
        case date():
            return _shaped_text(value.isoformat())
        case timedelta():
            return _shaped_text(str(value))
    return _shaped_text(str(value))
