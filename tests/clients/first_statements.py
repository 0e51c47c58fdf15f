"""What clients ask when they connect, in their order, as their sources and logs have it.

A statement that a client sends knowing that it may fail is not among them.
"""

CONNECTOR_J_8 = """
SELECT  @@session.auto_increment_increment AS auto_increment_increment, @@character_set_client AS character_set_client, @@character_set_connection AS character_set_connection, @@character_set_results AS character_set_results, @@character_set_server AS character_set_server, @@collation_server AS collation_server, @@collation_connection AS collation_connection, @@init_connect AS init_connect, @@interactive_timeout AS interactive_timeout, @@license AS license, @@lower_case_table_names AS lower_case_table_names, @@max_allowed_packet AS max_allowed_packet, @@net_write_timeout AS net_write_timeout, @@performance_schema AS performance_schema, @@query_cache_size AS query_cache_size, @@query_cache_type AS query_cache_type, @@sql_mode AS sql_mode, @@system_time_zone AS system_time_zone, @@time_zone AS time_zone, @@transaction_isolation AS transaction_isolation, @@wait_timeout AS wait_timeout
/* mysql-connector-j-8.0.33 (Revision: 7d6b0800528b6b25c68b52dc10d6c1c8429c100c) */SELECT @@session.tx_isolation
SET NAMES utf8mb4
SET NAMES utf8
SET character_set_results = NULL
SET autocommit=1
SET sql_mode='STRICT_TRANS_TABLES'
SHOW WARNINGS
SELECT @@session.transaction_read_only
SELECT @@session.tx_read_only
SET SESSION TRANSACTION READ WRITE
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SHOW VARIABLES WHERE Variable_name ='language' OR Variable_name = 'net_write_timeout' OR Variable_name = 'interactive_timeout' OR Variable_name = 'wait_timeout'
select database()
SHOW FULL TABLES FROM `shop` LIKE '%'
SHOW FULL COLUMNS FROM `sales` FROM `shop` LIKE '%'
SHOW KEYS FROM `sales` FROM `shop`
SHOW COLLATION
SELECT 1
"""  # noqa: E501 - one statement a line

DBEAVER = """
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ
SELECT DATABASE()
SHOW ENGINES
SHOW CHARSET
SHOW COLLATION
SHOW PLUGINS
SHOW STATUS
SHOW GLOBAL STATUS
SHOW VARIABLES
SHOW GLOBAL VARIABLES
SHOW VARIABLES LIKE 'lower_case_%'
SHOW VARIABLES LIKE 'event_scheduler'
SELECT @@GLOBAL.character_set_server,@@GLOBAL.collation_server
SELECT * FROM information_schema.TABLES t WHERE t.TABLE_SCHEMA = 'information_schema' AND t.TABLE_NAME = 'CHECK_CONSTRAINTS'
SELECT * FROM INFORMATION_SCHEMA.SCHEMATA ORDER BY SCHEMA_NAME
show databases
SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM INFORMATION_SCHEMA.SCHEMATA WHERE SCHEMA_NAME='shop'
SHOW FULL TABLES FROM `shop`
SHOW TABLE STATUS FROM `shop`
SHOW TABLE STATUS FROM `shop` LIKE 'sales'
SELECT * FROM information_schema.TABLES WHERE TABLE_SCHEMA='shop'
SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH FROM information_schema.TABLES WHERE TABLE_SCHEMA='shop' AND TABLE_TYPE IN ('BASE TABLE', 'VIEW') ORDER BY TABLE_NAME
SELECT * FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='shop' AND TABLE_NAME='sales' ORDER BY ORDINAL_POSITION
SELECT * FROM information_schema.VIEWS WHERE TABLE_SCHEMA='shop'
SELECT * FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA='shop' AND TABLE_NAME='sales' ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
SELECT kc.CONSTRAINT_NAME,kc.TABLE_NAME,kc.COLUMN_NAME,kc.ORDINAL_POSITION FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE kc WHERE kc.TABLE_SCHEMA='shop' AND kc.REFERENCED_TABLE_NAME IS NULL AND kc.TABLE_NAME='sales' ORDER BY kc.CONSTRAINT_NAME,kc.ORDINAL_POSITION
SELECT cc.CONSTRAINT_NAME, cc.CHECK_CLAUSE, tc.TABLE_NAME FROM (SELECT CONSTRAINT_NAME, CHECK_CLAUSE FROM INFORMATION_SCHEMA.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = 'shop' ORDER BY CONSTRAINT_NAME) cc, (SELECT TABLE_NAME, CONSTRAINT_NAME FROM INFORMATION_SCHEMA.TABLE_CONSTRAINTS tc WHERE CONSTRAINT_TYPE = 'CHECK' AND TABLE_SCHEMA = 'shop') tc WHERE cc.CONSTRAINT_NAME = tc.CONSTRAINT_NAME ORDER BY cc.CONSTRAINT_NAME
SELECT DISTINCT A.REFERENCED_TABLE_SCHEMA AS PKTABLE_CAT, A.REFERENCED_TABLE_NAME AS PKTABLE_NAME, A.TABLE_SCHEMA AS FKTABLE_CAT, A.COLUMN_NAME AS FKCOLUMN_NAME, A.ORDINAL_POSITION AS KEY_SEQ, R.UPDATE_RULE, R.DELETE_RULE FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE A JOIN INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS R ON R.CONSTRAINT_NAME = A.CONSTRAINT_NAME AND R.TABLE_NAME = A.TABLE_NAME WHERE A.TABLE_SCHEMA = 'shop' AND A.TABLE_NAME = 'sales'
SELECT * FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA='shop' ORDER BY ROUTINE_NAME
SELECT * FROM INFORMATION_SCHEMA.PARAMETERS WHERE SPECIFIC_SCHEMA='shop' ORDER BY ORDINAL_POSITION
SELECT * FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA='shop'
SELECT * FROM information_schema.EVENTS WHERE EVENT_SCHEMA='shop'
SELECT * FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA='shop' AND TABLE_NAME='sales' AND PARTITION_METHOD IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION,SUBPARTITION_ORDINAL_POSITION
SELECT WORD FROM INFORMATION_SCHEMA.KEYWORDS WHERE RESERVED=1 ORDER BY WORD
SHOW CREATE TABLE `shop`.`sales`
SHOW GRANTS
SHOW PROCESSLIST
SELECT * FROM shop.sales LIMIT 0, 200
SELECT `day`, count(*) FROM shop.sales x GROUP BY 1 ORDER BY 2 DESC LIMIT 10 OFFSET 0
EXPLAIN SELECT * FROM shop.sales
"""  # noqa: E501 - one statement a line

METABASE = """
SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED
SELECT 1
SELECT VERSION() AS `version`
SHOW DATABASES
SHOW FULL TABLES FROM `shop` LIKE '%'
SHOW FULL COLUMNS FROM `sales` FROM `shop` LIKE '%'
SELECT `c`.`column_name` AS `name`, `c`.`ordinal_position` - 1 AS `database-position`, NULL AS `table-schema`, `c`.`table_name` AS `table-name`, UPPER(`c`.`data_type`) AS `database-type`, `c`.`extra` = 'auto_increment' AS `database-is-auto-increment`, `c`.`column_key` = 'PRI' AS `pk?`, CASE WHEN `c`.`column_comment` = '' THEN NULL ELSE `c`.`column_comment` END AS `field-comment` FROM `information_schema`.`columns` AS `c` WHERE `c`.`table_schema` NOT IN ('information_schema', 'performance_schema', 'sys', 'mysql') AND `c`.`table_schema` = 'shop' ORDER BY `table-name` ASC, `database-position` ASC
SELECT NULL AS `fk-table-schema`, `a`.`table_name` AS `fk-table-name`, `a`.`column_name` AS `fk-column-name` FROM `information_schema`.`key_column_usage` AS `a` INNER JOIN `information_schema`.`table_constraints` AS `b` ON `a`.`constraint_schema` = `b`.`constraint_schema` AND `a`.`table_name` = `b`.`table_name` AND `a`.`constraint_name` = `b`.`constraint_name` WHERE `b`.`constraint_type` = 'FOREIGN KEY' AND `a`.`table_schema` = 'shop'
/* Metabase */ SELECT COUNT(*) AS `count` FROM `shop`.`sales`
SELECT DATE(`shop`.`sales`.`day`) AS `day`, SUM(`shop`.`sales`.`amount`) AS `sum` FROM `shop`.`sales` GROUP BY DATE(`shop`.`sales`.`day`) ORDER BY DATE(`shop`.`sales`.`day`) ASC
SELECT SUBSTRING(`shop`.`sales`.`name`, 1, 1234) AS `substring1` FROM `shop`.`sales` LIMIT 10000
"""  # noqa: E501 - one statement a line

TABLEAU = """
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED
SET NAMES utf8mb4
SET SQL_AUTO_IS_NULL = 0
SELECT CONNECTION_ID()
SELECT @@tx_isolation
SELECT @@version, @@version_comment
SHOW VARIABLES LIKE 'sql_mode'
SHOW TABLES FROM `shop`
SHOW KEYS FROM `shop`.`sales`
SHOW COLUMNS FROM `shop`.`sales`
SELECT TABLE_NAME,TABLE_COMMENT,TABLE_TYPE,TABLE_SCHEMA FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA LIKE 'shop' AND TABLE_TYPE IN ('BASE TABLE','VIEW')
SELECT `sales`.`name` AS `name`, COUNT(DISTINCT `sales`.`k`) AS `ctd_k_ok`, SUM(`sales`.`amount`) AS `sum_amount_ok` FROM `shop`.`sales` GROUP BY 1
SELECT SUM(1) AS `sum_number_of_records_ok` FROM `shop`.`sales` HAVING COUNT(1) > 0
SELECT * FROM `shop`.`sales` WHERE 1 = 0
SELECT ADDDATE(DATE(`sales`.`day`), INTERVAL 0 SECOND) AS `tdy` FROM `shop`.`sales` LIMIT 1
"""  # noqa: E501 - one statement a line

GRAFANA = """
SELECT 1
SET time_zone = '+00:00'
SELECT DATABASE()
SELECT DISTINCT TABLE_SCHEMA from information_schema.TABLES where TABLE_TYPE != 'SYSTEM VIEW' ORDER BY TABLE_SCHEMA
SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' ORDER BY table_name
SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'shop' AND table_name = 'sales' ORDER BY column_name
SELECT quote(table_name) FROM information_schema.tables WHERE table_schema = 'shop'
SELECT UNIX_TIMESTAMP(`day`) DIV 300 * 300 AS `time`, avg(amount) AS amount FROM shop.sales WHERE `day` BETWEEN FROM_UNIXTIME(1704067200) AND FROM_UNIXTIME(1735689600) GROUP BY 1 ORDER BY 1
"""  # noqa: E501 - one statement a line

SUPERSET = """
SELECT DATABASE()
select @@version_comment limit 1
SELECT @@transaction_isolation
SHOW VARIABLES LIKE 'sql_mode'
SHOW VARIABLES LIKE 'lower_case_table_names'
SELECT @@sql_mode
SELECT @@lower_case_table_names
SELECT VERSION()
SELECT 'test plain returns' AS anon_1
SELECT 'test unicode returns' AS anon_1
SELECT CAST('test collated returns' AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin AS anon_1
SHOW CATALOGS
SHOW SCHEMAS
SHOW DATABASES
SHOW FULL TABLES FROM `shop`
SHOW TABLES FROM shop
SHOW FULL COLUMNS FROM `sales` FROM `shop`
SHOW CREATE TABLE `shop`.`sales`
SHOW VIEWS FROM shop
SELECT table_name FROM information_schema.views WHERE table_schema = 'shop'
DESCRIBE `shop`.`sales`
SELECT k AS k, day AS day, SUM(amount) AS `SUM(amount)` FROM shop.sales GROUP BY k, day ORDER BY `SUM(amount)` DESC LIMIT 1000
SELECT DATE_FORMAT(day, '%Y-%m-01') AS __timestamp, COUNT(DISTINCT name) AS n FROM shop.sales WHERE day >= STR_TO_DATE('2024-01-01 00:00:00.000000', '%Y-%m-%d %H:%i:%s.%f') GROUP BY DATE_FORMAT(day, '%Y-%m-01') ORDER BY n DESC LIMIT 50000
ROLLBACK
"""  # noqa: E501 - one statement a line

COMMAND_LINE = """
select @@version_comment limit 1
select DATABASE(), USER() limit 1
select @@character_set_client, @@character_set_connection, @@character_set_server, @@character_set_database limit 1
show databases
show tables
SELECT SCHEMA()
select USER()
SHOW SESSION STATUS LIKE 'Uptime'
show variables like 'version%'
SHOW COUNT(*) WARNINGS
"""  # noqa: E501 - one statement a line

CLIENTS = {
    "Connector/J 8": CONNECTOR_J_8,
    "DBeaver": DBEAVER,
    "Metabase": METABASE,
    "Tableau": TABLEAU,
    "Grafana": GRAFANA,
    "Superset": SUPERSET,
    "command line": COMMAND_LINE,
}
