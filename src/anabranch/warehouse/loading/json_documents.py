"""JSON documents as rows: an object is a row, its fields are found by name or by path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.native.loading import JsonCutter
from anabranch.warehouse.engine import Execution
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.loading.compression import compression_of, decompressed
from anabranch.warehouse.loading.csv import read_lines
from anabranch.warehouse.loading.judging import Judgement
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.loading.reading import ROWS_PLACE, Reading, SourceField
from anabranch.warehouse.loading.sources import Counted, Source, Tally
from anabranch.warehouse.sql.transforms.rendering import quote_text

# No text can hold it, so that a line is one field.
_NO_SEPARATOR = b"\xff\xfe\xff\xfe\xff\xfe"
_ROOTS = "load_roots"


def read_json(
    sources: Sequence[Source],
    names: Sequence[str],
    options: LoadOptions,
    tally: Tally,
    execution: Execution,
) -> Reading:
    """Return the rows of JSON files, one an object.

    `jsonpaths` name the fields in their order, else each is the member of its name. What is no
    object, or has none of the fields, is refused.
    """
    if options.jsonpaths and len(options.jsonpaths) < len(names):
        names = names[: len(options.jsonpaths)]
    paths = options.jsonpaths or tuple(_member(name) for name in names)
    if options.reads_json_by_line and not options.strips_outer_array:
        lines = replace(options, column_separator="", enclose="", escape="", trims_quotes=False)
        reading = read_lines(sources, ("document",), lines, tally, _NO_SEPARATOR)
        batches = reading.batches
    else:
        documents = _documents(sources, options, tally, execution)
        if _unnests(options):  # asks the engine itself, so it cannot be read while that runs
            documents = iter(list(documents))
        batches = pa.RecordBatchReader.from_batches(_schema(options), documents)
    found = f"json_extract_string(document, [{', '.join(map(quote_text, paths))}])"
    root = quote_text(options.json_root)
    within = (
        f"json_extract(valid, {root})" if options.json_root and not _unnests(options) else "valid"
    )
    path_names = "".join(f", p{index}" for index in range(len(options.columns_from_path)))
    # A document is read once for all of its fields.
    relation = (
        f"(SELECT row, text, kind, {found} AS found{path_names} FROM "  # noqa: S608 - its parts are our own
        f"(SELECT *, json_type(document) AS kind FROM "
        f"(SELECT *, {within} AS document FROM "
        f"(SELECT row, f0 AS text, CASE WHEN json_valid(f0) THEN CAST(f0 AS JSON) END AS valid"
        f"{path_names} FROM {ROWS_PLACE}))))"
    )
    fields = [SourceField(name, f"found[{index + 1}]") for index, name in enumerate(names)]
    fields += [
        SourceField(name, f"p{index}") for index, name in enumerate(options.columns_from_path)
    ]
    return Reading(
        batches,
        relation,
        fields,
        order="row",
        line="text",
        carried={"text": "text", "kind": "kind", "found": "found"},
        checks=_CHECKS,
    )


_CHECKS = (
    Judgement("(kind IS NULL)", "'Parse json data failed: not a JSON document'"),
    Judgement(
        "(kind = 'ARRAY')",
        "'JSON data is array-object, `strip_outer_array` must be TRUE.'",
    ),
    Judgement("(kind <> 'OBJECT')", "'JSON data is not an object'"),
    Judgement(
        "(len(list_filter(found, lambda one: one IS NOT NULL)) = 0)",
        "'All fields is null, this is a invalid row.'",
    ),
)


def _member(name: str) -> str:
    return '$."' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unnests(options: LoadOptions) -> bool:
    return bool(options.json_root) and options.strips_outer_array


def _schema(options: LoadOptions) -> pa.Schema:
    columns = [pa.field("f0", pa.string())]
    columns += [pa.field(f"p{at}", pa.string()) for at in range(len(options.columns_from_path))]
    return pa.schema([*columns, pa.field("row", pa.int64())])


def _documents(
    sources: Sequence[Source], options: LoadOptions, tally: Tally, execution: Execution
) -> Iterator[pa.RecordBatch]:
    schema = _schema(options)
    try:
        for source in sources:
            texts = _texts(source, options, tally)
            if _unnests(options):
                texts = _elements(texts, options.json_root, execution)
            for each in texts:
                first = tally.scanned_rows
                tally.scanned_rows += len(each)
                values = [
                    pa.nulls(len(each), pa.string())
                    if value is None
                    else pa.repeat(value, len(each))
                    for value in source.path_values
                ]
                rows = pa.array(range(first, first + len(each)), pa.int64())
                yield pa.record_batch([each, *values, rows], schema=schema)
            tally.files += 1
    except Exception as error:
        # The engine would tell only its text: the load's caller takes the error itself.
        tally.failure = error
        raise


def _texts(source: Source, options: LoadOptions, tally: Tally) -> Iterator[pa.Array]:
    compression = options.compression
    if compression is None:
        compression = compression_of(source.name)
    stream = decompressed(Counted(source.open(), tally), compression)
    is_array = options.strips_outer_array and not options.json_root
    cutter = JsonCutter(is_array, limits.LOAD_JSON_BYTES_MAX)
    try:
        while data := stream.read(limits.LOAD_CHUNK_BYTES):
            yield pa.array(cutter.feed(data))
        yield pa.array(cutter.finish())
    except ValueError as error:
        raise _broken(error, source) from error


def _broken(error: Exception, source: Source) -> SqlError:
    return doris(f"[DATA_QUALITY_ERROR]Parse json data failed: {error}: {source.name}")


def _elements(texts: Iterator[pa.Array], root: str, execution: Execution) -> Iterator[pa.Array]:
    """Return the elements of the array below `root` in each document."""
    for each in texts:
        if not len(each):
            continue
        relation = execution.register(_ROOTS, pa.table({"text": each}))
        valid = "CASE WHEN json_valid(text) THEN CAST(text AS JSON) END"
        path = quote_text(f"{root}[*]")
        sql = (
            f"SELECT CAST(unnest(json_extract({valid}, {path})) AS VARCHAR) AS text FROM {relation}"  # noqa: S608 - its parts are our own
        )
        for batch in execution.stream(sql):
            yield batch.column(0)
