"""What a format's reader hands to the mapping: a relation of fields, and how rows are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from anabranch.warehouse.loading.judging import Judgement
from anabranch.warehouse.types import ColumnType, SqlType

ROWS_PLACE = "\x02rows\x03"
"""Stands in a relation where the registered batches go."""
TEXT = ColumnType(SqlType.STRING)


@dataclass(frozen=True, slots=True)
class SourceField:
    """A field of the source: its name, its SQL over the relation, and its type."""

    name: str
    sql: str
    type: ColumnType = TEXT


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows of a source. `relation` has ROWS_PLACE where the registered batches stand.

    `order` ascends with the rows; `line` is the text of a row that is refused, `carried` are names
    with their SQL that `line` and `checks` need.
    """

    batches: pa.RecordBatchReader
    relation: str
    fields: Sequence[SourceField]
    order: str | None = None
    line: str | None = None
    carried: Mapping[str, str] = field(default_factory=dict)
    checks: Sequence[Judgement] = ()
