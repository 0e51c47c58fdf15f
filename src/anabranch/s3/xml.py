"""S3's XML: small builders that join strings, and a strict reader.

The reader takes no DOCTYPE, no entity beyond XML's own five, no nesting past a few levels: whatever
is not plain elements and text is `MalformedXML`. Namespaces are accepted and dropped.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from time import gmtime
from urllib.parse import quote
from xml.parsers.expat import ExpatError, ParserCreate

from anabranch.kernel import limits
from anabranch.s3.errors import Refused

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
# What XML can not hold as it is, among it a carriage return, which a reader would change.
_SPECIAL = re.compile("[&<>\"'\x00-\x08\x0b-\x1f\ufffe\uffff]|[\ud800-\udfff]")
_SPECIAL_ASCII = re.compile("[^ !#-%(-;=?-~]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "\x00": "\ufffd"}


def _escape_one(match: re.Match[str]) -> str:
    found = match.group()
    if "\ud800" <= found <= "\udfff":
        return "\ufffd"
    return _NAMED.get(found) or f"&#x{ord(found):x};"


def escape(text: str) -> str:
    """Return text as an element's content.

    Control characters become numeric references, as S3 writes them although XML 1.0 has no such
    ones; NUL and halves of surrogate pairs, which no key holds, are replaced.
    """
    # Most text is plain ASCII, and one search tells.
    if _SPECIAL_ASCII.search(text) is None:
        return text
    return _SPECIAL.sub(_escape_one, text)


def element(name: str, text: str) -> str:
    """Return one element that holds text."""
    return f"<{name}>{escape(text)}</{name}>"


def sentence(name: str, text: str) -> str:
    """Return one element that holds words for people, with their quotation marks as they are.

    Content needs no references for them, and clients exist that show an error's XML unread.
    """
    shown = escape(text).replace("&#39;", "'").replace("&quot;", '"')
    return f"<{name}>{shown}</{name}>"


def document(name: str, *parts: str, namespace: str = NAMESPACE) -> bytes:
    """Return a whole document; `parts` are XML already."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f"{_DECLARATION}<{name}{attribute}>{''.join(parts)}</{name}>".encode()


def document_of(name: str, *parts: str, body: bytes) -> bytes:
    """Return a whole document whose end is XML in UTF-8 already, and may be long."""
    head = f'{_DECLARATION}<{name} xmlns="{NAMESPACE}">{"".join(parts)}'.encode()
    return b"".join((head, body, f"</{name}>".encode()))


def owner(user: str) -> str:
    """Return what an Owner, Initiator or Grantee holds."""
    return element("ID", user) + element("DisplayName", user)


def url_encoded(text: str) -> str:
    """Return a key as `encoding-type=url` wants it; `/` stays, as S3 leaves it."""
    return quote(text, safe="/-._~*")


@lru_cache(maxsize=4096)
def _minute_text(minute: int) -> str:
    moment = gmtime(minute * 60)
    return (
        f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}"
        f"T{moment.tm_hour:02}:{moment.tm_min:02}:"
    )


def iso_time(time_us: int) -> str:
    """Return microseconds since 1970 as S3's lists write them: milliseconds and a Z."""
    minute, rest_us = divmod(time_us, 60_000_000)
    return f"{_minute_text(minute)}{rest_us // 1_000_000:02}.{rest_us // 1000 % 1000:03}Z"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=4096)
def http_time(time_s: int) -> str:
    """Return seconds since 1970 as HTTP's headers write them (RFC 1123)."""
    moment = gmtime(time_s)
    return (
        f"{_DAYS[moment.tm_wday]}, {moment.tm_mday:02} {_MONTHS[moment.tm_mon - 1]} "
        f"{moment.tm_year:04} {moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} GMT"
    )


@dataclass(slots=True)
class Element:
    """One element that was read: its name without namespace, its own text, its children."""

    name: str
    text: str = ""
    children: "list[Element]" = field(default_factory=list)

    def find(self, name: str) -> "Element | None":
        """Return the first child of that name."""
        return next((child for child in self.children if child.name == name), None)

    def child_text(self, name: str, default: str | None = None) -> str:
        """Return the text of the only child of that name; MalformedXML when it is missing."""
        found = [child for child in self.children if child.name == name]
        if not found and default is not None:
            return default
        if len(found) != 1 or found[0].children:
            raise malformed(f"<{self.name}> must have one <{name}>")
        return found[0].text

    def all(self, name: str) -> "list[Element]":
        """Return all children of that name, in order."""
        return [child for child in self.children if child.name == name]


def malformed(message: str) -> Refused:
    """Return the error of a document that is not what it should be."""
    return Refused("MalformedXML", f"The XML you provided was not well-formed: {message}")


class _Reader:
    def __init__(self) -> None:
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self.root: Element | None = None

    def start(self, name: str, _attributes: object) -> None:
        if len(self._open) >= limits.XML_DEPTH_MAX:
            raise malformed("it is nested too deep")
        found = Element(name.rpartition(" ")[2])
        if self._open:
            self._open[-1].children.append(found)
        else:
            self.root = found
        self._open.append(found)
        self._texts.append([])

    def end(self, _name: str) -> None:
        found, texts = self._open.pop(), self._texts.pop()
        text = "".join(texts)
        if not found.children:
            found.text = text
        elif text.strip():
            raise malformed(f"<{found.name}> mixes text and elements")

    def text(self, data: str) -> None:
        if self._texts:
            self._texts[-1].append(data)


def _refuse_doctype(*_arguments: object) -> None:
    raise malformed("a document type is not allowed")


def parse(data: bytes, root: str) -> Element:
    """Return the document's root element, which must be called `root`; raise MalformedXML."""
    reader = _Reader()
    parser = ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    parser.ExternalEntityRefHandler = None
    try:
        parser.Parse(data, True)
    except ExpatError as problem:
        raise malformed(f"line {problem.lineno}, column {problem.offset}") from None
    except (LookupError, UnicodeError, ValueError):
        raise malformed("its encoding is unknown") from None
    assert reader.root is not None
    if reader.root.name != root:
        raise malformed(f"expected <{root}>, not <{reader.root.name}>")
    return reader.root
