"""How a process without an engine asks the SQL process about rows: frames over a unix socket.

A frame is its length as 4 bytes, big-endian, and that many bytes of JSON. One question and one
answer a connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AnabranchError,
    Conflict,
    Corrupted,
    Kind,
    LimitExceeded,
    NotFound,
    Unavailable,
)
from anabranch.kernel.ids import MetarangeId, RepositoryId
from anabranch.storage.blocks.base import Extent
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.merging.questions import RowAnswer, RowJudge, RowQuestion, WrittenRowset
from anabranch.warehouse.rowsets.rowset import Header, RowsetKind

_LENGTH = struct.Struct(">I")
_ERRORS: Mapping[str, type[AnabranchError]] = {
    one.__name__: one for one in (Conflict, Corrupted, LimitExceeded, NotFound, Unavailable)
}
_BACKLOG = 64
_PATH_LENGTH_MAX = 100  # of a socket's address, by the kernel 107


class MergeClient:
    """Asks the SQL process of a data directory: a `RowJudge`."""

    def __init__(self, path: Path, timeout_s: float = limits.MERGE_QUESTION_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    def judge(self, question: RowQuestion) -> RowAnswer:
        """Ask; raise Unavailable when nobody answers, and what the judge raised."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout_s)
            try:
                with _address(self._path) as address:
                    connection.connect(address)
                send_frame(connection, encode_question(question))
                data = receive_frame(connection)
            except TimeoutError:
                why = f"rows of {question.table} were not judged within {self._timeout_s:.0f} s"
                raise Unavailable(Kind.TIMEOUT, why) from None
            except OSError:
                why = f"rows of {question.table} must be judged, and no SQL process answers"
                raise Unavailable(Kind.BUSY, why) from None
        return decode_answer(data)


class MergeServer:
    """Answers questions with a judge, each in a thread of its own."""

    def __init__(self, path: Path, judge: RowJudge) -> None:
        self._path = path
        self._judge = judge
        self._slots = threading.BoundedSemaphore(limits.MERGE_QUESTIONS_MAX)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Listen; what a killed process left of the address is replaced."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _address(self._path) as address:
            listening.bind(address)
        self._path.chmod(0o600)
        listening.listen(_BACKLOG)
        self._socket = listening
        threading.Thread(
            target=self._accept, args=(listening,), name="merge-questions", daemon=True
        ).start()

    def close(self) -> None:
        """Listen no longer; questions being judged end with the process."""
        listening, self._socket = self._socket, None
        if listening is not None:
            # A close alone does not wake the thread that accepts.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
            self._path.unlink(missing_ok=True)

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(
                target=self._serve, args=(connection,), name="merge-question", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, self._slots, contextlib.suppress(OSError):
            connection.settimeout(limits.MERGE_QUESTION_TIMEOUT_S)
            try:
                answer = encode_answer(
                    self._judge.judge(decode_question(receive_frame(connection)))
                )
                if len(answer) > limits.MERGE_QUESTION_BYTES_MAX:
                    raise LimitExceeded(Kind.TOO_LARGE, "too many rows conflict to name them")
            except AnabranchError as error:
                answer = encode_error(error)
            send_frame(connection, answer)


def send_frame(connection: socket.socket, data: bytes) -> None:
    """Send one frame; raise LimitExceeded past its size, OSError."""
    if len(data) > limits.MERGE_QUESTION_BYTES_MAX:
        raise LimitExceeded(Kind.TOO_LARGE, "too many rowsets changed to judge their rows")
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_frame(connection: socket.socket) -> bytes:
    """Return the bytes of one frame; raise OSError where it ends early or is too long."""
    (length,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
    if length > limits.MERGE_QUESTION_BYTES_MAX:
        raise ConnectionError(f"a frame of {length} bytes")
    return _receive(connection, length)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        piece = connection.recv(min(length - len(data), limits.MIB))
        if not piece:
            raise ConnectionError("the connection ended within a frame")
        data += piece
    return bytes(data)


def encode_question(question: RowQuestion) -> bytes:
    """Return a question's frame."""
    return _encode(
        {
            "repository": question.repository,
            "sides": [question.base, question.source, question.dest],
            "table": question.table,
            "schema": question.schema,
            "changed": question.changed,
            "dropped": question.dropped,
            "strategy": question.strategy,
            "writes": question.writes,
        }
    )


def decode_question(data: bytes) -> RowQuestion:
    """Return a frame's question; raise Corrupted."""
    try:
        members = json.loads(data)
        base, source, dest = map(MetarangeId, members["sides"])
        return RowQuestion(
            RepositoryId(members["repository"]),
            base,
            source,
            dest,
            members["table"],
            members["schema"],
            {partition: (pair[0], pair[1]) for partition, pair in members["changed"].items()},
            tuple(members["dropped"]),
            members["strategy"],
            members["writes"],
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Corrupted(Kind.DATA_FORMAT, "not a question about a merge") from error


def encode_answer(answer: RowAnswer) -> bytes:
    """Return an answer's frame."""
    return _encode(
        {
            "conflicts": answer.conflicts,
            "rowsets": [_rowset_json(one) for one in answer.rowsets],
        }
    )


def encode_error(error: AnabranchError) -> bytes:
    """Return the frame of a refusal; errors that a merge does not know become Unavailable."""
    is_ours = isinstance(error, SqlError) or type(error).__name__ not in _ERRORS
    name = Unavailable.__name__ if is_ours else type(error).__name__
    return _encode({"error": [name, error.kind, error.message]})


def decode_answer(data: bytes) -> RowAnswer:
    """Return a frame's answer; raise the error it names, or Corrupted."""
    try:
        members = json.loads(data)
        if "error" in members:
            name, kind, message = members["error"]
            error = _ERRORS[name](Kind(kind), str(message))
        else:
            return RowAnswer(
                tuple((str(path), str(kind)) for path, kind in members["conflicts"]),
                tuple(_rowset(one) for one in members["rowsets"]),
            )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as broken:
        raise Corrupted(Kind.DATA_FORMAT, "not an answer about a merge") from broken
    raise error


def _rowset_json(made: WrittenRowset) -> dict[str, Any]:
    header = made.header
    return {
        "partition": made.partition,
        "id": made.id,
        "header": [header.table_id, header.kind, header.known, header.written, header.rows],
        "address": made.address,
        "etag": made.etag,
        "size_bytes": made.size_bytes,
        "extents": [[one.file, one.offset, one.length] for one in made.extents],
    }


def _rowset(members: Mapping[str, Any]) -> WrittenRowset:
    table_id, kind, known, written, rows = members["header"]
    return WrittenRowset(
        members["partition"],
        members["id"],
        Header(table_id, RowsetKind(kind), tuple(known), tuple(written), rows),
        members["address"],
        members["etag"],
        members["size_bytes"],
        tuple(Extent(*one) for one in members["extents"]),
    )


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a socket's address, by way of its open directory where the path is too long for one."""
    if len(os.fsencode(path)) <= _PATH_LENGTH_MAX:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
