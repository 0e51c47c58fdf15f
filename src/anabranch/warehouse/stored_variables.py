"""What SET GLOBAL set, kept in the store: a server that starts again still has it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from anabranch.lake.records import decode_record, encode_record
from anabranch.storage.kv.base import Prepared, is_as_seen, put
from anabranch.warehouse import keyspace
from anabranch.warehouse.errors import SqlError
from anabranch.warehouse.variables import VARIABLES, GlobalVariables, Variable, shown_value

if TYPE_CHECKING:
    from anabranch.lake import Lake
    from anabranch.storage.kv.base import Versioned


class StoredVariables(GlobalVariables):
    """Global variables that outlive the process; those of another process come with a restart."""

    def __init__(self, lake: Lake) -> None:
        super().__init__()
        self._lake = lake
        self._saving = threading.Lock()
        (stored,) = lake.kv.read([keyspace.GLOBAL_VARIABLES]).values
        for name, text in _decode(stored).items():
            variable = VARIABLES.get(name)
            try:
                if variable is not None:
                    super().put(variable, variable.parse(text))
            except SqlError:
                continue  # what an older version took and this one does not has its default again

    def put(self, variable: Variable, value: object) -> None:
        """Set a variable for sessions to come, durably."""
        key = keyspace.GLOBAL_VARIABLES
        text = None if value is None else shown_value(value)

        def make() -> Prepared[None]:
            seen = self._lake.kv.read([key]).values[0]
            texts = {**_decode(seen), variable.name: text}
            write = put(key, encode_record(texts))
            return Prepared([is_as_seen(key, seen)], [write], lambda _verdict: None)

        with self._saving:
            self._lake.writer.submit(make)
            super().put(variable, value)


def _decode(row: Versioned | None) -> dict[str, str | None]:
    return {} if row is None else decode_record(row.value, dict[str, str | None])
