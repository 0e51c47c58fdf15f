"""How commands name things: `REPOSITORY`, `REPOSITORY/REF`, `REPOSITORY/REF/PATH`.

Each may begin with `lake://` or `lakefs://`. In a place with a path the ref is what stands before
the next slash; a slash inside the ref is written `%2F`. The path is taken as it is.
"""

from dataclasses import dataclass
from urllib.parse import unquote

from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.ids import parse_branch_id, parse_repository_id, parse_tag_id
from anabranch.kernel.refs import parse_ref

_SCHEMES = ("lake://", "lakefs://")


@dataclass(frozen=True, slots=True)
class RefPlace:
    """A ref of a repository."""

    repository: str
    ref: str

    def __str__(self) -> str:
        return f"{self.repository}/{self.ref}"


@dataclass(frozen=True, slots=True)
class ObjectPlace:
    """A path, or a prefix of paths, at a ref; empty for all of it."""

    repository: str
    ref: str
    path: str

    def __str__(self) -> str:
        return f"lake://{self.repository}/{self.ref.replace('/', '%2F')}/{self.path}"


def is_lake(text: str) -> bool:
    """Tell whether a text says by its scheme that it is in the lake."""
    return text.startswith(_SCHEMES)


def parse_repository(text: str) -> str:
    """Return the name of a repository."""
    return parse_repository_id(_bare(text).rstrip("/"))


def parse_ref_place(text: str) -> RefPlace:
    """Return a place of the form REPOSITORY/REF; all after the first slash is the ref."""
    name, _, ref = _bare(text).partition("/")
    repository = parse_repository_id(name)
    if not ref:
        raise _no_ref(text, repository)
    parse_ref(ref)
    return RefPlace(repository, ref)


def parse_branch_place(text: str) -> RefPlace:
    """Return a place of the form REPOSITORY/BRANCH."""
    place = parse_ref_place(text)
    parse_branch_id(place.ref)
    return place


def parse_tag_place(text: str) -> RefPlace:
    """Return a place of the form REPOSITORY/TAG."""
    place = parse_ref_place(text)
    parse_tag_id(place.ref)
    return place


def parse_ref_of(text: str, repository: str) -> str:
    """Return a ref of a repository; the repository may be written before it."""
    bare = _bare(text)
    if is_lake(text) and not bare.startswith(repository + "/"):
        raise InvalidInput(Kind.VALUE, f"{text!r} is not in repository {repository!r}")
    ref = bare.removeprefix(repository + "/")
    parse_ref(ref)
    return ref


def parse_object_place(text: str) -> ObjectPlace:
    """Return a place of the form REPOSITORY/REF/PATH; the path may be missing."""
    name, _, rest = _bare(text).partition("/")
    repository = parse_repository_id(name)
    coded, _, path = rest.partition("/")
    ref = unquote(coded)
    if not ref:
        raise _no_ref(text, repository)
    parse_ref(ref)
    return ObjectPlace(repository, ref, path)


def parse_one_object(text: str) -> ObjectPlace:
    """Return the place of one object: the path must be there."""
    place = parse_object_place(text)
    if not place.path:
        raise InvalidInput(
            Kind.PATH, f"{text!r} names no object", hint=f"add a path, as in {place}data/a.csv"
        )
    return place


def _bare(text: str) -> str:
    for scheme in _SCHEMES:
        if text.startswith(scheme):
            return text.removeprefix(scheme)
    return text


def _no_ref(text: str, repository: str) -> InvalidInput:
    return InvalidInput(
        Kind.VALUE,
        f"{text!r} names no branch, tag or commit",
        hint=f"add one, as in {repository}/main; `anabranch branch list {repository}` shows them",
    )
