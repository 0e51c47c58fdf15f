"""Run a Python program again and again in one interpreter: a line of arguments, a line of outcome.

The program is run as the system would run it, under its own name; only the interpreter stays.
"""

import contextlib
import io
import json
import runpy
import sys
import traceback


def main(program: str) -> None:
    """Answer every line of standard input, a JSON list of arguments, with code, out and err."""
    answers = sys.stdout
    for line in sys.stdin:
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        sys.argv = [program, *json.loads(line)]
        code: object = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_path(program, run_name="__main__")
            except SystemExit as end:
                code = end.code or 0
            except Exception:  # noqa: BLE001 - what the interpreter would print at its end
                traceback.print_exc()
                code = 1
        shown = {"code": code, "out": _text(out), "err": _text(err)}
        answers.write(json.dumps(shown) + "\n")
        answers.flush()


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode(errors="replace")


if __name__ == "__main__":
    main(sys.argv[1])
