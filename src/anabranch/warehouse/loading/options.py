"""What a load says of its files and rows: one value, whichever statement or header said it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anabranch.warehouse.errors import doris, not_supported
from anabranch.warehouse.sql.loads import DataDescription, LoadData, MergeType

_FORMATS = {
    "csv": ("csv", 0),
    "csv_with_names": ("csv", 1),
    "csv_with_names_and_types": ("csv", 2),
    "json": ("json", 0),
    "parquet": ("parquet", 0),
}
_COMPRESSIONS = {
    "": "",
    "plain": "",
    "none": "",
    "uncompressed": "",
    "gz": "gz",
    "gzip": "gz",
    "bz2": "bz2",
    "bzip2": "bz2",
    "zst": "zstd",
    "zstd": "zstd",
    "lz4": "lz4",
    "lz4_frame": "lz4",
    "lz4frame": "lz4",
    "deflate": "deflate",
}


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How files are read and what their rows become.

    `columns` are the names of the file's fields in order (CSV) or by name (JSON, Parquet), None
    for the table's own; `assignments` are (column, text of an expression over the fields).
    `compression` is None where each file's name tells it.
    """

    format: str = "csv"
    column_separator: str = "\t"
    line_delimiter: str = "\n"
    enclose: str = ""
    escape: str = ""
    trims_quotes: bool = False
    skip_lines: int = 0
    compression: str | None = None
    columns: tuple[str, ...] | None = None
    columns_from_path: tuple[str, ...] = ()
    assignments: tuple[tuple[str, str], ...] = ()
    preceding_filter: str | None = None
    where: str | None = None
    delete_on: str | None = None
    merge_type: MergeType = MergeType.APPEND
    is_negative: bool = False
    sequence_column: str | None = None
    partitions: tuple[str, ...] | None = None
    max_filter_ratio: float = 0.0
    is_strict: bool = False
    is_partial: bool = False
    time_zone: str = "UTC"
    jsonpaths: tuple[str, ...] = ()
    json_root: str = ""
    strips_outer_array: bool = False
    reads_json_by_line: bool = False


def of_description(
    description: DataDescription, job: Mapping[str, str], time_zone: str
) -> LoadOptions:
    """Return the options of one data description of LOAD LABEL; `job` are the load's properties."""
    made = LoadOptions(
        columns=description.columns,
        columns_from_path=description.columns_from_path,
        assignments=description.assignments,
        preceding_filter=description.preceding_filter,
        where=description.where,
        delete_on=description.delete_on,
        merge_type=description.merge_type,
        is_negative=description.is_negative,
        sequence_column=description.sequence_column,
        partitions=description.partitions,
        time_zone=time_zone,
    )
    clauses = {
        "column_separator": description.column_separator,
        "line_delimiter": description.line_delimiter,
        "format": description.format,
        "compress_type": description.compression,
    }
    said = {name: text for name, text in clauses.items() if text is not None}
    return with_properties(made, [*job.items(), *description.properties, *said.items()])


def of_load_data(statement: LoadData, time_zone: str) -> LoadOptions:
    """Return the options of MySQL's LOAD DATA."""
    made = LoadOptions(
        columns=statement.columns,
        assignments=statement.assignments,
        partitions=statement.partitions,
        skip_lines=statement.skip_lines,
        time_zone=time_zone,
    )
    clauses = {
        "column_separator": statement.column_separator,
        "line_delimiter": statement.line_delimiter,
        "enclose": statement.enclose,
        "escape": statement.escape,
    }
    said = {name: text for name, text in clauses.items() if text}
    return with_properties(made, [*said.items(), *statement.properties])


def of_headers(headers: Mapping[str, str], time_zone: str = "UTC") -> LoadOptions:
    """Return the options of a stream load; header names in lower case, unknown ones ignored."""
    made = LoadOptions(time_zone=time_zone)
    if headers.get("columns"):
        names, assignments = split_columns(headers["columns"])
        made = replace(made, columns=names, assignments=assignments)
    if headers.get("partitions"):
        names = tuple(part.strip(" `") for part in headers["partitions"].split(","))
        made = replace(made, partitions=names)
    merge_type = headers.get("merge_type", "APPEND").upper()
    if merge_type not in MergeType.__members__:
        raise doris(f"Invalid merge type {merge_type[:100]}")
    made = replace(
        made,
        where=headers.get("where") or None,
        delete_on=headers.get("delete") or None,
        merge_type=MergeType(merge_type),
        is_negative=_flag("negative", headers.get("negative", "false")),
        sequence_column=headers.get("function_column.sequence_col") or None,
    )
    if made.delete_on is None and made.merge_type is MergeType.MERGE:
        raise doris("Excepted DELETE ON clause when merge type is MERGE.")
    if made.delete_on is not None and made.merge_type is not MergeType.MERGE:
        raise doris("not support DELETE ON clause when merge type is not MERGE.")
    return with_properties(made, [(name, text) for name, text in headers.items() if text])


def with_properties(options: LoadOptions, properties: Sequence[tuple[str, str]]) -> LoadOptions:
    """Return the options with what properties or headers say; names of other things are ignored.

    Raises SqlError for values that are none.
    """
    made = options
    for name, text in properties:
        made = _with_property(made, name.lower(), text)
    return made


def _with_property(made: LoadOptions, name: str, text: str) -> LoadOptions:
    match name:
        case "format":
            if text.lower() not in _FORMATS:
                raise not_supported(f"FORMAT AS {text[:40]}")
            found, skipped = _FORMATS[text.lower()]
            return replace(made, format=found, skip_lines=max(made.skip_lines, skipped))
        case "compress_type" | "compress":
            if text.lower() not in _COMPRESSIONS:
                raise not_supported(f"COMPRESS_TYPE {text[:40]}")
            return replace(made, compression=_COMPRESSIONS[text.lower()])
        case "column_separator":
            return replace(made, column_separator=_separator(name, text))
        case "line_delimiter":
            return replace(made, line_delimiter=_separator(name, text))
        case "enclose" | "escape":
            if len(text.encode()) != 1:
                raise doris(f"{name} must be single-char, actually is {text[:20]}")
            if name == "enclose":
                return replace(made, enclose=text)
            return replace(made, escape=text)
        case "trim_double_quotes":
            return replace(made, trims_quotes=_flag(name, text))
        case "skip_lines":
            return replace(made, skip_lines=max(_number(name, text), made.skip_lines))
        case "max_filter_ratio":
            return replace(made, max_filter_ratio=_ratio(text))
        case "strict_mode":
            return replace(made, is_strict=_flag(name, text))
        case "timezone":
            return replace(made, time_zone=text)
        case "partial_columns":
            return replace(made, is_partial=_flag(name, text))
        case "jsonpaths":
            return replace(made, jsonpaths=_jsonpaths(text))
        case "json_root":
            return replace(made, json_root=text)
        case "strip_outer_array":
            return replace(made, strips_outer_array=_flag(name, text))
        case "read_json_by_line":
            return replace(made, reads_json_by_line=_flag(name, text))
    return made


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise doris(f"{name} must be true or false, actually is {text[:40]}")
    return text.lower() == "true"


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise doris(f"{name} must be a number that is not negative, actually is {text[:40]}")
    return int(text)


def _ratio(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise doris(f"Invalid max filter ratio: {text[:40]}, must be between 0 and 1")
    return found


_HEX = re.compile(r"(?:\\x|0x|x)((?:[0-9a-f]{2})+)", re.I)
_ESCAPES = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\\\": "\\"}


def _separator(name: str, text: str) -> str:
    r"""Return a separator, which may be written in hex: `\x01`, `\x0102`, `\x01\x02`."""
    if text.lower().startswith(("\\x", "0x")):
        pieces = _HEX.findall(text)
        if "".join(pieces) and _HEX.sub("", text) == "":
            return bytes.fromhex("".join(pieces)).decode("latin-1")
        raise doris(f"Invalid {name}: hex str format error: {text[:40]}")
    if not text:
        raise doris(f"{name} is empty")
    plain = re.sub(r"\\[tnr\\]", lambda found: _ESCAPES[found.group()], text)
    return plain.encode().decode("latin-1")


def _jsonpaths(text: str) -> tuple[str, ...]:
    found = re.fullmatch(r"\s*\[(.*)\]\s*", text, re.S)
    parts = re.findall(r'\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)', found.group(1)) if found else []
    if not parts:
        raise doris(f"Invalid json path: {text[:100]}")
    return tuple(part.replace('\\"', '"').replace("\\\\", "\\") for part in parts)


def split_columns(text: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return the names and the assignments of a header `a, b, c = expression, ...`."""
    names: list[str] = []
    assignments: list[tuple[str, str]] = []
    for part in _top_level_parts(text):
        found = re.fullmatch(r"\s*(`[^`]+`|[^\s=`(),]+)\s*(?:=(.*))?", part, re.S)
        if found is None:
            raise doris(f"Invalid columns: {part.strip()[:100]}")
        name = found.group(1).strip("`")
        if found.group(2) is None:
            names.append(name)
        else:
            assignments.append((name, found.group(2).strip()))
    return tuple(names), tuple(assignments)


_PIECE = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\"|`[^`]*`|.", re.S)


def _top_level_parts(text: str) -> list[str]:
    parts, depth = [""], 0
    for found in _PIECE.finditer(text):
        piece = found.group()
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(piece, 0)
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return [part for part in parts if part.strip()]
