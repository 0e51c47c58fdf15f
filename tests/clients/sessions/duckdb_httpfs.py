"""DuckDB with httpfs: a line with one SQL statement in, a line with its rows as JSON out."""

import json
import sys
import traceback
from pathlib import Path

import duckdb
import duckdb_extension_httpfs


def main() -> None:
    """Answer every line of standard input, a JSON list of one statement, with code, out and err."""
    connection = duckdb.connect()
    # The wheel holds the extension for this very version: nothing is fetched.
    folder = Path(duckdb_extension_httpfs.__file__).parent
    (extension,) = folder.rglob("httpfs.duckdb_extension")
    connection.load_extension(str(extension))
    for line in sys.stdin:
        (statement,) = json.loads(line)
        answer = {"code": 0, "out": "", "err": ""}
        try:
            rows = connection.execute(statement).fetchall()
            answer["out"] = json.dumps(rows, default=str)
        except duckdb.Error as error:
            answer = {"code": 1, "out": "", "err": str(error)}
        except Exception:  # noqa: BLE001 - told to the test, which fails with it
            answer = {"code": 2, "out": "", "err": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
