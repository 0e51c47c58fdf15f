"""What the operations need of a bucket: the lake's repositories and the raw store's buckets.

Methods block unless told otherwise, but touch only the KV store, so they run in the event loop
when that is local. Methods called `making_x` return a step for `writer`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from anabranch.kernel.entries import DEFAULT_CONTENT_TYPE, Metadata
from anabranch.kernel.errors import AnabranchError
from anabranch.kernel.ids import Path, UploadId
from anabranch.kernel.pages import Page
from anabranch.kernel.preconditions import Precondition
from anabranch.lake.bodies import Body
from anabranch.lake.upload_records import Part, Upload
from anabranch.lake.values import CommonPrefix, Stat, Target
from anabranch.native.ranges import Entries
from anabranch.storage.blocks.base import Block, BlockStore
from anabranch.storage.kv.base import Prepared, Writer


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object may be written: a path of a branch, or a key of a raw bucket.

    `ref/` is a place without a path: a write there succeeds and stores nothing.
    """

    key: str
    path: Path
    target: Target | None = None

    @property
    def is_nothing(self) -> bool:
        """Tell whether a write here stores nothing."""
        return not self.path

    @property
    def is_guess(self) -> bool:
        """Tell whether the place may be no more."""
        return self.target is not None and self.target.is_guess


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is kept about an object besides its bytes; `checksum` is in its stored form."""

    content_type: str = DEFAULT_CONTENT_TYPE
    metadata: Metadata = ()
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class KeyPage:
    """One page of a bucket: a key is `head` and a path; `next_after` is a whole key.

    `rows` are its objects in order: the columns path, checksum, size_bytes, mtime, checksum2,
    and maybe others; `prefixes` are its common prefixes in order.
    """

    head: str
    rows: Entries | pa.RecordBatch
    prefixes: tuple[str, ...]
    next_after: str | None

    def __len__(self) -> int:
        """Return how many objects and common prefixes it has."""
        return len(self.rows) + len(self.prefixes)


def make_page(head: str, items: Sequence[Stat | CommonPrefix], next_after: str | None) -> KeyPage:
    """Return a page of values."""
    stats = [item for item in items if isinstance(item, Stat)]
    rows = pa.RecordBatch.from_arrays(
        [
            pa.array([stat.path for stat in stats], pa.string()),
            pa.array([stat.entry.checksum for stat in stats], pa.string()),
            pa.array([stat.entry.size_bytes for stat in stats], pa.int64()),
            pa.array([stat.entry.mtime_us for stat in stats], pa.timestamp("us")),
            pa.array([stat.entry.checksum2 for stat in stats], pa.string()),
        ],
        ["path", "checksum", "size_bytes", "mtime", "checksum2"],
    )
    prefixes = tuple([item.path for item in items if isinstance(item, CommonPrefix)])
    return KeyPage(head, rows, prefixes, next_after)


@dataclass(frozen=True, slots=True)
class Deletion:
    """Some keys of a bulk delete and the step that deletes them all, or why none of them can be."""

    keys: tuple[str, ...]
    make: Callable[[], Prepared[None]] | None = None
    error: AnabranchError | None = None


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """A bucket as ListBuckets shows it."""

    name: str
    created_us: int


class Bucket(Protocol):
    """One bucket. It is opened without a look-up: what it lacks shows in its methods."""

    @property
    def name(self) -> str:
        """Return its name."""
        ...

    @property
    def writer(self) -> Writer:
        """Return what runs its steps."""
        ...

    @property
    def blocks(self) -> BlockStore:
        """Return where its bytes are."""
        ...

    def require(self) -> None:
        """Raise NotFound(REPOSITORY_NOT_FOUND) unless the bucket exists."""
        ...

    def stat(self, key: str) -> Stat:
        """Return the object under a key; raise NotFound."""
        ...

    def block(self, found: Stat) -> Block:
        """Return where the bytes of an object are that was found here; raise when they are gone."""
        ...

    def list(self, *, prefix: str, after: str, amount: int, delimiter: str) -> KeyPage:
        """Return one page; `after` is an exclusive key or common prefix.

        Raises Unavailable when nothing was found in time.
        """
        ...

    def place(self, key: str, *, may_guess: bool = False) -> Place:
        """Return the key as a place for writes; raise what refuses them, before a byte is read.

        With `may_guess` the place may be one that `is_guess`: a write there that raises NotFound
        is made again at a place that is none, where `move` brings its body.
        """
        ...

    def open_body(self, place: Place) -> Body:
        """Start the bytes of one object."""
        ...

    def move(self, body: Body, place: Place) -> None:
        """Give a received body an address that belongs to another place."""
        ...

    def making_put(
        self, place: Place, body: Body, attributes: Attributes, precondition: Precondition | None
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that puts a received body."""
        ...

    def making_shared_copy(
        self,
        place: Place,
        source: "Bucket",
        source_key: str,
        attributes: Attributes | None,
        source_precondition: Precondition,
        precondition: Precondition | None,
    ) -> Callable[[], Prepared[Stat]] | None:
        """Return the step of a copy that moves no bytes; None when they have to be copied.

        `attributes` replace the source's when given.
        """
        ...

    def deletions(self, keys: Sequence[str]) -> Sequence[Deletion]:
        """Return the steps of a delete; keys that are not there are deleted successfully."""
        ...

    def create_upload(
        self, place: Place, attributes: Attributes, checksum_algorithm: str
    ) -> Upload:
        """Start a multipart upload; blocks until it is durable."""
        ...

    def get_upload(self, key: str, upload_id: UploadId) -> Upload:
        """Return an upload of that key; raise NotFound(UPLOAD_NOT_FOUND)."""
        ...

    def open_part(self, upload: Upload) -> Body:
        """Start the bytes of a part."""
        ...

    def making_part(
        self, upload: Upload, number: int, body: Body, checksum: str
    ) -> Callable[[], Prepared[Part]]:
        """Return the step that keeps a received part."""
        ...

    def making_complete(
        self,
        upload: Upload,
        parts: Sequence[tuple[int, str]],
        checksum: str,
        precondition: Precondition | None,
    ) -> Callable[[], Prepared[Stat]]:
        """Return the step that makes an object of parts."""
        ...

    def abort_upload(self, upload: Upload) -> None:
        """End an upload without an object; blocks until it is durable."""
        ...

    def list_uploads(
        self, *, prefix: str, key_after: str, upload_after: str, amount: int
    ) -> Page[Upload]:
        """Return one page of open uploads by key, then id."""
        ...

    def list_parts(
        self, upload: Upload, *, after: int, amount: int
    ) -> tuple[tuple[Part, ...], int | None]:
        """Return one page of an upload's parts, and the exclusive `after` of the next."""
        ...


class BucketSource(Protocol):
    """The buckets of one surface."""

    def open(self, name: str) -> Bucket:
        """Return a bucket, which may not exist; raise InvalidInput(REPOSITORY_NAME)."""
        ...

    def list(self, *, prefix: str, after: str, amount: int) -> Page[BucketInfo]:
        """Return one page of buckets in byte order of their names."""
        ...

    def create(self, name: str, user: str) -> None:
        """Make a bucket; one that exists is left as it is. Blocks until it is durable."""
        ...
