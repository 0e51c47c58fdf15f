"""The seed's tables: columns, key cases and the statements that make them, written anew.

A case is a key column; its table has the key first, the other columns as values, and one sketch
per column. Facts: what a Doris test of HLL columns loads and asks.
"""

from dataclasses import dataclass

FILE_COLUMNS = ("k1", "k2", "k3", "k4", "k5", "k6", "k10", "k11", "k7", "k8", "k9")
"""Columns of the data files, tab-separated."""
COLUMNS = ("k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k10", "k11")
"""The same by number, as the queries ask for them."""
CASES = ("k1", "k2", "k3", "k4", "k5", "k6", "k7", "k10", "k11")
HALVES = (COLUMNS[:5], COLUMNS[5:])
"""Each question is asked in two statements."""

DISTINCT = {
    "k1": 255, "k2": 39388, "k3": 60008, "k4": 60010, "k5": 9484, "k6": 19815,
    "k7": 19767, "k8": 60012, "k9": 59956, "k10": 30579, "k11": 9,
}  # fmt: skip
"""Distinct values of both files together; -0.0 and 0.0 are one."""

_TYPES = {
    "k1": "tinyint(4)", "k2": "smallint(6)", "k3": "int(11)", "k4": "bigint(20)",
    "k5": "decimal(9,3)", "k6": "char(11)", "k7": "varchar(51)", "k8": "double", "k9": "float",
    "k10": "date", "k11": "datetime",
}  # fmt: skip
_OWN_AGGREGATES = {"k8": "max", "k9": "sum"}
_BOUNDS = {
    "k1": ('"-100"', '"0"', '"100"', "MAXVALUE"),
    "k2": ('"-15600"', '"0"', '"15600"', "MAXVALUE"),
    "k3": ('"0"', "MAXVALUE"),
    "k4": ('"0"', "MAXVALUE"),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One key column's database and table."""

    key: str

    @property
    def database(self) -> str:
        """Return the database's name."""
        return f"test_sys_hll_load_test_load_{self.key}_db"

    @property
    def table(self) -> str:
        """Return the table's name."""
        return f"test_sys_hll_load_test_load_{self.key}_tb_pull"

    def create_table(self) -> str:
        """Return the CREATE TABLE: no key clause, display widths, a bare MAXVALUE."""
        everywhere = " NOT NULL" if self.key == "k3" else ""
        lines = [f'{self.key} {_TYPES[self.key]}{everywhere} COMMENT ""']
        for name in FILE_COLUMNS:
            if name != self.key:
                aggregate = _OWN_AGGREGATES.get(name, "replace")
                null = everywhere or ("" if name in _OWN_AGGREGATES else " NULL")
                lines.append(f'{name} {_TYPES[name]} {aggregate}{null} COMMENT ""')
        lines += [f'{name}_hll hll hll_union{everywhere} COMMENT ""' for name in FILE_COLUMNS]
        partitions = ", ".join(
            f"PARTITION p{number} VALUES LESS THAN {bound if bound == 'MAXVALUE' else f'({bound})'}"
            for number, bound in enumerate(_BOUNDS.get(self.key, ()), 1)
        )
        by = f" PARTITION BY RANGE({self.key}) ({partitions})" if partitions else ""
        return (
            f"CREATE TABLE {self.table} ({', '.join(lines)}) ENGINE=OLAP{by} "
            f'DISTRIBUTED BY HASH({self.key}) BUCKETS 5 PROPERTIES ("storage_type" = "COLUMN");'
        )

    def load(self, label: str, url: str) -> str:
        """Return the broker load of one file."""
        columns = ", ".join(f"`{name}`" for name in FILE_COLUMNS)
        hashes = ", ".join(f"{name}_hll = hll_hash({name})" for name in COLUMNS)
        return (
            f'LOAD LABEL {self.database}.{label} (  DATA INFILE("{url}") '
            f"INTO TABLE `{self.table}` ({columns}) SET({hashes})) "
            'WITH BROKER "hdfs" ( "username" = "root",  "password" = "")'
        )


def create_comparison() -> str:
    """Return the CREATE TABLE of the table that holds the rows themselves."""
    types = _TYPES | {"k6": "char(5)", "k7": "varchar(20)"}
    lines = [f"{name} {types[name]}" for name in FILE_COLUMNS if name not in _OWN_AGGREGATES]
    lines += [f"{name} {types[name]} {kind}" for name, kind in _OWN_AGGREGATES.items()]
    return (
        f"create table test ({', '.join(lines)}) engine=olap distributed by hash(k1) buckets 5 "
        'properties("storage_type"="column")'
    )


def ask(function: str, columns: tuple[str, ...], table: str, key: str = "", *, group: bool) -> str:
    """Return a SELECT of one function of several columns, per key where one is given."""
    chosen = ", ".join(function.format(name) for name in columns)
    text = f"SELECT {chosen} FROM {table}"
    if key:
        text += f" GROUP BY {key} ORDER BY {key}" if group else f" ORDER BY {key}"
    return text
