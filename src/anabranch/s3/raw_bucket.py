"""The raw store's buckets: the block store seen from outside, keys as they are.

Keys that hold a repository's data can be read but neither replaced nor deleted
(docs/protocol.md 3.4).
"""

from collections.abc import Callable, Sequence

from anabranch.kernel import limits
from anabranch.kernel.clock import Clock
from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Entry, Metadata
from anabranch.kernel.errors import AnabranchError, InvalidInput, Kind, NotFound, Unavailable
from anabranch.kernel.ids import Address, parse_path
from anabranch.kernel.pages import Page
from anabranch.kernel.preconditions import Precondition
from anabranch.lake import Lake
from anabranch.lake.bodies import Body
from anabranch.lake.upload_records import Upload
from anabranch.lake.values import CommonPrefix, Stat
from anabranch.s3.bucket import Attributes, Bucket, BucketInfo, Deletion, KeyPage, Place, make_page
from anabranch.s3.lake_uploads import LakeUploads
from anabranch.storage.blocks.base import Block
from anabranch.storage.kv.base import Condition, Prepared, Verdict, Write

CHECKSUM_NAME = "x-amz-checksum"
"""A block has no field for a second checksum: it stands among the metadata, and is not shown."""

_BUCKET_NAME_LENGTH_MAX = 63
_BUCKET_NAME_LENGTH_MIN = 3
_BUCKET_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")


class RawBucket(LakeUploads):
    """One bucket of the block store."""

    def __init__(self, lake: Lake, clock: Clock, name: str) -> None:
        super().__init__(lake)
        self._clock = clock
        self._name = name

    @property
    def name(self) -> str:
        """Return its name."""
        return self._name

    def _address(self, key: str) -> str:
        return f"s3://{self._name}/{key}"

    def require(self) -> None:
        """Raise NotFound(REPOSITORY_NOT_FOUND) unless the bucket exists."""
        if not self._lake.blocks.has_bucket(self._name):
            raise NotFound(Kind.REPOSITORY_NOT_FOUND, f"no bucket {self._name!r}")

    def stat(self, key: str) -> Stat:
        """Return the object under a key; raise NotFound."""
        block = self._lake.blocks.find(self._address(parse_path(key)))
        if block is None:
            self.require()
            raise NotFound(Kind.OBJECT_NOT_FOUND, f"no object {key!r}")
        return _stat(block, key)

    def block(self, found: Stat) -> Block:
        """Return where the bytes of an object are; raise NotFound when it was deleted since."""
        return self._lake.blocks.get(found.physical_address)

    def list(self, *, prefix: str, after: str, amount: int, delimiter: str) -> KeyPage:
        """Return one page of keys; with a delimiter, common prefixes are passed over by seeks."""
        self.require()
        items: list[Stat | CommonPrefix] = []
        last = after
        deadline_ns = self._clock.now_ns() + limits.LISTING_S * 1_000_000_000
        is_first = True
        while len(items) < amount:
            if not is_first and self._clock.now_ns() > deadline_ns:
                if items:
                    return make_page("", items, last)
                raise Unavailable(Kind.BUSY, "the listing found nothing in time, try again")
            is_first = False
            page = self._lake.blocks.list(
                self._name,
                prefix=prefix,
                after=_passed(last, prefix, delimiter),
                amount=amount - len(items),
            )
            for block in page.items:
                key = self._key(block)
                rolled = _common_prefix(key, prefix, delimiter)
                if rolled == last and rolled:
                    continue
                last = rolled or key
                items.append(CommonPrefix(rolled) if rolled else _stat(block, key))
            if page.next_after is None:
                return make_page("", items, None)
        has_more = bool(items) and self._has_more(prefix, last, delimiter)
        return make_page("", items, last if has_more else None)

    def _has_more(self, prefix: str, last: str, delimiter: str) -> bool:
        passed = _passed(last, prefix, delimiter)
        page = self._lake.blocks.list(self._name, prefix=prefix, after=passed, amount=1)
        return bool(page.items)

    def _key(self, block: Block) -> str:
        return block.address.partition("://")[2][len(self._name) + 1 :]

    def place(self, key: str, *, may_guess: bool = False) -> Place:
        """Return a key as a place for writes, never a guess; raise Forbidden for a repository's."""
        path = parse_path(key)
        self.require()
        self._lake.addresses.raw_conditions(self._address(path))
        return Place(key, path)

    def open_body(self, place: Place) -> Body:
        """Start the bytes of one object."""
        return self._lake.bodies.open_at(self._address(place.path))

    def move(self, body: Body, place: Place) -> None:
        """Give a received body another key's address."""
        body.move_to(self._address(place.path))

    def making_put(
        self, place: Place, body: Body, attributes: Attributes, precondition: Precondition | None
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that puts a received body."""
        metadata = attributes.metadata
        if attributes.checksum:
            metadata = (*metadata, (CHECKSUM_NAME, attributes.checksum))

        def make() -> Prepared[Stat]:
            conditions = self._lake.addresses.raw_conditions(body.address)
            if precondition is not None:
                conditions += self._lake.addresses.check_raw(body.address, precondition)
            placed = body.place(content_type=attributes.content_type, metadata=metadata)

            def accepted(_verdict: Verdict) -> Stat:
                return _stat(placed.block, place.key)

            return Prepared(conditions, placed.writes, accepted, placed.windows)

        return make

    def making_shared_copy(
        self,
        place: Place,
        source: Bucket,
        source_key: str,
        attributes: Attributes | None,
        source_precondition: Precondition,
        precondition: Precondition | None,
    ) -> Callable[[], Prepared[Stat]] | None:
        """Return None: two objects of the raw store never share bytes."""
        return None

    def deletions(self, keys: Sequence[str]) -> Sequence[Deletion]:
        """Return one step for all keys that may be deleted, and why the others may not."""
        found = []
        free: list[str] = []
        for key in keys:
            try:
                self._lake.addresses.raw_conditions(self._address(parse_path(key)))
            except AnabranchError as error:
                found.append(Deletion((key,), error=error))
            else:
                free.append(key)
        if free:
            found.append(Deletion(tuple(free), self._making_delete(free)))
        return found

    def _making_delete(self, keys: Sequence[str]) -> Callable[[], Prepared[None]]:
        def make() -> Prepared[None]:
            conditions: dict[Condition, None] = {}
            writes: list[Write] = []
            for key in keys:
                block = self._lake.blocks.find(self._address(key))
                if block is None:
                    continue
                is_that, removal = self._lake.blocks.removal(block)
                conditions.update(dict.fromkeys(is_that))
                free = self._lake.addresses.raw_conditions(self._address(key))
                conditions.update(dict.fromkeys(free))
                writes += removal
            return Prepared(list(conditions), writes, lambda _verdict: None)

        return make

    def create_upload(
        self, place: Place, attributes: Attributes, checksum_algorithm: str
    ) -> Upload:
        """Start a multipart upload to a key."""
        return self._lake.uploads.create_raw(
            self._address(place.path),
            content_type=attributes.content_type,
            metadata=attributes.metadata,
            checksum_algorithm=checksum_algorithm,
        )

    def _owns(self, upload: Upload) -> bool:
        return upload.repository is None and upload.scope == self._name

    def list_uploads(
        self, *, prefix: str, key_after: str, upload_after: str, amount: int
    ) -> Page[Upload]:
        """Return one page of open uploads by key, then id."""
        self.require()
        return self._lake.uploads.list_raw(
            self._name,
            prefix=prefix,
            path_after=key_after,
            upload_after=upload_after,
            amount=amount,
        )


def _stat(block: Block, key: str) -> Stat:
    checksum = ""
    metadata: Metadata = block.metadata
    if metadata and any(name == CHECKSUM_NAME for name, _ in metadata):
        checksum = dict(metadata)[CHECKSUM_NAME]
        metadata = tuple(pair for pair in metadata if pair[0] != CHECKSUM_NAME)
    entry = Entry(
        Address(block.address),
        block.etag,
        block.size_bytes,
        block.created_us,
        block.content_type or DEFAULT_CONTENT_TYPE,
        metadata,
        checksum,
    )
    return Stat(key, entry, block.address)


def _common_prefix(key: str, prefix: str, delimiter: str) -> str:
    """Return what a key is rolled up to, nothing when it stands for itself."""
    if not delimiter:
        return ""
    at = key.find(delimiter, len(prefix))
    return "" if at < 0 else key[: at + len(delimiter)]


def _passed(last: str, prefix: str, delimiter: str) -> str:
    """Return the exclusive `after` that passes over all keys under a common prefix."""
    if not delimiter or not last.startswith(prefix) or not last.endswith(delimiter):
        return last
    if len(last) < len(prefix) + len(delimiter):
        return last
    # Nothing under the prefix is larger, but for names that begin with the last code point.
    return f"{last}\U0010ffff"


class RawBuckets:
    """All buckets of the block store."""

    def __init__(self, lake: Lake, clock: Clock) -> None:
        self._lake = lake
        self._clock = clock

    def open(self, name: str) -> RawBucket:
        """Return a bucket; raise InvalidInput(REPOSITORY_NAME)."""
        if (
            not _BUCKET_NAME_LENGTH_MIN <= len(name) <= _BUCKET_NAME_LENGTH_MAX
            or not _BUCKET_NAME_CHARACTERS.issuperset(name)
            or name[0] in ".-"
            or name[-1] in ".-"
            or ".." in name
        ):
            raise InvalidInput(Kind.REPOSITORY_NAME, f"not a bucket name: {name!r}")
        return RawBucket(self._lake, self._clock, name)

    def list(self, *, prefix: str, after: str, amount: int) -> Page[BucketInfo]:
        """Return one page of buckets in byte order of their names."""
        names = [
            name for name in self._lake.blocks.buckets() if name.startswith(prefix) and name > after
        ]
        page = tuple(BucketInfo(name, 0) for name in names[:amount])
        return Page(page, page[-1].name if len(names) > amount and page else None)

    def create(self, name: str, user: str) -> None:
        """Make a bucket; one that exists is left as it is."""
        bucket = self.open(name)

        def make() -> Prepared[None]:
            conditions, writes = self._lake.blocks.bucket_creation(bucket.name)
            return Prepared(conditions, writes, lambda _verdict: None)

        self._lake.writer.submit(make)
