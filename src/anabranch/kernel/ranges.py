"""Values of committed metadata: the cut rule, a range's record, a metarange.

docs/formats/range.md and docs/formats/metarange.md describe their bytes.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from anabranch.kernel import limits
from anabranch.kernel.entries import IDENTITY_BYTES, Entry, decode_metadata
from anabranch.kernel.ids import Address, MetarangeId, RangeId
from anabranch.native.ranges import Entries

NODE_LEVEL = 1
"""Level of a metarange whose children are ranges; ranges themselves have level 0."""

ENTRY_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("identity", pa.binary(IDENTITY_BYTES), nullable=False),
        pa.field("address", pa.string(), nullable=False),
        pa.field("checksum", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("mtime", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("content_type", pa.string(), nullable=False),
        pa.field("metadata", pa.string(), nullable=False),
        pa.field("checksum2", pa.string(), nullable=False),
    ]
)
CHANGE_SCHEMA = ENTRY_SCHEMA.append(pa.field("is_tombstone", pa.bool_(), nullable=False))

NO_ENTRIES = Entries.from_arrow(pa.RecordBatch.from_pylist([], schema=ENTRY_SCHEMA))

KIND_UNCHANGED = 0
KIND_ADDED = 1
KIND_REMOVED = 2
KIND_CHANGED = 3
"""Values of the columns `kind` of a diff and `source_kind`, `dest_kind` of conflicts."""


@dataclass(frozen=True, slots=True)
class CutRule:
    """Where ranges end: after an entry whose hash is below a threshold that rises with weight.

    An entry weighs 1 + (bytes of path and metadata) // 1024. An entry qualifies once the weight k
    so far is at least `weight_min`, if its hash < min(2^64 - 1, slope * (k - weight_min + 1)); when
    none does up to `weight_max`, the entry with the smallest hash among them ends the range.
    """

    weight_min: int
    slope: int
    weight_max: int


def cut_rule(weight_min: int, weight_average: int, weight_max: int) -> CutRule:
    """Return the rule whose ranges weigh about `weight_average`."""
    # The sum of a linearly rising chance has its mean at 0.886 of the scale (half root of pi).
    scale = (weight_average - weight_min) / 0.886
    return CutRule(weight_min, max(1, int(2 * 2.0**64 / scale**2)), weight_max)


FORMAT_RULE = CutRule(
    limits.RANGE_WEIGHT_MIN, limits.RANGE_THRESHOLD_SLOPE, limits.RANGE_WEIGHT_MAX
)
"""The rule of every stored range."""


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """A range as its metarange lists it; `size_bytes` is the sum of its objects' sizes.

    `is_fallback` says that the range ended because no entry qualified: such an end depends on
    rows after it.
    """

    id: RangeId
    first: str
    last: str
    count: int
    size_bytes: int
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Metarange:
    """A sorted list of ranges, by column, so that thousands of ranges stay cheap to splice."""

    id: MetarangeId
    ids: tuple[RangeId, ...]
    firsts: tuple[str, ...]
    lasts: tuple[str, ...]
    counts: tuple[int, ...]
    sizes_bytes: tuple[int, ...]
    fallbacks: tuple[bool, ...]
    members: frozenset[RangeId] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "members", frozenset(self.ids))

    def __len__(self) -> int:
        """Return the number of ranges."""
        return len(self.ids)

    def record(self, index: int) -> RangeRecord:
        """Return one range's record."""
        return RangeRecord(
            self.ids[index],
            self.firsts[index],
            self.lasts[index],
            self.counts[index],
            self.sizes_bytes[index],
            self.fallbacks[index],
        )

    def index_at(self, path: str) -> int:
        """Return the first range that ends at or after `path`; the length when none does."""
        # The order of `str` is that of code points, which is the order of UTF-8 bytes.
        return bisect_left(self.lasts, path)


NO_METARANGE = MetarangeId("")
EMPTY_METARANGE = Metarange(NO_METARANGE, (), (), (), (), (), ())


@dataclass(frozen=True, slots=True)
class Counts:
    """What changes did to rows; `unchanged` ones were replaced by rows of equal content."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0

    @property
    def is_change(self) -> bool:
        """Tell whether any content differs."""
        return bool(self.added or self.changed or self.removed)

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums."""
        return Counts(
            self.added + other.added,
            self.changed + other.changed,
            self.removed + other.removed,
            self.unchanged + other.unchanged,
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """Paths from `start` up to and without `end`; None reaches to the last path."""

    start: str
    end: str | None

    def overlaps(self, first: str, last: str) -> bool:
        """Tell whether any path of [first, last] may lie inside."""
        return last >= self.start and (self.end is None or first < self.end)

    def contains(self, first: str, last: str) -> bool:
        """Tell whether all paths of [first, last] lie inside."""
        return first >= self.start and (self.end is None or last < self.end)


def join_intervals(intervals: Sequence[Interval]) -> list[Interval]:
    """Return the same paths as sorted intervals that neither overlap nor touch."""
    joined: list[Interval] = []
    for interval in sorted(intervals, key=lambda one: one.start):
        if joined and (joined[-1].end is None or interval.start <= joined[-1].end):
            last = joined.pop()
            end = None
            if last.end is not None and interval.end is not None:
                end = max(last.end, interval.end)
            joined.append(Interval(last.start, end))
        else:
            joined.append(interval)
    return joined


def entry_at(rows: Entries, row: int) -> Entry:
    """Return one row as a value."""
    address, checksum, size_bytes, mtime_us, content_type, metadata, checksum2, identity = rows.row(
        row
    )
    return Entry(
        Address(address),
        checksum,
        size_bytes,
        mtime_us,
        content_type,
        decode_metadata(metadata),
        checksum2,
        identity,
    )
