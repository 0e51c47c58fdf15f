"""chdb and DataFusion, run by the interpreter of their own environment (requirements/bench.txt).

    python others.py FOLDER ENGINE THREADS

Reads requests as lines of JSON on stdin, answers each by a line on stdout: `{"prepare": [SQL]}`
runs statements, `{"query": SQL}` gives the clock and processor seconds of one query, and its value.
"""

import json
import sys
import time


def open_chdb(folder, threads):
    """Return what runs a statement of chdb and gives its text."""
    from chdb.session import Session  # noqa: PLC0415 - one engine a process

    session = Session(f"{folder}/chdb")
    session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")

    def run(sql):
        is_query = sql.startswith("SELECT")
        return str(session.query(f"{sql} SETTINGS max_threads = {threads}" if is_query else sql))

    return run


def open_datafusion(_folder, threads):
    """Return what runs a statement of DataFusion and gives its value."""
    from datafusion import SessionConfig, SessionContext  # noqa: PLC0415 - as above

    context = SessionContext(SessionConfig().with_target_partitions(threads))

    def run(sql):
        batches = context.sql(sql).collect()
        return str(batches[0].column(0)[0]) if batches and batches[0].num_rows else ""

    return run


def main(folder, engine, threads):
    """Answer requests until stdin ends."""
    run = {"chdb": open_chdb, "datafusion": open_datafusion}[engine](folder, int(threads))
    for line in sys.stdin:
        request = json.loads(line)
        for sql in request.get("prepare", ()):
            run(sql)
        used, started = time.process_time(), time.perf_counter()
        value = run(request["query"]).strip() if "query" in request else ""
        answer = {
            "clock_s": time.perf_counter() - started,
            "processor_s": time.process_time() - used,
            "value": value,
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
