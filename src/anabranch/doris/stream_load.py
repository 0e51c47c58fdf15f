"""PUT /api/{db}/{table}/_stream_load: a body becomes rows, all of them visible at once or none.

One server answers itself: there is no redirect to a backend. Whatever happens after the password
was right is told in the JSON of a 200, as Doris's clients expect.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Any

from anabranch.doris.answers import json_response
from anabranch.doris.callers import Caller
from anabranch.doris.loads import (
    LoadStatus,
    StreamLoadRequest,
    StreamLoadResult,
    StreamLoads,
)
from anabranch.doris.options import StreamOptions, parse_headers
from anabranch.doris.pipe import Pipe
from anabranch.edge.blocking import Threads
from anabranch.edge.http import Request, Response
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Kind, LimitExceeded
from anabranch.telemetry import logger

_LAST_BYTES_S = 1.0
"""How long a load that ended early waits for a client that sends on."""


@dataclass(slots=True)
class _Timing:
    """When things happened, in seconds of the loop's clock."""

    started_s: float = field(default_factory=time.perf_counter)
    received_ms: int = 0

    def elapsed_ms(self) -> int:
        return int((time.perf_counter() - self.started_s) * 1000)


class StreamLoading:
    """Serves stream loads; each has a thread while it runs."""

    def __init__(self, loads: StreamLoads, threads: Threads) -> None:
        self._loads = loads
        self._threads = threads
        self._log = logger("stream_load")

    async def load(self, request: Request, caller: Caller, database: str, table: str) -> Response:
        """Load a request's body; see the module."""
        timing = _Timing()
        options: StreamOptions | None = None
        pipe = Pipe()
        try:
            if not request.has_body and request.content_length is None:
                raise LimitExceeded(Kind.BODY, "There is no 100-continue or body in the request")
            options = parse_headers(request)
            _check_size(request)
            asked = StreamLoadRequest(database, table, caller.user, caller.address, options)
            async with asyncio.timeout(options.timeout_s):
                result = await self._run(request, asked, pipe, timing)
        except TimeoutError:
            result = _failed(_too_long(options), options)
        except AnabranchError as error:
            result = _failed(error.message, options)
        except Exception:  # noqa: BLE001 - a defect is an answer too, in this endpoint's form
            self._log.exception("a stream load failed", request_id=request.id)
            result = _failed("[INTERNAL_ERROR]internal error", options)
        return answer(result, options, pipe.received_bytes, timing.elapsed_ms(), timing.received_ms)

    async def _run(
        self, request: Request, asked: StreamLoadRequest, pipe: Pipe, timing: _Timing
    ) -> StreamLoadResult:
        # Counted while the loop waits as well: a bounded number of loads is open at all.
        running = asyncio.wrap_future(self._threads.submit(self._load, asked, pipe))
        feeding = asyncio.ensure_future(_feed(request, pipe, timing))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            pipe.fail(LimitExceeded(Kind.TIMEOUT, _too_long(asked.options)))
            # The thread has to see it: until then its rows may still be published.
            with contextlib.suppress(AnabranchError):
                return await running
            raise
        finally:
            # It ends with the next bytes: a server may lose those it was asked for in vain.
            await asyncio.wait([feeding], timeout=_LAST_BYTES_S)
            feeding.cancel()

    def _load(self, asked: StreamLoadRequest, pipe: Pipe) -> StreamLoadResult:
        try:
            return self._loads.run(asked, pipe)
        finally:
            pipe.abandon()


async def _feed(request: Request, pipe: Pipe, timing: _Timing) -> None:
    """Hand a body to a load; a body that breaks off makes the load fail."""
    if not await pipe.wait_wanted():
        return
    try:
        async for data in request.stream():
            if pipe.received_bytes + len(data) > limits.STREAM_LOAD_BYTES_MAX:
                raise _too_large()
            if not await pipe.write_all(data):
                return
    except AnabranchError as error:
        pipe.fail(error)
        return
    timing.received_ms = timing.elapsed_ms()
    pipe.complete()


def _check_size(request: Request) -> None:
    length = request.content_length
    if length is not None and length > limits.STREAM_LOAD_BYTES_MAX:
        raise _too_large()


def _too_large() -> LimitExceeded:
    return LimitExceeded(
        Kind.TOO_LARGE,
        f"The size of this batch exceed the max size [{limits.STREAM_LOAD_BYTES_MAX}] of data",
    )


def _too_long(options: StreamOptions | None) -> str:
    return f"[TIMEOUT]the load took over {0 if options is None else options.timeout_s} s"


def _failed(message: str, options: StreamOptions | None) -> StreamLoadResult:
    label = "" if options is None else options.label or ""
    return StreamLoadResult(LoadStatus.FAIL, message, label=label)


def answer(
    result: StreamLoadResult,
    options: StreamOptions | None,
    received_bytes: int,
    elapsed_ms: int,
    received_ms: int,
) -> Response:
    """Return Doris's answer to a stream load, fields in its order."""
    is_two_phase = options is not None and options.is_two_phase
    body: dict[str, Any] = {
        "TxnId": result.transaction_id,
        "Label": result.label,
        "Comment": "" if options is None else options.comment,
        "TwoPhaseCommit": "true" if is_two_phase else "false",
        "Status": result.status.value,
    }
    if options is not None and options.is_group_commit:
        body["GroupCommit"] = True
    if result.existing_state:
        body["ExistingJobStatus"] = result.existing_state
    body |= {
        "Message": result.message,
        "NumberTotalRows": result.total_rows,
        "NumberLoadedRows": result.loaded_rows,
        "NumberFilteredRows": result.filtered_rows,
        "NumberUnselectedRows": result.unselected_rows,
        "LoadBytes": received_bytes,
        "LoadTimeMs": elapsed_ms,
        "BeginTxnTimeMs": result.begin_ms,
        "StreamLoadPutTimeMs": result.plan_ms,
        "ReadDataTimeMs": result.read_ms,
        "WriteDataTimeMs": result.write_ms,
        "ReceiveDataTimeMs": received_ms,
        "CommitAndPublishTimeMs": result.publish_ms,
    }
    if result.error_url:
        body["ErrorURL"] = result.error_url
    return json_response(body)
