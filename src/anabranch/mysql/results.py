"""Result sets -> packets: column definitions, rows from Arrow batches, ends and errors.

`Answer.pieces` is a plain generator that runs in threads; the connection writes what it yields.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError
from anabranch.mysql import packets
from anabranch.mysql.errors import describe, internal, local_files_refused
from anabranch.mysql.packets import Capability, Status
from anabranch.native.wire import mysql_rows
from anabranch.telemetry import logger
from anabranch.warehouse.errors import SqlError, doris
from anabranch.warehouse.results import Done, Field, FileRequest, Result, Rows, Session
from anabranch.warehouse.types import ColumnType, SqlType

_NOT_NULL = 1
_BLOB_FLAG = 16
_BINARY_FLAG = 128
_NUMERIC = 32_768
_ANY_DECIMALS = 31  # of FLOAT and DOUBLE: as many as the value needs
_TEXT_BYTES_MAX = 0x7FFF_FFFF


@dataclass(frozen=True, slots=True)
class _Form:
    """How a type is announced: MySQL's code, length in bytes or characters, flags."""

    code: int
    length: int
    flags: int = _BINARY_FLAG
    decimals: int = 0
    charset: int = packets.BINARY


def _number(code: int, length: int, decimals: int = 0) -> _Form:
    return _Form(code, length, _BINARY_FLAG | _NUMERIC, decimals)


_TEXT = _Form(253, _TEXT_BYTES_MAX, 0, 0, packets.UTF8MB4)
_BYTES = _Form(252, _TEXT_BYTES_MAX, _BINARY_FLAG | _BLOB_FLAG)

_FORMS = {
    SqlType.NULL: _Form(6, 0),
    SqlType.BOOLEAN: _number(1, 1),
    SqlType.TINYINT: _number(1, 4),
    SqlType.SMALLINT: _number(2, 6),
    SqlType.INT: _number(3, 11),
    SqlType.BIGINT: _number(8, 20),
    SqlType.LARGEINT: _Form(253, 40 * 4, 0, 0, packets.UTF8MB4),
    SqlType.FLOAT: _number(4, 12, _ANY_DECIMALS),
    SqlType.DOUBLE: _number(5, 22, _ANY_DECIMALS),
    SqlType.DATE: _Form(10, 10),
    SqlType.JSON: _Form(245, _TEXT_BYTES_MAX, _BINARY_FLAG, 0, packets.UTF8MB4),
    SqlType.HLL: _BYTES,
    SqlType.BITMAP: _BYTES,
    SqlType.BINARY: _BYTES,
}


def form_of(type: ColumnType) -> _Form:
    """Return how a type is announced."""
    digits = type.scale
    match type.kind:
        case SqlType.DECIMAL:
            return _number(246, type.precision + 1 + (digits > 0), digits)
        case SqlType.DATETIME:
            return _Form(12, 19 + (digits + 1 if digits else 0), decimals=digits)
        case SqlType.TIME:
            return _Form(11, 10 + (digits + 1 if digits else 0), decimals=digits)
        case SqlType.CHAR | SqlType.VARCHAR:
            code = 254 if type.kind is SqlType.CHAR else 253
            return _Form(code, max(type.length, 1) * 4, 0, 0, packets.UTF8MB4)
    return _FORMS.get(type.kind, _TEXT)


def encode_field(field: Field) -> bytes:
    """Return the definition of a column (ColumnDefinition41)."""
    form = form_of(field.type)
    flags = form.flags | (0 if field.is_nullable else _NOT_NULL)
    return b"".join(
        (
            packets.encode_text("def"),
            packets.encode_text(field.database),
            packets.encode_text(field.table),
            packets.encode_text(field.table),
            packets.encode_text(field.name),
            packets.encode_text(field.original_name),
            struct.pack(
                "<BHIBHBH", 12, form.charset, form.length, form.code, flags, form.decimals, 0
            ),
        )
    )


def encode_parameter() -> bytes:
    """Return the definition of a prepared statement's parameter, whose type is the client's."""
    return encode_field(Field("?", ColumnType(SqlType.STRING)))


def status_of(session: Session) -> Status:
    """Return the flags of a session."""
    status = Status.AUTOCOMMIT if session.is_autocommit else Status(0)
    return status | Status.IN_TRANSACTION if session.is_in_transaction else status


# Arrow types that the encoder has a form for, by the kinds whose bytes they fix.
_ARROW: dict[SqlType, Any] = {
    SqlType.NULL: pa.null(),
    SqlType.BOOLEAN: pa.bool_(),
    SqlType.TINYINT: pa.int8(),
    SqlType.SMALLINT: pa.int16(),
    SqlType.INT: pa.int32(),
    SqlType.BIGINT: pa.int64(),
    SqlType.FLOAT: pa.float32(),
    SqlType.DOUBLE: pa.float64(),
    SqlType.DATE: pa.date32(),
    SqlType.DATETIME: pa.timestamp("us"),
    SqlType.HLL: pa.binary(),
    SqlType.BITMAP: pa.binary(),
    SqlType.BINARY: pa.binary(),
}


def _is_text(type: Any) -> bool:
    return bool(
        pa.types.is_string(type)
        or pa.types.is_large_string(type)
        or pa.types.is_binary(type)
        or pa.types.is_large_binary(type)
    )


def conform(column: Any, type: ColumnType) -> Any:
    """Return an Arrow array as one that the encoder knows for a column's type.

    Raises SqlError when a value does not fit the type, or the types have nothing in common.
    """
    found = column.type
    kind = type.kind
    if found == _ARROW.get(kind) or pa.types.is_null(found):
        return column
    is_large_integer = found == pa.binary(16) or pa.types.is_decimal128(found)
    match kind:
        case SqlType.LARGEINT if is_large_integer:
            return column
        case SqlType.DECIMAL if pa.types.is_decimal128(found) and found.scale == type.scale:
            return column
        case SqlType.TIME if found in (pa.duration("us"), pa.time64("us")):
            return column
    wanted = _ARROW.get(kind)
    if kind is SqlType.DECIMAL:
        wanted = pa.decimal128(38, type.scale)
    elif kind is SqlType.TIME:
        wanted = pa.time64("us") if pa.types.is_time(found) else pa.duration("us")
    elif wanted is None or wanted == pa.binary():
        if _is_text(found):
            return column
        wanted = wanted or pa.string()
    try:
        return pc.cast(column, wanted)
    except pa.ArrowException as error:
        raise doris(f"a value of type {found} is no {type.text}: {error}") from error


def row_batches(batch: Any, fields: tuple[Field, ...]) -> Iterator[Any]:
    """Yield a batch in parts of about MYSQL_CHUNK_BYTES, of types that the encoder knows."""
    columns = [
        conform(column, field.type) for column, field in zip(batch.columns, fields, strict=True)
    ]
    names = [str(number) for number in range(len(columns))]
    whole = pa.record_batch(columns, names=names)
    # Text forms of numbers are about twice their bytes.
    pieces = max(1, whole.nbytes * 2 // limits.MYSQL_CHUNK_BYTES)
    step = max(1, -(-batch.num_rows // pieces))
    for start in range(0, batch.num_rows, step):
        yield whole.slice(start, step)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Packets that are ready to be sent; `sequence` is the number after the last of them."""

    data: bytes
    sequence: int


Piece = Chunk | FileRequest


class Answer:
    """The answer to one statement's text: everything that the client reads until its next command.

    `failure` may be set from another thread before the statement ends with an error: the client
    then reads that error instead. `sequence` is moved on by whoever reads a requested file.
    """

    def __init__(
        self,
        results: Callable[[], Iterator[Result]],
        session: Session,
        capabilities: Capability,
        *,
        is_binary: bool = False,
        sequence: int = 1,
    ) -> None:
        self._results = results
        self._session = session
        self._capabilities = capabilities
        self._is_binary = is_binary
        self.sequence = sequence
        self.failure: SqlError | None = None

    def pieces(self) -> Iterator[Piece]:
        """Yield the answer as it is computed."""
        try:
            yield from self._answer()
        except AnabranchError as error:
            yield self._error(describe(error))
        except Exception:  # noqa: BLE001 - the boundary of the program: a defect is an answer too
            if self.failure is None:
                logger("mysql").exception("a statement failed")
            yield self._error(internal())

    def _error(self, error: SqlError) -> Chunk:
        error = self.failure or error
        return self._packet(packets.encode_error(error.code, error.state, error.message))

    def _packet(self, payload: bytes) -> Chunk:
        data, self.sequence = packets.frame(payload, self.sequence)
        return Chunk(data, self.sequence)

    def _answer(self) -> Iterator[Piece]:
        results = self._results()
        try:
            result = next(results, None)
            if result is None:  # a text of comments alone
                result = Done(0)
            while result is not None:
                if isinstance(result, FileRequest):
                    yield from self._request(result)
                    result = next(results, None)
                    continue
                if isinstance(result, Rows):
                    yield from self._rows(result)
                following = None
                try:
                    following = next(results, None)
                except AnabranchError as error:
                    # The statement before it has succeeded, and is said to have.
                    yield self._end(result, has_more=True)
                    yield self._error(describe(error))
                    return
                yield self._end(result, has_more=following is not None)
                result = following
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()

    def _request(self, request: FileRequest) -> Iterator[Piece]:
        if not self._capabilities & Capability.LOCAL_FILES:
            raise local_files_refused()
        yield self._packet(packets.encode_file_request(request.file_name))
        yield request
        if self.failure is not None:
            raise self.failure

    def _end(self, result: Done | Rows, *, has_more: bool) -> Chunk:
        status = status_of(self._session)
        if has_more:
            status |= Status.MORE_RESULTS
        if isinstance(result, Done):
            return self._packet(
                packets.encode_ok(
                    status,
                    affected_rows=result.affected_rows,
                    last_insert_id=result.last_insert_id,
                    warnings=result.warnings,
                    info=result.info,
                )
            )
        return self._packet(self._end_of_rows(status))

    def _end_of_rows(self, status: Status) -> bytes:
        if self._capabilities & Capability.DEPRECATE_EOF:
            return packets.encode_ok(status, is_end_of_rows=True)
        return packets.encode_eof(status)

    def _rows(self, rows: Rows) -> Iterator[Chunk]:
        try:
            yield self._head(rows.fields)
            digits = bytes(min(field.type.scale, 6) for field in rows.fields)
            for batch in rows.batches:
                for part in row_batches(batch, rows.fields):
                    data, self.sequence = mysql_rows(part, digits, self.sequence, self._is_binary)
                    yield Chunk(data, self.sequence)
        finally:
            rows.close()

    def _head(self, fields: tuple[Field, ...]) -> Chunk:
        payloads = [packets.encode_length(len(fields)), *map(encode_field, fields)]
        if not self._capabilities & Capability.DEPRECATE_EOF:
            payloads.append(packets.encode_eof(status_of(self._session)))
        return self._packets(payloads)

    def _packets(self, payloads: list[bytes]) -> Chunk:
        data = []
        for payload in payloads:
            part, self.sequence = packets.frame(payload, self.sequence)
            data.append(part)
        return Chunk(b"".join(data), self.sequence)


class FieldList(Answer):
    """The answer to COM_FIELD_LIST: the columns of the rows that a statement would return."""

    def _rows(self, rows: Rows) -> Iterator[Chunk]:
        rows.close()
        # Each definition is followed by the column's default, which nobody reads.
        yield self._packets([encode_field(field) + b"\xfb" for field in rows.fields])


def encode_preparation(
    statement_id: int, parameter_count: int, fields: tuple[Field, ...], capabilities: Capability
) -> list[bytes]:
    """Return the payloads that answer COM_STMT_PREPARE."""
    payloads = [packets.encode_prepared(statement_id, len(fields), parameter_count)]
    for definitions in ([encode_parameter()] * parameter_count, list(map(encode_field, fields))):
        payloads += definitions
        if definitions and not capabilities & Capability.DEPRECATE_EOF:
            payloads.append(packets.encode_eof(Status(0)))
    return payloads
