"""Threads that are the first to decode a type, all at once: as when a new process starts."""

import subprocess
import sys

import pytest

RACE = """
import sys, threading
sys.setswitchinterval(1e-6)
from anabranch.lake.records import decode_record, encode_record
from anabranch.warehouse.sql.loads import LoadLabel
from anabranch.warehouse.sql.parser import parse_one
record = parse_one('LOAD LABEL d.l (DATA INFILE("file:///x") INTO TABLE t) WITH BROKER local')
data = encode_record(record)
together = threading.Barrier(4)
def decode():
    together.wait()
    assert decode_record(data, LoadLabel) == record
threads = [threading.Thread(target=decode) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.slow
def test_the_first_records_of_a_process_are_decoded_by_many_threads() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", RACE], check=False, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
