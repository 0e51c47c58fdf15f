"""A repository as a bucket: keys are `ref/path`."""

from collections.abc import Callable, Sequence

from anabranch.kernel import limits
from anabranch.kernel.errors import (
    AlreadyExists,
    AnabranchError,
    Gone,
    InvalidInput,
    Kind,
    NotFound,
)
from anabranch.kernel.ids import (
    BranchId,
    Path,
    Ref,
    RepositoryId,
    parse_namespace,
    parse_path,
    parse_repository_id,
)
from anabranch.kernel.pages import Page
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import Lake
from anabranch.lake.bodies import Body
from anabranch.lake.upload_records import Upload
from anabranch.lake.values import CommonPrefix, Resolved, Stat, Target
from anabranch.s3.addressing import split_key
from anabranch.s3.bucket import Attributes, Bucket, BucketInfo, Deletion, KeyPage, Place, make_page
from anabranch.s3.errors import Refused
from anabranch.s3.lake_uploads import LakeUploads
from anabranch.storage.blocks.base import Block
from anabranch.storage.kv.base import Prepared

_MISSING_REF = frozenset((Kind.REF_NOT_FOUND, Kind.BRANCH_NOT_FOUND, Kind.REF_EXPRESSION))


class LakeBucket(LakeUploads):
    """One repository of the lake."""

    def __init__(self, lake: Lake, repository_id: RepositoryId) -> None:
        super().__init__(lake)
        self.repository_id = repository_id

    @property
    def name(self) -> str:
        """Return its name."""
        return self.repository_id

    def require(self) -> None:
        """Raise NotFound(REPOSITORY_NOT_FOUND) unless the repository exists."""
        self._lake.repositories.get(self.repository_id)

    def stat(self, key: str) -> Stat:
        """Return the object under a key; raise NotFound for the repository, ref or path."""
        resolved, path = self._resolve(key)
        if not path:
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object {key!r}: a key is a ref and a path")
        return self._lake.objects.stat(resolved, parse_path(path))

    def block(self, found: Stat) -> Block:
        """Return where the bytes of an object are; raise Gone when they are no more.

        The entry is there, so that the key is not absent: retention removed its bytes
        (docs/protocol.md 4.3), or an imported file is gone.
        """
        try:
            return self._lake.objects.block(found)
        except NotFound as error:
            if error.kind is not Kind.BLOCK_NOT_FOUND:
                raise
            raise Gone(error.kind, error.message) from error

    def _resolve(self, key: str) -> tuple[Resolved, str]:
        """Return what the ref in front of a key stands for, and the rest of the key."""
        ref, path = split_key(key)
        first: AnabranchError | None = None
        for _ in range(limits.REF_SEGMENTS_MAX):
            try:
                return self._lake.resolve.resolve(self.repository_id, Ref(ref)), path or ""
            except (NotFound, InvalidInput) as error:
                if error.kind not in _MISSING_REF:
                    raise
                first = first or error
            segment, slash, rest = (path or "").partition("/")
            if not slash:
                break
            ref, path = f"{ref}/{segment}", rest
        # The repository's own absence is another answer than the ref's.
        self.require()
        assert first is not None
        raise first

    def list(self, *, prefix: str, after: str, amount: int, delimiter: str) -> KeyPage:
        """Return one page of a ref's objects; a prefix that names no ref whole lists refs."""
        if "/" in prefix:
            try:
                resolved, path_prefix = self._resolve(prefix)
            except (NotFound, InvalidInput) as error:
                if error.kind not in _MISSING_REF:
                    raise
            else:
                head = prefix[: len(prefix) - len(path_prefix)]
                return self._list_ref(resolved, head, path_prefix, after, amount, delimiter)
        return self._list_refs(prefix, after, amount)

    def _list_ref(
        self, resolved: Resolved, head: str, prefix: str, after: str, amount: int, delimiter: str
    ) -> KeyPage:
        after_path = ""
        if after >= head:
            if not after.startswith(head):
                return make_page(head, (), None)
            after_path = after[len(head) :]
        if not delimiter and amount:
            found = self._lake.listing.rows(
                resolved, prefix=prefix, after=after_path, amount=amount
            )
            more = None if found.next_after is None else head + found.next_after
            return KeyPage(head, found.rows, (), more)
        page = self._lake.listing.page(
            resolved, prefix=prefix, after=after_path, amount=amount, delimiter=delimiter
        )
        next_after = None if page.next_after is None else head + page.next_after
        return make_page(head, page.items, next_after)

    def _list_refs(self, prefix: str, after: str, amount: int) -> KeyPage:
        """Return branches and tags as common prefixes, in byte order of their names."""
        name_after = after.rstrip("/") if after else ""
        branches = self._lake.branches.list(
            self.repository_id, prefix=prefix, after=name_after, amount=amount
        )
        tags = self._lake.tags.list(
            self.repository_id, prefix=prefix, after=name_after, amount=amount
        )
        names = sorted({*(one.id for one in branches.items), *(one.id for one in tags.items)})
        has_more = len(names) > amount or bool(branches.next_after or tags.next_after)
        names = names[:amount]
        items = tuple(CommonPrefix(f"{name}/") for name in names)
        return make_page("", items, f"{names[-1]}/" if has_more and names else None)

    def place(self, key: str, *, may_guess: bool = False) -> Place:
        """Return a path of a branch as a place for writes."""
        ref, path = split_key(key)
        if path is None:
            self.require()
            raise Refused("InvalidArgument", f"A key here is a branch, a slash and a path: {key}")
        first: NotFound | None = None
        for _ in range(limits.REF_SEGMENTS_MAX):
            try:
                target = self._lake.objects.writable(
                    self.repository_id, BranchId(ref), may_guess=may_guess
                )
            except NotFound as error:
                if error.kind not in _MISSING_REF:
                    raise
                first = first or error
            else:
                return Place(key, parse_path(path) if path else Path(""), target)
            segment, slash, rest = path.partition("/")
            if not slash:
                break
            ref, path = f"{ref}/{segment}", rest
        assert first is not None
        raise first

    def open_body(self, place: Place) -> Body:
        """Start the bytes of one object."""
        return self._lake.bodies.open(_target(place).repository)

    def move(self, body: Body, place: Place) -> None:
        """Give a received body a fresh address in the place's repository."""
        body.move_to(self._lake.bodies.fresh_address(_target(place).repository))

    def making_put(
        self, place: Place, body: Body, attributes: Attributes, precondition: Precondition | None
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that puts a received body."""
        return self._lake.objects.making_put(
            _target(place),
            place.path,
            body,
            content_type=attributes.content_type,
            metadata=attributes.metadata,
            checksum2=attributes.checksum,
            precondition=precondition,
        )

    def making_shared_copy(
        self,
        place: Place,
        source: Bucket,
        source_key: str,
        attributes: Attributes | None,
        source_precondition: Precondition,
        precondition: Precondition | None,
    ) -> Callable[[], Prepared[Stat]] | None:
        """Return the step of a copy inside one repository: metadata alone moves."""
        if not isinstance(source, LakeBucket) or source.repository_id != self.repository_id:
            return None
        resolved, path = source._resolve(source_key)
        return self._lake.objects.making_copy(
            _target(place),
            place.path,
            resolved,
            parse_path(path),
            content_type=None if attributes is None else attributes.content_type,
            metadata=None if attributes is None else attributes.metadata,
            source_precondition=source_precondition,
            precondition=precondition,
        )

    def deletions(self, keys: Sequence[str]) -> Sequence[Deletion]:
        """Return one step per branch; keys without a path are deleted by doing nothing."""
        found: list[Deletion] = []
        groups: dict[Target, list[Place]] = {}
        for key in keys:
            if "/" not in key:
                found.append(Deletion((key,)))
                continue
            try:
                place = self.place(key)
            except AnabranchError as error:
                found.append(Deletion((key,), error=error))
                continue
            if place.is_nothing:
                found.append(Deletion((key,)))
            else:
                groups.setdefault(_target(place), []).append(place)
        for target, places in groups.items():
            make = self._lake.objects.making_delete_many(target, [one.path for one in places])
            found.append(Deletion(tuple(one.key for one in places), make))
        return found

    def create_upload(
        self, place: Place, attributes: Attributes, checksum_algorithm: str
    ) -> Upload:
        """Start a multipart upload to a path of a branch."""
        return self._lake.uploads.create(
            _target(place),
            place.path,
            content_type=attributes.content_type,
            metadata=attributes.metadata,
            checksum_algorithm=checksum_algorithm,
        )

    def _owns(self, upload: Upload) -> bool:
        return upload.repository == self.repository_id

    def list_uploads(
        self, *, prefix: str, key_after: str, upload_after: str, amount: int
    ) -> Page[Upload]:
        """Return one page of open uploads by key, then id."""
        return self._lake.uploads.list(
            self.repository_id,
            prefix=prefix,
            path_after=key_after,
            upload_after=upload_after,
            amount=amount,
        )


def _target(place: Place) -> Target:
    assert place.target is not None
    return place.target


class LakeBuckets:
    """All repositories; `namespace_prefix` lets a bucket that is put become a repository."""

    def __init__(self, lake: Lake, *, namespace_prefix: str = "") -> None:
        self._lake = lake
        self._namespace_prefix = namespace_prefix.rstrip("/")

    def open(self, name: str) -> LakeBucket:
        """Return a repository as a bucket; raise InvalidInput(REPOSITORY_NAME)."""
        return LakeBucket(self._lake, parse_repository_id(name))

    def list(self, *, prefix: str, after: str, amount: int) -> Page[BucketInfo]:
        """Return one page of repositories."""
        page = self._lake.repositories.list(
            prefix=prefix, after=after, amount=min(amount, limits.PAGE_MAX)
        )
        return page.map(lambda one: BucketInfo(one.id, one.created_us))

    def create(self, name: str, user: str) -> None:
        """Make a repository under the namespace prefix; one that exists is left as it is."""
        repository_id = parse_repository_id(name)
        if self._lake.repositories.find(repository_id) is not None:
            return
        if not self._namespace_prefix:
            raise Refused(
                "NotImplemented",
                f"There is no repository {name}. Make it through the REST API, or set a default "
                "namespace prefix to let CreateBucket make repositories.",
            )
        namespace = parse_namespace(f"{self._namespace_prefix}/{name}")
        try:
            self._lake.repositories.create(repository_id, namespace, committer=user)
        except AlreadyExists:
            return
