"""From method and raw path to an operation: a trie over percent-coded segments.

Matching comes before decoding: a branch `a/b` arrives as `a%2Fb` and is one segment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from anabranch.api.operations import Operation
from anabranch.edge.http import unquote


@dataclass(slots=True)
class _Node:
    literals: dict[bytes, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    methods: dict[str, tuple[Operation, tuple[str, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """The operation that a request names and its decoded path parameters."""

    operation: Operation
    path: dict[str, str]


@dataclass(frozen=True, slots=True)
class OtherMethods:
    """The path exists with these methods only."""

    allowed: tuple[str, ...]


class Router:
    """All operations by method and path. Literal segments win over parameters."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._root = _Node()
        for operation in operations:
            self._add(operation)

    def _add(self, operation: Operation) -> None:
        node = self._root
        names: list[str] = []
        for segment in operation.path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment.encode(), _Node())
        assert operation.method not in node.methods, operation.id
        node.methods[operation.method] = (operation, tuple(names))

    def find(self, method: str, raw_path: bytes) -> Match | OtherMethods | None:
        """Return what a raw path (below the base path) and a method stand for, None for nothing."""
        values: list[bytes] = []
        node = _walk(self._root, raw_path.strip(b"/").split(b"/"), 0, values)
        if node is None:
            return None
        found = node.methods.get(method)
        if found is None:
            return OtherMethods(tuple(sorted(node.methods)))
        operation, names = found
        return Match(operation, dict(zip(names, map(unquote, values), strict=True)))


def _walk(node: _Node, segments: list[bytes], at: int, values: list[bytes]) -> _Node | None:
    """Return the node of the rest of a path; `values` gets the segments of parameters."""
    if at == len(segments):
        return node if node.methods else None
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, at + 1, values)
        if found is not None:
            return found
    if node.parameter is None or not segment:
        return None
    values.append(segment)
    found = _walk(node.parameter, segments, at + 1, values)
    if found is None:
        values.pop()
    return found
