"""The REST surface as one handler: route, authenticate, check, call, answer."""

from anabranch.access import Access
from anabranch.api.auth import authenticate, refuse_other_sites
from anabranch.api.errors import error_response, message_response
from anabranch.api.inputs import check_path, parse_parameters, read_body
from anabranch.api.openapi import BASE_PATH, document_bytes
from anabranch.api.operations import JSON_HEADER, Call, Operation, ServerView, Services
from anabranch.api.routing import OtherMethods, Router
from anabranch.api.table import OPERATIONS
from anabranch.edge.blocking import call_local
from anabranch.edge.http import Request, Response
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import AnabranchError, Kind, NotSupported
from anabranch.lake import Lake

DOCUMENT_PATH = b"/openapi.json"
_BASE = BASE_PATH.encode() + b"/"


class Api:
    """lakeFS's API under `/api/v1`, and its description at `/openapi.json`."""

    def __init__(self, lake: Lake, access: Access, clock: Clock, view: ServerView) -> None:
        self._services = Services(lake, access, clock, view)
        self._router = Router(OPERATIONS)

    async def __call__(self, request: Request) -> Response:
        """Answer a request; errors of the tree become answers, others come through."""
        try:
            response = await self._answer(request)
        except AnabranchError as error:
            response = error_response(error)
        if not request.is_body_finished:
            await request.drain()
        return response

    async def _answer(self, request: Request) -> Response:
        if request.raw_path == DOCUMENT_PATH:
            if request.method not in ("GET", "HEAD"):
                return _other_methods(("GET", "HEAD"))
            return Response(200, [JSON_HEADER], document_bytes())
        if not request.raw_path.startswith(_BASE):
            return message_response(404, "no such path")
        match = self._router.find(request.method, request.raw_path[len(_BASE) :])
        if match is None:
            return message_response(404, "no such path in the API")
        if isinstance(match, OtherMethods):
            return _other_methods(match.allowed)
        return await self._run(match.operation, match.path, request)

    async def _run(self, operation: Operation, path: dict[str, str], request: Request) -> Response:
        services = self._services
        refuse_other_sites(request)
        principal = None
        if not operation.is_open:
            principal = await call_local(authenticate, services.access, request)
        check_path(path)
        if operation.handler is None:
            raise NotSupported(Kind.NOT_SUPPORTED, f"{operation.id} is not offered by this server")
        call = Call(services, request, path, parse_parameters(operation, request), None, principal)
        if operation.body is not None:
            call.decoded = await read_body(operation, request)
        return await operation.handler(call)


def _other_methods(allowed: tuple[str, ...]) -> Response:
    methods = ", ".join(allowed)
    return message_response(405, f"this path takes {methods}", [(b"allow", methods.encode())])
