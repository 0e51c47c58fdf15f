"""Parquet files as batches of their own types; fields go by name."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anabranch.kernel import limits
from anabranch.warehouse.errors import doris
from anabranch.warehouse.loading.compression import Bytes
from anabranch.warehouse.loading.options import LoadOptions
from anabranch.warehouse.loading.reading import ROWS_PLACE, TEXT, Reading, SourceField
from anabranch.warehouse.loading.sources import Counted, Source, Tally
from anabranch.warehouse.physical_types import from_arrow
from anabranch.warehouse.sql.transforms.rendering import zone_of
from anabranch.warehouse.types import DECIMAL_PRECISION_MAX, ColumnType, SqlType

_BATCH_ROWS = 16_384


def read_parquet(
    sources: Sequence[Source],
    names: Sequence[str],
    options: LoadOptions,
    tally: Tally,
    spool: Path,
) -> Reading:
    """Return the rows of Parquet files, whose fields have the types of the first file's.

    A field that is in no file is NULL; names are compared without regard to case. What has no
    path is copied into `spool` while it is read.
    """
    if not sources:
        raise doris("there is no file to load")
    named = zone_of(options.time_zone)
    zone = options.time_zone if isinstance(named, timezone) else str(named)
    batches = _all_batches(sources, names, options, tally, spool, zone)
    schema = next(batches)
    assert isinstance(schema, pa.Schema)
    fields = [
        SourceField(name, f"f{index}", _type(schema.field(index).type))
        for index, name in enumerate(names)
    ]
    fields += [
        SourceField(name, f"p{index}") for index, name in enumerate(options.columns_from_path)
    ]
    shown = ", ".join(f"coalesce(CAST(f{index} AS VARCHAR), '\\N')" for index in range(len(names)))
    return Reading(
        pa.RecordBatchReader.from_batches(schema, batches),
        ROWS_PLACE,
        fields,
        order="row",
        line=f"concat_ws(chr(9), {shown})",
        carried={f"f{index}": f"f{index}" for index in range(len(names))},
    )


def _type(found: pa.DataType) -> ColumnType:
    made = from_arrow(found)
    return TEXT if made.kind is SqlType.STRING else made


def _all_batches(
    sources: Sequence[Source],
    names: Sequence[str],
    options: LoadOptions,
    tally: Tally,
    spool: Path,
    zone: str,
) -> Iterator[pa.Schema | pa.RecordBatch]:
    """Give the schema, then the batches of all files in that schema."""
    schema: pa.Schema | None = None
    try:
        for source in sources:
            with _opened(source, tally, spool) as file:
                places = _places(file.schema_arrow, names)
                if schema is None:
                    schema = _schema(file.schema_arrow, places, options)
                    yield schema
                columns = [file.schema_arrow.names[place] for place in places if place is not None]
                for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
                    first = tally.scanned_rows
                    tally.scanned_rows += batch.num_rows
                    yield _batch(batch, places, file.schema_arrow, source, schema, first, zone)
            tally.files += 1
    except (pa.ArrowException, OSError) as error:
        tally.failure = doris(f"not a readable Parquet file: {error}"[: limits.ERROR_TEXT_MAX])
        raise tally.failure from error
    except Exception as error:
        # The engine would tell only its text: the load's caller takes the error itself.
        tally.failure = error
        raise


@contextmanager
def _opened(source: Source, tally: Tally, spool: Path) -> Iterator[pq.ParquetFile]:
    if source.path is not None:
        tally.scanned_bytes += source.path.stat().st_size
        with pa.OSFile(str(source.path)) as file:
            yield pq.ParquetFile(file)
        return
    spool.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(dir=spool, suffix=".parquet")
    try:
        with os.fdopen(handle, "wb") as copy:
            shutil.copyfileobj(
                _Bounded(Counted(source.open(), tally)), copy, limits.LOAD_CHUNK_BYTES
            )
        with pa.OSFile(path) as file:
            yield pq.ParquetFile(file)
    finally:
        os.unlink(path)


class _Bounded:
    """A stream that may not be longer than what the disk is used for."""

    def __init__(self, stream: Bytes) -> None:
        self._stream = stream
        self._left = limits.LOAD_SPOOLED_BYTES_MAX

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise doris(f"a Parquet file is longer than {limits.LOAD_SPOOLED_BYTES_MAX} bytes")
        return data


def _places(schema: pa.Schema, names: Sequence[str]) -> list[int | None]:
    known = {name.lower(): place for place, name in enumerate(schema.names)}
    return [known.get(name.lower()) for name in names]


def _schema(found: pa.Schema, places: Sequence[int | None], options: LoadOptions) -> pa.Schema:
    fields = [
        pa.field(f"f{index}", pa.null() if place is None else _plain(found.field(place).type))
        for index, place in enumerate(places)
    ]
    fields += [pa.field(f"p{at}", pa.string()) for at in range(len(options.columns_from_path))]
    return pa.schema([*fields, pa.field("row", pa.int64())])


def _plain(found: pa.DataType) -> pa.DataType:
    """Return the type that the engine is given for a file's."""
    if pa.types.is_dictionary(found):
        return _plain(found.value_type)
    if pa.types.is_timestamp(found):
        return pa.timestamp("us")
    if pa.types.is_decimal(found) and found.precision > DECIMAL_PRECISION_MAX:
        return pa.string()
    if (
        pa.types.is_binary(found)
        or pa.types.is_large_binary(found)
        or pa.types.is_fixed_size_binary(found)
        or pa.types.is_time(found)
    ):
        return pa.string()
    return found


def _converted(values: pa.Array, wanted: pa.DataType, zone: str) -> pa.Array:
    if values.type == wanted:
        return values
    if pa.types.is_dictionary(values.type):
        return _converted(values.dictionary_decode(), wanted, zone)
    if pa.types.is_timestamp(values.type) and values.type.tz is not None:
        instants = values.cast(pa.timestamp("us", "UTC"), safe=False)
        return pc.local_timestamp(instants.cast(pa.timestamp("us", zone)))
    if pa.types.is_fixed_size_binary(values.type):
        values = values.cast(pa.binary())
    return values.cast(wanted, safe=not pa.types.is_timestamp(wanted))


def _batch(
    batch: pa.RecordBatch,
    places: Sequence[int | None],
    found: pa.Schema,
    source: Source,
    schema: pa.Schema,
    first: int,
    zone: str,
) -> pa.RecordBatch:
    rows = batch.num_rows
    columns = [
        pa.nulls(rows, schema.field(index).type)
        if place is None
        else _converted(batch.column(found.names[place]), schema.field(index).type, zone)
        for index, place in enumerate(places)
    ]
    columns += [
        pa.nulls(rows, pa.string()) if value is None else pa.repeat(value, rows)
        for value in source.path_values
    ]
    numbers = pa.array(range(first, first + rows), pa.int64())
    return pa.record_batch([*columns, numbers], schema=schema)
