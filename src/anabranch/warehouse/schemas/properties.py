"""Properties of tables: which are known, and what each may be."""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.warehouse.errors import doris, not_supported, unknown_properties
from anabranch.warehouse.schema import SEQUENCE_COLUMN_PROPERTY, SEQUENCE_TYPE_PROPERTY

COMMIT_PROPERTY = "lake_commit_each_load"
"""Whether each load of the table is a commit of its branch."""

# Obsolete: taken and forgotten, as Doris does.
_FORGOTTEN = frozenset({"storage_type", "version_info"})

# Kept and shown. What they ask of a cluster of nodes has no meaning in one store.
_BOOLEANS = """
    in_memory light_schema_change enable_unique_key_merge_on_write enable_mow_light_delete
    store_row_column disable_auto_compaction enable_single_replica_compaction
    skip_write_index_on_load enable_unique_key_skip_bitmap_column is_being_synced
"""
_NUMBERS = """
    replication_num min_load_replica_num group_commit_interval_ms group_commit_data_bytes
    bloom_filter_fpp default.replication_num
"""
_TEXTS = """
    replication_allocation default.replication_allocation storage_medium storage_cooldown_time
    storage_policy storage_format bloom_filter_columns colocate_with compression compaction_policy
    row_store_columns inverted_index_storage_format estimate_partition_size
"""
BOOLEANS = frozenset({*_BOOLEANS.split(), COMMIT_PROPERTY})
NUMBERS = frozenset(_NUMBERS.split())
KNOWN = frozenset(
    {*BOOLEANS, *NUMBERS, *_TEXTS.split(), SEQUENCE_COLUMN_PROPERTY, SEQUENCE_TYPE_PROPERTY}
)


def check_properties(given: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return the properties to keep, sorted; refuse unknown ones by name."""
    kept: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for name, value in given:
        lower = name.lower()
        if lower in _FORGOTTEN:
            continue
        if lower.startswith("dynamic_partition."):
            if lower == "dynamic_partition.enable" and value.lower() == "false":
                continue
            raise not_supported(name)
        if lower not in KNOWN:
            unknown[name] = value
        elif lower in BOOLEANS and value.lower() not in ("true", "false"):
            raise doris(f"{lower} must be `true` or `false`")
        elif lower in NUMBERS and not value.replace(".", "", 1).isdecimal():
            raise doris(f"Invalid value of {lower}: {value[:100]}")
        else:
            kept[lower] = value
    if unknown:
        raise unknown_properties(unknown)
    if kept.get("replication_num") == "0":
        raise doris("Replication num should larger than 0. (suggested 3)")
    return tuple(sorted(kept.items()))
