"""System variables: which there are, what each may be, and what a session and the server set.

Those that speak of a cluster's nodes or of another engine are kept and shown, and change nothing:
clients set them at connect. A boolean is True or False, a number an int, the rest text.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from anabranch import __version__
from anabranch.kernel import limits
from anabranch.warehouse.errors import SqlError, unknown_variable, wrong_variable_value
from anabranch.warehouse.sql.transforms.rendering import zone_of

VERSION = "5.7.99"
"""What the server says it is: clients choose their statements by it."""


class Kind(Enum):
    """What a variable's value is."""

    BOOLEAN = "boolean"
    NUMBER = "number"
    TEXT = "text"
    ZONE = "time zone"
    MODES = "sql_mode"
    COMPUTED = "computed"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable; `choices` are in upper case, `least` and `most` bound a number."""

    name: str
    kind: Kind
    default: object
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 2**63 - 1

    def parse(self, text: str | None, *, is_number: bool = False) -> object:
        """Return the value that a text is for this variable; raise SqlError 1231 or 1238."""
        match self.kind:
            case Kind.FIXED | Kind.COMPUTED:
                message = f"Variable '{self.name}' is a read only variable"
                raise SqlError(1238, "HY000", message)
            case Kind.BOOLEAN:
                found = _BOOLEANS.get((text or "").upper())
                if found is None:
                    raise wrong_variable_value(self.name, _shown(text))
                return found
            case Kind.NUMBER:
                return self._parse_number(text)
            case Kind.ZONE:
                zone = text or ""
                zone_of(zone)
                return "SYSTEM" if zone.upper() == "SYSTEM" else zone
            case Kind.MODES:
                return _parse_modes(text, is_number=is_number)
        value = text or ""
        if self.choices and value.upper() not in self.choices:
            raise wrong_variable_value(self.name, _shown(text))
        return value.upper() if self.choices else value

    def _parse_number(self, text: str | None) -> object:
        try:
            value = int((text or "").strip())
        except ValueError:
            found = _BOOLEANS.get((text or "").upper())
            if found is None:
                code = f"Incorrect argument type to variable '{self.name}'"
                raise SqlError(1232, "42000", code) from None
            value = int(found)
        if not self.least <= value <= self.most:
            raise wrong_variable_value(self.name, _shown(text))
        return value


_BOOLEANS = {"1": True, "ON": True, "TRUE": True, "0": False, "OFF": False, "FALSE": False}
_MODES = """
    ALLOW_INVALID_DATES ANSI ANSI_QUOTES DB2 ERROR_FOR_DIVISION_BY_ZERO HIGH_NOT_PRECEDENCE
    IGNORE_SPACE MAXDB MSSQL MYSQL323 MYSQL40 NO_AUTO_CREATE_USER NO_AUTO_VALUE_ON_ZERO
    NO_BACKSLASH_ESCAPES NO_DIR_IN_CREATE NO_ENGINE_SUBSTITUTION NO_FIELD_OPTIONS NO_KEY_OPTIONS
    NO_TABLE_OPTIONS NO_UNSIGNED_SUBTRACTION NO_ZERO_DATE NO_ZERO_IN_DATE ONLY_FULL_GROUP_BY ORACLE
    PAD_CHAR_TO_FULL_LENGTH PIPES_AS_CONCAT POSTGRESQL REAL_AS_FLOAT STRICT_ALL_TABLES
    STRICT_TRANS_TABLES TIME_TRUNCATE_FRACTIONAL TRADITIONAL DEFAULT
"""
MODES = frozenset(_MODES.split())
_ISOLATIONS = ("READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ", "SERIALIZABLE")


def _shown(text: str | None) -> str:
    return "NULL" if text is None else text[:200]


def _parse_modes(text: str | None, *, is_number: bool) -> str:
    if text is None:
        raise wrong_variable_value("sql_mode", "NULL")
    if is_number:
        return ""  # MySQL's bits; what they would switch does not exist here
    modes = [mode.strip().upper() for mode in text.split(",") if mode.strip()]
    for mode in modes:
        if mode not in MODES:
            raise wrong_variable_value("sql_mode", mode)
    return ",".join(dict.fromkeys(modes))


def _variables() -> Iterator[Variable]:
    timeout_s_max = limits.QUERY_TIMEOUT_S_MAX
    for name, default in _FIXED.items():
        yield Variable(name, Kind.FIXED, default)
    for name in _COMPUTED:
        yield Variable(name, Kind.COMPUTED, None)
    for name in _ON.split():
        yield Variable(name, Kind.BOOLEAN, default=True)
    for name in _OFF.split():
        yield Variable(name, Kind.BOOLEAN, default=False)
    for name, number in _NUMBERS.items():
        yield Variable(name, Kind.NUMBER, number, least=-1)
    for name, text in _TEXTS.items():
        yield Variable(name, Kind.TEXT, text)
    for name in ("query_timeout", "insert_timeout"):
        default_s = limits.QUERY_TIMEOUT_S if name == "query_timeout" else limits.INSERT_TIMEOUT_S
        yield Variable(name, Kind.NUMBER, default_s, least=1, most=timeout_s_max)
    yield Variable("max_execution_time", Kind.NUMBER, 0, most=timeout_s_max * 1_000)
    yield Variable("sql_select_limit", Kind.NUMBER, 2**63 - 1, least=-1, most=2**64 - 1)
    yield Variable("time_zone", Kind.ZONE, "UTC")
    yield Variable("sql_mode", Kind.MODES, "ONLY_FULL_GROUP_BY")
    for name in ("transaction_isolation", "tx_isolation"):
        yield Variable(name, Kind.TEXT, "REPEATABLE-READ", choices=_ISOLATIONS)


_FIXED: dict[str, object] = {
    "version": VERSION,
    "version_comment": f"Doris version doris-2.1.0 (Anabranch {__version__})",
    "version_compile_os": "Linux",
    "version_compile_machine": "x86_64",
    "protocol_version": 10,
    "license": "Apache License, Version 2.0",
    "system_time_zone": "UTC",
    "lower_case_table_names": 0,
    "lower_case_file_system": False,
    "performance_schema": False,
    "have_query_cache": "NO",
    "have_ssl": "YES",
    "have_openssl": "YES",
    "hostname": "localhost",
    "port": 9030,
    "read_only": False,
    "super_read_only": False,
    "innodb_read_only": False,
    "event_scheduler": "OFF",
    "default_storage_engine": "olap",
    "storage_engine": "olap",
    "gtid_mode": "OFF",
    "server_id": 1,
    "server_uuid": "",
    "log_bin": False,
    "secure_file_priv": "",
    "datadir": "",
    "basedir": "",
    "tls_version": "TLSv1.2,TLSv1.3",
    "language": "/palo/share/english/",
    "max_prepared_stmt_count": limits.MYSQL_STATEMENTS_MAX,
    "local_infile": True,
    "collation_database": "utf8mb4_bin",
    "character_set_database": "utf8mb4",
    "character_set_system": "utf8mb4",
    "character_set_filesystem": "binary",
    "character_set_server": "utf8mb4",
    "collation_server": "utf8mb4_bin",
}
_COMPUTED = (
    "ref", "catalog", "timestamp", "warning_count", "error_count", "pseudo_thread_id",
    "proxy_user", "external_user",
)  # fmt: skip
_ON = """
    autocommit enable_insert_strict allow_partition_column_nullable
    enable_vectorized_engine enable_nereids_planner enable_pipeline_engine
    enable_pipeline_x_engine enable_fallback_to_original_planner enable_local_shuffle
    enable_runtime_filter_prune enable_join_reorder_based_cost enable_cost_based_join_reorder
    enable_bucket_shuffle_join enable_projection
    enable_nereids_dml enable_strict_consistency_dml enable_memtable_on_sink_node
    enable_common_expr_pushdown enable_function_pushdown enable_parallel_scan
    enable_stats enable_auto_analyze sql_notes foreign_key_checks unique_checks big_tables
    enable_fold_constant_by_be enable_two_phase_read_opt
    enable_page_cache enable_file_cache enable_share_hash_table_for_broadcast_join
    enable_unicode_name_support enable_bitmap_optimization
    enable_single_distinct_column_opt
    enable_sync_runtime_filter_size
"""
_OFF = """
    return_object_data_as_binary lake_commit_each_load enable_profile is_report_success
    enable_unique_key_partial_update
    enable_spilling enable_sql_cache enable_query_cache enable_partition_cache
    enable_single_replica_insert disable_colocate_plan disable_streaming_preaggregations
    enable_decimal256 enable_delete_sub_predicate_v2 delete_without_partition
    enable_exchange_node_parallel_merge skip_storage_engine_merge skip_delete_predicate
    skip_delete_sign skip_delete_bitmap show_hidden_columns dry_run_query
    experimental_enable_pipeline_engine
    experimental_enable_nereids_planner debug_skip_fold_constant enable_odbc_transcation
    enable_server_side_prepared_statement enable_short_circuit_query
    enable_infer_predicate enable_materialized_view_rewrite
    sql_safe_updates sql_auto_is_null transaction_read_only
    tx_read_only low_priority_updates profiling sql_log_bin sql_warnings
    query_cache_wlock_invalidate
    explicit_defaults_for_timestamp show_user_default_role show_all_fe_connection
    trace_nereids internal_session enable_dphyp_optimizer enable_mow_light_delete
    enable_variant_access_in_original_planner
"""
_NUMBERS = {
    "auto_increment_increment": 1,
    "auto_increment_offset": 1,
    "max_allowed_packet": limits.MYSQL_PACKET_BYTES_MAX,
    "net_buffer_length": 16_384,
    "net_write_timeout": 600,
    "net_read_timeout": 600,
    "interactive_timeout": 28_800,
    "wait_timeout": 28_800,
    "connect_timeout": 10,
    "lock_wait_timeout": 86_400,
    "innodb_lock_wait_timeout": 50,
    "query_cache_size": 0,
    "group_concat_max_len": 2_147_483_646,
    "max_connections": limits.MYSQL_CONNECTIONS_MAX,
    "sql_quote_show_create": 1,
    "default_order_by_limit": -1,
    "exec_mem_limit": 2_147_483_648,
    "load_mem_limit": 0,
    "scan_queue_mem_limit": 107_374_182,
    "batch_size": 4_064,
    "parallel_fragment_exec_instance_num": 8,
    "parallel_pipeline_task_num": 0,
    "parallel_exchange_instance_num": 100,
    "max_instance_num": 64,
    "max_scan_key_num": 48,
    "max_pushdown_conditions_per_column": 1_024,
    "runtime_filter_wait_time_ms": 1_000,
    "runtime_filter_max_in_num": 1_024,
    "runtime_filter_type": 12,
    "num_scanner_threads": 0,
    "broadcast_row_count_limit": 30_000_000,
    "broadcast_hashtable_mem_limit_percentage": 20,
    "cbo_max_reorder_table_limit": 4,
    "nereids_timeout_second": 30,
    "profile_level": 1,
    "auto_profile_threshold_ms": -1,
    "send_batch_parallelism": 1,
    "load_parallelism": 1,
    "load_stream_per_node": 2,
    "sql_slow_threshold": 1_000,
    "cpu_resource_limit": -1,
    "max_table_count_use_cascades_join_reorder": 10,
    "tmp_table_size": 16_777_216,
    "max_heap_table_size": 16_777_216,
    "default_week_format": 0,
    "div_precision_increment": 4,
    "wait_full_block_schedule_times": 2,
    "partition_prune_algorithm_version": 2,
    "adaptive_pipeline_task_serial_read_on_limit": 10_000,
}
_TEXTS: dict[str, object] = {
    "character_set_client": "utf8mb4",
    "character_set_connection": "utf8mb4",
    "character_set_results": "utf8mb4",
    "collation_connection": "utf8mb4_bin",
    "init_connect": "",
    "query_cache_type": "OFF",
    "default_rowset_type": "beta",
    "codegen_level": "0",
    "group_commit": "off_mode",
    "sql_dialect": "doris",
    "runtime_filter_mode": "GLOBAL",
    "resource_group": "",
    "workload_group": "",
    "partitioned_hash_join_rows_threshold": "0",
    "preferred_storage_medium": "",
    "lc_messages": "en_US",
    "lc_time_names": "en_US",
    "session_context": "",
    "trace_id": "",
    "detail_shape_nodes": "",
    "block_encryption_mode": "",
    "default_collation_for_utf8mb4": "utf8mb4_bin",
    "profiling_history_size": "15",
    "session_track_schema": "1",
    "engine": "duckdb",
}
VARIABLES: dict[str, Variable] = {
    variable.name: variable for variable in sorted(_variables(), key=lambda variable: variable.name)
}


class GlobalVariables:
    """What SET GLOBAL set, for sessions that begin later; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, object] = {}

    def get(self, variable: Variable) -> object:
        """Return a variable's global value."""
        return self._values.get(variable.name, variable.default)

    def put(self, variable: Variable, value: object) -> None:
        """Set a variable for sessions to come."""
        with self._lock:
            self._values = {**self._values, variable.name: value}

    def snapshot(self) -> Mapping[str, object]:
        """Return what was set, by name; it does not change any more."""
        return self._values


class SessionVariables(Mapping[str, object]):
    """A session's variables by their names in lower case; the server's stay as they began."""

    def __init__(self, globals_: GlobalVariables, compute: Callable[[str], object]) -> None:
        self._globals = globals_
        self._at_start = globals_.snapshot()
        self._values: dict[str, object] = {}
        self._compute = compute

    def __getitem__(self, name: str) -> object:
        variable = VARIABLES[name]
        if variable.kind is Kind.COMPUTED:
            return self._compute(name)
        if name in self._values:
            return self._values[name]
        return self._at_start.get(name, variable.default)

    def __iter__(self) -> Iterator[str]:
        return iter(VARIABLES)

    def __len__(self) -> int:
        return len(VARIABLES)

    def __contains__(self, name: object) -> bool:
        return name in VARIABLES

    @property
    def globals(self) -> Mapping[str, object]:
        """Return what `@@global.name` is, by name."""
        return _GlobalView(self)

    def global_value(self, name: str) -> object:
        """Return what new sessions begin with."""
        variable = find_variable(name)
        if variable.kind is Kind.COMPUTED:
            return self._compute(name)
        return self._globals.get(variable)

    def put(
        self, name: str, text: str | None, *, is_global: bool = False, is_number: bool = False
    ) -> None:
        """Set a variable to what a text is for it; a global one is also the session's, as in Doris.

        Raises SqlError 1193, 1231, 1232, 1238 or 1298.
        """
        variable = find_variable(name)
        self._set(variable, variable.parse(text, is_number=is_number), is_global=is_global)

    def reset(self, name: str, *, is_global: bool = False) -> None:
        """Set a variable to its default: the server's, or with `is_global` the built-in one."""
        variable = find_variable(name)
        if variable.kind in (Kind.FIXED, Kind.COMPUTED):
            variable.parse(None)
        value = variable.default if is_global else self._globals.get(variable)
        self._set(variable, value, is_global=is_global)

    def _set(self, variable: Variable, value: object, *, is_global: bool) -> None:
        names = _TWINS.get(variable.name, (variable.name,))
        for name in names:
            if is_global:
                self._globals.put(VARIABLES[name], value)
            self._values[name] = value


class _GlobalView(Mapping[str, object]):
    """The variables as new sessions find them."""

    def __init__(self, variables: SessionVariables) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> object:
        if name not in VARIABLES:
            raise KeyError(name)
        return self._variables.global_value(name)

    def __iter__(self) -> Iterator[str]:
        return iter(VARIABLES)

    def __len__(self) -> int:
        return len(VARIABLES)


_TWINS = {
    name: pair
    for pair in (
        ("tx_isolation", "transaction_isolation"),
        ("tx_read_only", "transaction_read_only"),
        ("enable_profile", "is_report_success"),
    )
    for name in pair
}


def find_variable(name: str) -> Variable:
    """Return a variable by its name in any case; raise SqlError 1193."""
    lower = name.lower()
    variable = VARIABLES.get(lower) or VARIABLES.get(lower.removeprefix("experimental_"))
    if variable is None:
        raise unknown_variable(name)
    return variable


def shown_value(value: object) -> str:
    """Return a value as SHOW VARIABLES prints it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6f}" if isinstance(value, float) else str(value)
