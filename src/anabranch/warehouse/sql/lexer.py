"""Text to tokens, as MySQL and Doris write them, and a text of several statements to its parts.

Positions are offsets in characters. Everything is linear in the text: one regular expression looks
at each character once, and tokens are made only as far as a parser asks for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris, syntax


class TokenKind(Enum):
    """What a token is."""

    WORD = "word"  # keyword or bare name
    QUOTED = "quoted"  # name in back-ticks
    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"  # with a point or an exponent
    HEX = "hex"  # 0x.., x'..', b'..'
    OPERATOR = "operator"
    PARAMETER = "parameter"
    HINT = "hint"  # /*+ ... */
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `value` is a name or string without its quotes, else the text in upper case."""

    kind: TokenKind
    value: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""
    (?P<space>   (?: [\s\ufeff]++ | --[^\n]*+ | \#[^\n]*+ | /\*(?![+!])(?:[^*]++|\*(?!/))*+\*/ )++ )
  | (?P<hint>    /\*\+(?:[^*]++|\*(?!/))*+\*/ )
  | (?P<hex>     0[xX][0-9a-fA-F]++(?![\w$]) | [xX]'[0-9a-fA-F]*+' | [bB]'[01]*+' )
  | (?P<number>  (?: (?: \d++\.\d*+ | \.\d++ ) (?:[eE][+-]?\d++)? | \d++[eE][+-]?\d++ ) (?![\w$]) )
  | (?P<integer> \d++(?![\w$]) )
  | (?P<word>    [\w$]++ )
  | (?P<quoted>  `(?:[^`]++|``)*+` )
  | (?P<string>  '(?:[^'\\]++|\\.|'')*+' | "(?:[^"\\]++|\\.|"")*+" )
  | (?P<parameter> \? )
  | (?P<operator> <=> | -> >? | => | := | @@ | << | >> | <= | >= | <> | != | \|\| | &&
                | [-+*/%(),.;:=<>!&|^~@\[\]{}] )
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {kind.value: kind for kind in TokenKind}
_OPENED = {"'": "string", '"': "string", "`": "name", "/": "comment"}

_ESCAPE = re.compile(r"\\(.)|''|\"\"", re.DOTALL)
_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


def unquote_string(raw: str) -> str:
    """Return the value of a string literal given with its quotes.

    Escapes are MySQL's: a back-slash before `%` or `_` stays, as LIKE needs it.
    """
    quote = raw[0]
    inner = raw[1:-1]
    if "\\" not in inner and quote not in inner:
        return inner

    def replace(found: re.Match[str]) -> str:
        escaped = found.group(1)
        if escaped is None:
            doubled = found.group()
            return quote if doubled[0] == quote else doubled
        if escaped in "%_":
            return "\\" + escaped
        return _ESCAPES.get(escaped, escaped)

    return _ESCAPE.sub(replace, inner)


def quote_string(text: str) -> str:
    """Return `text` as a string literal that `unquote_string` reads back."""
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\0", "\\0").replace("\x1a", "\\Z")
    )
    # `\%` is the one pair that reading keeps, so a back-slash before % or _ is not doubled.
    return '"' + escaped.replace("\\\\%", "\\%").replace("\\\\_", "\\_") + '"'


def quote_name(name: str) -> str:
    """Return `name` in back-ticks."""
    return "`" + name.replace("`", "``") + "`"


def scan(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the tokens of `text` from `start` on, END last; raise 1064 where there is none.

    Comments and white space are dropped, hints kept.
    """
    at = start
    size = len(text)
    while at < size:
        found = _TOKEN.match(text, at)
        if found is None:
            what = _OPENED.get(text[at])
            if what is None or (text[at] == "/" and not text.startswith("/*", at)):
                raise syntax(text, at, repr(text[at]))
            raise syntax(text, at, f"a {what} that does not end")
        name = found.lastgroup
        at = found.end()
        if name == "space" or name is None:
            continue
        raw = found.group()
        match name:
            case "string":
                value = unquote_string(raw)
            case "quoted":
                value = raw[1:-1].replace("``", "`")
            case "word" | "hint":
                value = raw
            case _:
                value = raw.upper()
        yield Token(_KINDS[name], value, found.start(), at)
    yield Token(TokenKind.END, "", size, size)


_CHUNK = re.compile(
    r"""
    (?P<plain>   (?: [^;'"`/\#-]++ | /(?!\*) | -(?!-) )++ )
  | (?P<quotes>  (?: '(?:[^'\\]++|\\.|'')*+' | "(?:[^"\\]++|\\.|"")*+" | `(?:[^`]++|``)*+` ) )
  | (?P<comment> --[^\n]*+ | \#[^\n]*+ | /\*(?!!)(?:[^*]++|\*(?!/))*+\*/ )
  | (?P<version> /\*!\d*+ )
  | (?P<end>     ; )
    """,
    re.VERBOSE | re.DOTALL,
)


def split(text: str) -> list[str]:
    """Return the statements of `text` without `;`, empty ones left out.

    `/*!40101 ... */` is what it contains: its marks are blanked. A client's DELIMITER is not known.
    Raises 1064 for a string, name or comment that does not end.
    """
    if len(text) > limits.STATEMENT_CHARACTERS_MAX:
        raise doris(f"a statement is longer than {limits.STATEMENT_CHARACTERS_MAX} characters")
    if "\0" in text:
        # A NUL outside of strings would end the text for some readers and not for others.
        text = _refuse_nul(text)
    if "/*!" in text:
        text = _open_versions(text)
    parts: list[str] = []
    start = at = 0
    has_content = False
    while at < len(text):
        found = _CHUNK.match(text, at)
        if found is None:
            raise syntax(text, at, f"a {_OPENED.get(text[at], 'character')} that does not end")
        at = found.end()
        match found.lastgroup:
            case "end":
                if has_content:
                    parts.append(text[start : found.start()])
                start, has_content = at, False
            case "plain":
                has_content = has_content or bool(found.group().strip(_BLANK))
            case "quotes":
                has_content = True
    if has_content:
        parts.append(text[start:])
    return [part.strip(_BLANK) for part in parts]


_BLANK = " \t\r\n\f\v\ufeff"


def _refuse_nul(text: str) -> str:
    for found in _CHUNK.finditer(text):
        if found.lastgroup == "plain" and "\0" in found.group():
            at = found.start() + found.group().index("\0")
            raise syntax(text, at, repr("\0"))
    return text


def _open_versions(text: str) -> str:
    """Blank the marks of version comments, so that positions stay as they are."""
    pieces: list[str] = []
    at = 0
    depth = 0
    while at < len(text):
        if depth and (found := _VERSION_END.match(text, at)):
            pieces.append("  ")
            depth -= 1
            at = found.end()
            continue
        found = _VERSION_CHUNK.match(text, at)
        if found is None:
            raise syntax(text, at, "a string, name or comment that does not end")
        at = found.end()
        if found.lastgroup == "version":
            pieces.append(" " * len(found.group()))
            depth += 1
        else:
            pieces.append(found.group())
    if depth:
        raise syntax(text, len(text), "a comment that does not end")
    return "".join(pieces)


_VERSION_END = re.compile(r"\*/")
_VERSION_CHUNK = re.compile(
    r"""
    [^'"`/\#*-]++
  | '(?:[^'\\]++|\\.|'')*+' | "(?:[^"\\]++|\\.|"")*+" | `(?:[^`]++|``)*+`
  | --[^\n]*+ | \#[^\n]*+ | /\*(?!!)(?:[^*]++|\*(?!/))*+\*/
  | (?P<version> /\*!\d*+ )
  | /(?!\*) | -(?!-) | \*
    """,
    re.VERBOSE | re.DOTALL,
)
