"""One operation of the API as a value: the route table, the checks of input and the published
document are all made from it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar, cast

import msgspec

from anabranch.access import Access
from anabranch.access.principals import Principal
from anabranch.edge.http import Headers, Request, Response
from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.ids import (
    BranchId,
    Path,
    Ref,
    RepositoryId,
    TagId,
    parse_branch_id,
    parse_path,
    parse_repository_id,
    parse_tag_id,
)
from anabranch.kernel.pages import parse_amount
from anabranch.lake import Lake

T = TypeVar("T")

JSON = "application/json"
HTML = "text/html"
BYTES = "application/octet-stream"
FORM = "multipart/form-data"

JSON_HEADER = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server says of itself to clients.

    `import_prefixes` are the URI prefixes that an import may read. `default_namespace_prefix` is
    offered for new repositories; empty for none.
    """

    version: str
    blockstore_type: str = "local"
    namespace_example: str = "local://example-bucket/"
    default_namespace_prefix: str = ""
    import_prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Services:
    """What operations work on."""

    lake: Lake
    access: Access
    clock: Clock
    view: ServerView


class Where(StrEnum):
    """Where a parameter stands in a request."""

    QUERY = "query"
    HEADER = "header"


class ValueKind(StrEnum):
    """How the text of a parameter is read."""

    TEXT = "string"
    FLAG = "boolean"  # true or false, in any case: Python clients send True
    NUMBER = "integer"
    TIME = "date-time"  # RFC 3339, or seconds since 1970
    TEXTS = "array"  # the parameter may be repeated


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter or header of an operation."""

    name: str
    kind: ValueKind = ValueKind.TEXT
    where: Where = Where.QUERY
    is_required: bool = False
    default: str | bool | int | None = None
    at_least: int | None = None
    choices: tuple[str, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of an operation: a type of bodies.py for JSON, or bytes of `content_type`.

    `body` may also be a tuple of types, of which one is answered.
    """

    body: Any = None
    content_type: str = JSON
    text: str = ""


@dataclass(slots=True)
class Call:
    """One request to one operation: checked parameters, decoded body, who asks."""

    services: Services
    request: Request
    path: Mapping[str, str]
    query: Mapping[str, Any]
    decoded: Any = None
    principal: Principal | None = None

    @property
    def lake(self) -> Lake:
        """The lake."""
        return self.services.lake

    @property
    def user(self) -> str:
        """Return the name of who asks; only for operations that authenticate."""
        assert self.principal is not None
        return self.principal.user

    def body(self, kind: type[T]) -> T:
        """Return the decoded body, which has the type that the operation declares."""
        assert isinstance(self.decoded, kind)
        return self.decoded

    def text(self, name: str) -> str:
        """Return a text parameter, empty when it was not given."""
        return cast(str, self.query.get(name) or "")

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a repeated parameter."""
        return cast(tuple[str, ...], self.query.get(name) or ())

    def flag(self, name: str) -> bool:
        """Return a boolean parameter, False when it was not given."""
        return bool(self.query.get(name))

    def number(self, name: str) -> int | None:
        """Return a number, or the time in microseconds of a time parameter."""
        return cast("int | None", self.query.get(name))

    def amount(self) -> int:
        """Return how many results a page may hold."""
        found = self.number("amount")
        return parse_amount(-1 if found is None else found)

    def repository(self) -> RepositoryId:
        """Return the repository of the path."""
        return parse_repository_id(self.path["repository"])

    def branch(self, name: str = "branch") -> BranchId:
        """Return a branch of the path."""
        return parse_branch_id(self.path[name])

    def tag(self) -> TagId:
        """Return the tag of the path."""
        return parse_tag_id(self.path["tag"])

    def ref(self, name: str = "ref") -> Ref:
        """Return a ref expression of the path, not yet resolved."""
        return Ref(self.path[name])

    def object_path(self, name: str = "path") -> Path:
        """Return an object's path, a query parameter."""
        return parse_path(self.text(name))


OperationHandler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation by lakeFS's name; without a handler it is known, and answered 501.

    `body` is the type of the JSON body; with `is_streamed` the handler reads the body itself.
    `is_open` operations need no credentials.
    """

    id: str
    method: str
    path: str
    tag: str
    handler: OperationHandler | None = None
    summary: str = ""
    parameters: Sequence[Parameter] = ()
    body: Any = None
    is_body_optional: bool = False
    is_streamed: bool = False
    is_open: bool = False
    answers: Mapping[int, Answer] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    """Statuses of errors beside those that any operation may have."""


PREFIX = Parameter("prefix", text="only what begins with it")
AFTER = Parameter("after", text="only what comes after it: `next_offset` of the page before")
AMOUNT = Parameter(
    "amount",
    ValueKind.NUMBER,
    default=limits.PAGE_DEFAULT,
    at_least=-1,
    text=f"results of a page, at most {limits.PAGE_MAX} of them; -1 for the default",
)
DELIMITER = Parameter("delimiter", text="roll up what has it after the prefix")
PAGE = (PREFIX, AFTER, AMOUNT)
OBJECT_PATH = Parameter("path", is_required=True, text="path of the object")
FORCE = Parameter(
    "force",
    ValueKind.FLAG,
    default=False,
    text="makes no difference: a read-only repository stays as it is",
)


def json_response(status: int, body: Any, headers: Headers | None = None) -> Response:
    """Return an answer with a body of bodies.py as JSON."""
    return Response(status, [JSON_HEADER, *(headers or ())], msgspec.json.encode(body))


def empty_response(status: int = 204) -> Response:
    """Return an answer without a body."""
    return Response(status)


def wrong_field(name: str, why: str) -> InvalidInput:
    """Return the error of a field or parameter, which it names."""
    return InvalidInput(Kind.VALUE, f"{name}: {why}")
