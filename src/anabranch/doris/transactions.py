"""Two-phase commit of stream loads, the state of a label, cancelling, and error logs."""

from __future__ import annotations

import re

from anabranch.doris.answers import failure, json_response, success, text_response
from anabranch.doris.callers import Caller
from anabranch.doris.loads import StreamLoads
from anabranch.edge.blocking import call_thread
from anabranch.edge.http import Request, Response
from anabranch.kernel.errors import AnabranchError
from anabranch.warehouse.errors import doris

_ID = re.compile(r"[0-9]{1,18}")
_OPERATIONS = ("commit", "abort")


def _query(request: Request, name: str) -> str:
    """Return a parameter of the query, empty when it was not given."""
    return next((value for found, value in request.query_plain if found == name), "")


class Transactions:
    """Answers what clients ask of loads that have begun."""

    def __init__(self, loads: StreamLoads) -> None:
        self._loads = loads

    async def end(self, request: Request, caller: Caller, database: str) -> Response:
        """Commit or abort a two-phase load, by `txn_id` or `label` in headers."""
        try:
            said = await self._end(request, caller, database)
        except AnabranchError as error:
            return json_response({"status": "Fail", "msg": error.message})
        return json_response({"status": "Success", "msg": said})

    async def _end(self, request: Request, caller: Caller, database: str) -> str:
        operation = (request.header("txn_operation") or "").strip().lower()
        number = (request.header("txn_id") or "").strip()
        label = (request.header("label") or "").strip()
        if operation not in _OPERATIONS:
            raise doris("transaction operation should be 'commit' or 'abort'")
        if not number and not label:
            raise doris("transaction id and label is empty")
        if number and not _ID.fullmatch(number):
            raise doris(f"convert txn_id [{number[:100]}] failed")
        step = self._loads.commit if operation == "commit" else self._loads.abort
        transaction_id = int(number) if number else None
        # An id says which one; a label beside it is of no use.
        await call_thread(
            step,
            database,
            caller.user,
            transaction_id=transaction_id,
            label="" if number else label,
        )
        what = f"transaction [{number}]" if number else f"label [{label}]"
        return f"{what} {operation} successfully."

    async def state(self, request: Request, database: str) -> Response:
        """Return the state of a label's transaction."""
        label = _query(request, "label")
        if not label:
            return failure("No label selected.")
        try:
            found = await call_thread(self._loads.state_of, database, label)
        except AnabranchError as error:
            return failure(error.message)
        return success(found)

    async def cancel(self, request: Request, caller: Caller, database: str) -> Response:
        """Cancel a label's load."""
        label = _query(request, "label")
        try:
            if not label:
                raise doris("No label selected.")
            await call_thread(self._loads.cancel, database, caller.user, label)
        except AnabranchError as error:
            return json_response({"msg": f"Cancel failed: {error.message}", "status": "Fail"})
        return json_response({"msg": "OK", "status": "Success"})

    async def error_log(self, request: Request) -> Response:
        """Return a load's bad rows; whoever knows the log's random name may read them."""
        found = await call_thread(self._loads.find_error_log, _query(request, "file"))
        if found is None:
            return text_response("there is no such error log\n", status=404)
        return text_response(found.decode("utf-8", "replace"))
