"""Repositories: their refs, and how programs that speak S3 reach them."""

from typing import Any, Literal, TypeVar, overload

from anabranch.client import html
from anabranch.client.branches import Branch
from anabranch.client.connections import Connections
from anabranch.client.lists import LazyList
from anabranch.client.refs import Commit, Ref, Tag, first_line
from anabranch.client.rest import Client
from anabranch.client.s3_access import Library, S3Access
from anabranch.client.values import RepositoryInfo, repository_of
from anabranch.kernel import limits
from anabranch.kernel.errors import AnabranchError, Kind
from anabranch.kernel.ids import parse_repository_id, parse_tag_id


class Repository:
    """A repository by name. It is asked for when it is used, not before; threads may share it."""

    def __init__(self, connections: Connections, name: str) -> None:
        self._connections = connections
        self.name: str = parse_repository_id(name)

    @property
    def uri(self) -> str:
        """How the commands name it, as `lake://repository`."""
        return f"lake://{self.name}"

    def info(self) -> RepositoryInfo:
        """Return what is known of it; NotFound when there is none."""
        with self._connections.client() as client:
            return repository_of(client.repository(self.name))

    def exists(self) -> bool:
        """Tell whether it is there."""
        try:
            self.info()
        except AnabranchError as error:
            if error.kind is not Kind.REPOSITORY_NOT_FOUND:
                raise
            return False
        return True

    def create(
        self,
        namespace: str = "",
        *,
        default_branch: str = "main",
        read_only: bool = False,
        exist_ok: bool = False,
    ) -> "Repository":
        """Make it. `namespace` is where its bytes go; by default one of its own.

        AlreadyExists when it is there; with `exist_ok` it then stays as it is.
        """
        with self._connections.client() as client:
            try:
                client.create_repository(
                    self.name,
                    namespace or _own_namespace(client, self.name),
                    default_branch=default_branch,
                    is_read_only=read_only,
                )
            except AnabranchError as error:
                if not exist_ok or error.kind is not Kind.REPOSITORY_EXISTS:
                    raise
        return self

    def delete(self, *, force: bool = False) -> None:
        """Forget it with its whole history; a read-only one with `force` alone."""
        with self._connections.client() as client:
            client.delete_repository(self.name, is_forced=force)

    # Refs

    def branch(self, name: str) -> Branch:
        """Return a branch by name, there or not: `create` makes it."""
        return Branch(self._connections, self.name, name)

    def tag(self, name: str) -> Tag:
        """Return a tag by name, there or not: `create` makes it."""
        return Tag(self._connections, self.name, parse_tag_id(name))

    def ref(self, expression: str) -> Ref:
        """Return what an expression stands for: a branch, tag, commit id, `main~2`, `dev^`..."""
        return Ref(self._connections, self.name, expression)

    def commit(self, ref: Ref | str) -> Commit:
        """Return the commit that an id, the beginning of one or any other ref stands for."""
        return self.ref(str(ref)).head()

    def branches(self, prefix: str = "", *, with_hidden: bool = False) -> "Refs[Branch]":
        """Return the branches by name."""
        return Refs(
            self._connections,
            lambda client, amount: client.branches(
                self.name, prefix=prefix, with_hidden=with_hidden, amount=amount
            ),
            lambda found: Branch(self._connections, self.name, found.id),
            f"{self.uri} branches",
        )

    def tags(self, prefix: str = "") -> "Refs[Tag]":
        """Return the tags by name."""
        return Refs(
            self._connections,
            lambda client, amount: client.tags(self.name, prefix=prefix, amount=amount),
            lambda found: Tag(self._connections, self.name, found.id),
            f"{self.uri} tags",
        )

    # S3

    @overload
    def storage_options(self, library: Literal["polars"] = "polars") -> dict[str, str]: ...
    @overload
    def storage_options(self, library: Library) -> dict[str, Any]: ...
    def storage_options(self, library: Library = "polars") -> dict[str, Any]:
        """Return how a library reaches the lake by S3, for the URIs of `Ref.s3_uri`.

        `polars` are the `storage_options` of polars and others built on object_store; `fsspec`
        those of pandas and s3fs; `boto3` the arguments of `boto3.client("s3", ...)`; `pyarrow`
        those of `pyarrow.fs.S3FileSystem`. They hold the secret key.
        """
        server = self._connections.server
        return S3Access(server.url, server.access_key, server.secret_key).options(library)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Repository):
            return NotImplemented
        mine, theirs = self._connections.server, other._connections.server
        return (mine, self.name) == (theirs, other.name)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<Repository {self.uri}>"

    def __str__(self) -> str:
        return self.name

    def _repr_html_(self) -> str:
        """Return what is known of it, and its first branches and tags, as a table."""
        try:
            info = self.info()
            branches = self.branches().first(limits.NOTEBOOK_ROWS_MAX + 1)
            tags = self.tags().first(limits.NOTEBOOK_ROWS_MAX + 1)
        except AnabranchError as error:
            return html.failed(self.uri, error.message)
        rows = [
            ("Namespace", html.code(info.namespace)),
            ("Default branch", (html.shown(info.default_branch), "")),
            ("Created (UTC)", (html.time_text(info.created), "")),
            ("Branches", html.pills([one.name for one in branches])),
        ]
        if tags:
            rows.append(("Tags", html.pills([one.name for one in tags])))
        note = "repository, read-only" if info.is_read_only else "repository"
        return html.facts(self.uri, note, rows)


R = TypeVar("R", bound=Ref, covariant=True)


class Refs(LazyList[R]):
    """Branches or tags, by name."""

    def _table(self, rows: tuple[R, ...], *, has_more: bool) -> str:
        heads = [one.head() for one in rows]
        return html.table(
            self.title,
            (("Name", ""), ("Commit", "ab-tight"), ("Message", ""), ("Time (UTC)", "ab-tight")),
            (
                (
                    html.code(one.name, "ab-dir"),
                    html.short_id(head.id),
                    (html.shown(first_line(head.message)), ""),
                    (html.time_text(head.time), "ab-tight ab-dim"),
                )
                for one, head in zip(rows, heads, strict=True)
            ),
            foot=html.more(len(rows), "none", has_more=has_more),
        )


class Repositories(LazyList[Repository]):
    """Repositories, by name."""

    def _table(self, rows: tuple[Repository, ...], *, has_more: bool) -> str:
        return html.table(
            self.title,
            (("Repository", ""),),
            ((html.code(one.name, "ab-dir"),) for one in rows),
            foot=html.more(len(rows), "no repositories", has_more=has_more),
        )


def _own_namespace(client: Client, repository: str) -> str:
    storage = client.config().storage_config
    prefix = storage.default_namespace_prefix.rstrip("/")
    if not prefix:
        prefix = storage.blockstore_namespace_example.partition("://")[0] + ":/"
    return f"{prefix}/{repository}"
