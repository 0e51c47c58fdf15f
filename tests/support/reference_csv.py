"""CSV by the rules that loads follow, one character after another: slow, and plain to check."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class CsvRules:
    """How lines and fields are told."""

    columns: int
    separator: bytes = b","
    delimiter: bytes = b"\n"
    enclose: bytes = b""
    escape: bytes = b""
    trims_quotes: bool = False
    skip_lines: int = 0


@dataclass
class CsvRead:
    """Rows as (row number, texts), and bad lines as (row number, columns or None)."""

    rows: list[tuple[int, tuple[str | None, ...]]] = field(default_factory=list)
    bad: list[tuple[int, int | None]] = field(default_factory=list)


def read(rules: CsvRules, data: bytes) -> CsvRead:
    """Return what a file holds."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    found = CsvRead()
    at = number = line_number = 0
    while at < len(data):
        start, fields, end, at = at, *_line(rules, data, at)
        line_number += 1
        if line_number <= rules.skip_lines or end == start:
            continue
        try:
            data[start:end].decode()
            texts = [_value(rules, *each) for each in fields]
        except UnicodeDecodeError:
            found.bad.append((number, None))
        else:
            if len(texts) == rules.columns:
                found.rows.append((number, tuple(texts)))
            else:
                found.bad.append((number, len(texts)))
        number += 1
    return found


def _line(rules: CsvRules, data: bytes, at: int) -> tuple[list[tuple[bytes, bool]], int, int]:
    """Return (bytes, whether enclosed) of each field, where the line ends, where the next is."""
    fields: list[tuple[bytes, bool]] = []
    while True:
        start = at
        close = _closing(rules, data, at)
        if close is not None:
            at = min(close, len(data))
        while at < len(data) and not data.startswith((rules.separator, rules.delimiter), at):
            at += 1
        is_last = at >= len(data) or data.startswith(rules.delimiter, at)
        end = at
        has_return = rules.delimiter == b"\n" and data[start:end].endswith(b"\r")
        if is_last and has_return and close != end:
            end -= 1
        is_enclosed = close == end
        fields.append((data[start:end], is_enclosed))
        if is_last:
            return fields, end, at + len(rules.delimiter)
        at += len(rules.separator)


def _closing(rules: CsvRules, data: bytes, at: int) -> int | None:
    """Return the place after the byte that closes what opens at `at`; the end if none does."""
    if not rules.enclose or not data.startswith(rules.enclose, at):
        return None
    at += 1
    escape = rules.escape if rules.escape != rules.enclose else b""
    while at < len(data):
        is_escaped = bool(escape) and data.startswith(escape, at)
        if is_escaped or data.startswith(rules.enclose * 2, at):
            at += 2
        elif data.startswith(rules.enclose, at):
            return at + 1
        else:
            at += 1
    return len(data) + 1


def _value(rules: CsvRules, text: bytes, is_enclosed: bool) -> str | None:
    if is_enclosed:
        special = (rules.enclose, rules.escape) if rules.escape else (rules.enclose,)
        inner, made, at = text[1:-1], b"", 0
        while at < len(inner):
            if inner.startswith(special, at) and inner.startswith(special, at + 1):
                at += 1
            made += inner[at : at + 1]
            at += 1
        return made.decode()
    if text == b"\\N":
        return None
    if rules.trims_quotes and len(text) > 1 and text[:1] == text[-1:] == b'"':
        return text[1:-1].decode()
    return text.decode()
