"""A session of the present PyMySQL: prints one JSON line per answer, which the test compares."""

import json
import sys

import pymysql


def main(host: str, port: str) -> None:
    """Create, fill, ask, fail and go on."""
    connection = pymysql.connect(host=host, port=int(port), user="root", local_infile=True)
    with connection.cursor() as cursor:

        def ask(text: str, *parameters: object) -> None:
            try:
                cursor.execute(text, parameters or None)
            except pymysql.err.MySQLError as error:
                say("error", error.args[0])
                return
            say(text.split()[0], [list(row) for row in cursor.fetchall()], cursor.rowcount)

        ask("CREATE DATABASE pymysql_now")
        connection.select_db("pymysql_now")
        ask(
            "CREATE TABLE t (k INT, v VARCHAR(10) REPLACE, n BIGINT SUM) AGGREGATE KEY(k) "
            "DISTRIBUTED BY HASH(k) BUCKETS 1 PROPERTIES ('replication_num' = '1')"
        )
        cursor.executemany("INSERT INTO t VALUES (%s, %s, %s)", [(1, "é", 1), (2, None, 2)])
        say("executemany", cursor.rowcount)
        ask("INSERT INTO t VALUES (%s, %s, %s)", 1, "later", 41)
        ask("SELECT * FROM t ORDER BY k")
        ask("SELECT * FROM absent")
        ask("INSERT INTO t VALUES (1)")
        ask("SELECT count(*), sum(n) FROM t WHERE v = %s OR v IS NULL", "later")
    with connection.cursor(pymysql.cursors.SSCursor) as cursor:
        cursor.execute("SELECT k FROM t ORDER BY k DESC")
        say("streamed", [row[0] for row in cursor])
    with connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute("SHOW DATABASES LIKE 'pymysql%'")
        say("named", [sorted(row.values()) for row in cursor.fetchall()])
        cursor.execute("DROP DATABASE pymysql_now")
    connection.ping(reconnect=False)
    connection.close()


def say(*answer: object) -> None:
    """Print one answer."""
    print(json.dumps(answer, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
