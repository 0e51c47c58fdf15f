"""Client processes of a trial: `python -m tests.kills.clients`, with a plan as JSON on stdin.

A client goes on until its stdin ends. It writes each request down before it is sent and its end
after the answer; where an answer was lost it reads what became of it. It ends with code 0 also
when it met wrong answers: those stand in its journal.
"""

import os
import sys
import threading
from pathlib import Path

from tests.kills.client import Client, decode_plan
from tests.kills.histories import Committer, Founder, Resetter
from tests.kills.journal import Journal
from tests.kills.objects import Pinner, Reader, Uploader, Writer

KINDS: dict[str, type[Client]] = {
    "writer": Writer,
    "raw_writer": Writer,
    "pinner": Pinner,
    "reader": Reader,
    "uploader": Uploader,
    "committer": Committer,
    "resetter": Resetter,
    "founder": Founder,
}


def main() -> None:
    """Run the client of the plan on stdin."""
    plan = decode_plan(sys.stdin.buffer.readline())
    stopping = threading.Event()

    def watch() -> None:
        while os.read(0, 4_096):
            pass
        stopping.set()

    threading.Thread(target=watch, daemon=True).start()
    KINDS[plan.kind](plan, Journal(Path(plan.journal)), stopping).run()


if __name__ == "__main__":
    main()
