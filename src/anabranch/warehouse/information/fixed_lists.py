"""Lists that never change: engines, character sets, collations, keywords."""

from __future__ import annotations

Row = tuple[str | int | None, ...]

ENGINES: tuple[Row, ...] = (
    ("Olap engine", "YES", "Default storage engine of palo", "NO", "NO", "NO"),
    ("MySQL", "NO", "MySQL server which data is in it", "NO", "NO", "NO"),
    ("ELASTICSEARCH", "NO", "ELASTICSEARCH cluster which data is in it", "NO", "NO", "NO"),
    ("HIVE", "NO", "HIVE database which data is in it", "NO", "NO", "NO"),
)
CHARACTER_SETS: tuple[Row, ...] = (
    ("utf8mb4", "utf8mb4_bin", "UTF-8 Unicode", 4),
    ("utf8", "utf8mb4_bin", "UTF-8 Unicode", 4),
    ("binary", "binary", "Binary pseudo charset", 1),
)
COLLATIONS: tuple[Row, ...] = (
    ("utf8mb4_bin", "utf8mb4", 46, "Yes", "Yes", 1),
    ("binary", "binary", 63, "Yes", "Yes", 1),
)
_RESERVED = """
    ADD ALL ALTER ANALYZE AND ANTI AS ASC BETWEEN BIGINT BITMAP BOTH BY CASE CAST CHAR COLLATE
    COLUMN CONSTRAINT CONVERT CREATE CROSS CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP DATABASE
    DATABASES DEFAULT DELETE DESC DESCRIBE DISTINCT DISTRIBUTED DIV DOUBLE DROP ELSE EXCEPT EXISTS
    EXPLAIN FALSE FLOAT FOR FROM FULL FUNCTION GRANT GROUP GROUPING HAVING HLL IF IN INDEX INNER
    INSERT INT INTEGER INTERSECT INTERVAL INTO IS JOIN KEY KEYS KILL LARGEINT LATERAL LEFT LIKE
    LIMIT LOAD MATCH MAXVALUE MINUS MOD NATURAL NOT NULL ON OR ORDER OUTER OVER PARTITION PRECEDING
    PRIMARY RANGE READ REGEXP RENAME RIGHT RLIKE ROW ROWS SCHEMA SCHEMAS SELECT SEMI SET SHOW
    SMALLINT TABLE TABLES THEN TINYINT TO TRIM TRUE UNBOUNDED UNION UNIQUE UNSIGNED UPDATE USE
    USING VALUES VARCHAR WHEN WHERE WITH
"""
KEYWORDS: tuple[Row, ...] = tuple((word, 1) for word in _RESERVED.split())
STATUS: tuple[tuple[str, str], ...] = (
    ("Ssl_cipher", ""),
    ("Ssl_version", ""),
    ("Threads_connected", "1"),
    ("Uptime", "0"),
)
