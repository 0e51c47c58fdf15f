"""CSV files as batches of texts; lines that are no rows are counted and kept with a reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.native.loading import CsvSplitter
from anabranch.warehouse.errors import doris
from anabranch.warehouse.loading.compression import compression_of, decompressed
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.loading.reading import ROWS_PLACE, Reading, SourceField
from anabranch.warehouse.loading.sources import Counted, Source, Tally

_NOT_UTF8 = "Only support csv data in utf8 codec"


def read_csv(
    sources: Sequence[Source], names: Sequence[str], options: LoadOptions, tally: Tally
) -> Reading:
    """Return the rows of CSV files whose fields are `names` in order; nothing is read yet."""
    return read_lines(sources, names, options, tally, options.column_separator.encode("latin-1"))


def read_lines(
    sources: Sequence[Source],
    names: Sequence[str],
    options: LoadOptions,
    tally: Tally,
    separator: bytes,
) -> Reading:
    """Return the rows of text files whose fields are divided by `separator`."""
    paths = options.columns_from_path
    columns = [pa.field(f"f{index}", pa.string()) for index in range(len(names))]
    columns += [pa.field(f"p{index}", pa.string()) for index in range(len(paths))]
    schema = pa.schema([*columns, pa.field("row", pa.int64())])
    batches = _all_batches(sources, len(names), options, tally, separator, schema)
    fields = [SourceField(name, f"f{index}") for index, name in enumerate(names)]
    fields += [SourceField(name, f"p{index}") for index, name in enumerate(paths)]
    shown = ", ".join(f"coalesce(f{index}, '\\N')" for index in range(len(names)))
    return Reading(
        pa.RecordBatchReader.from_batches(schema, batches),
        ROWS_PLACE,
        fields,
        order="row",
        line=f"concat_ws(chr(9), {shown})",
        carried={f"f{index}": f"f{index}" for index in range(len(names))},
    )


def _all_batches(
    sources: Sequence[Source],
    count: int,
    options: LoadOptions,
    tally: Tally,
    separator: bytes,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    first_row = 0
    try:
        for source in sources:
            splitter = _splitter(count, options, separator, first_row)
            for batch in _batches(splitter, source, options, tally, count):
                yield _with_path(batch, source, schema)
            first_row = splitter.next_row
            tally.files += 1
    except Exception as error:
        # The engine would tell only its text: the load's caller takes the error itself.
        tally.failure = error
        raise


def _splitter(count: int, options: LoadOptions, separator: bytes, first_row: int) -> CsvSplitter:
    try:
        return CsvSplitter(
            count,
            separator,
            options.line_delimiter.encode("latin-1"),
            enclose=ord(options.enclose) if options.enclose else None,
            escape=ord(options.escape) if options.escape else None,
            trims_quotes=options.trims_quotes,
            skip_lines=options.skip_lines,
            first_row=first_row,
            line_bytes_max=limits.LOAD_LINE_BYTES_MAX,
            bad_max=limits.ERROR_LOG_ROWS_MAX,
            bad_bytes_max=limits.ERROR_LOG_LINE_MAX,
        )
    except ValueError as error:
        raise doris(str(error)) from error


def _batches(
    splitter: CsvSplitter, source: Source, options: LoadOptions, tally: Tally, count: int
) -> Iterator[pa.RecordBatch]:
    compression = options.compression
    if compression is None:
        compression = compression_of(source.name)
    stream = decompressed(Counted(source.open(), tally), compression)
    first, known_bad = splitter.next_row, 0
    is_done = False
    while not is_done:
        data = stream.read(limits.LOAD_CHUNK_BYTES)
        is_done = not data
        try:
            rows, bad = splitter.finish() if is_done else splitter.feed(data)
        except ValueError as error:
            raise doris(f"{error}: {source.name}") from error
        tally.scanned_rows += splitter.next_row - first
        tally.bad_rows += splitter.bad_count - known_bad
        first, known_bad = splitter.next_row, splitter.bad_count
        for row, columns, line in bad:
            reason, shown = _refusal(columns, line, options, count)
            tally.refuse(reason, shown, row)
        if len(rows):
            yield pa.record_batch(rows)


def _refusal(columns: int | None, line: bytes, options: LoadOptions, count: int) -> tuple[str, str]:
    """Return why a line is no row, in Doris's words, and the text to show of it."""
    if columns is None:
        return _NOT_UTF8, "Unable to display."
    word = "less than" if columns < count else "more than"
    settings = (
        f"line delimiter: [{_shown(options.line_delimiter)}], "
        f"column separator: [{_shown(options.column_separator)}], "
    )
    if options.enclose:
        settings += f"enclose:[{options.enclose}] "
    if options.escape:
        settings += f"escape:[{options.escape}] "
    reason = (
        f"actual column number in csv file is  {word}  schema column number."
        f"actual number: {columns}, schema column number: {count}; {settings}"
    )
    return reason, line.decode("utf-8", "replace")


def _shown(separator: str) -> str:
    text = separator.encode("latin-1").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _with_path(batch: pa.RecordBatch, source: Source, schema: pa.Schema) -> pa.RecordBatch:
    """Return the batch with the values that the file's path has, before the row number."""
    columns = list(batch.columns)
    values = [
        pa.nulls(batch.num_rows, pa.string()) if value is None else pa.repeat(value, batch.num_rows)
        for value in source.path_values
    ]
    return pa.record_batch([*columns[:-1], *values, columns[-1]], schema=schema)
