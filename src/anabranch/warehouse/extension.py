"""Functions of sketches in DuckDB: the compiled library as a loadable extension."""

import contextlib
import os
import tempfile
from pathlib import Path

import duckdb

from anabranch import __version__
from anabranch.native import sketches


def load_sketches(connection: duckdb.DuckDBPyConnection, directory: Path, bytes_max: int) -> None:
    """Make the functions of sketches known to the connection's database.

    `directory` must exist and be ours alone: DuckDB runs the file that is written there. The
    database must have been opened with `allow_unsigned_extensions`, and must not be locked yet.
    `bytes_max` bounds what aggregate states take on the heap of this process, outside DuckDB's own
    memory limit: past it a statement fails. Raises duckdb.Error when DuckDB refuses.
    """
    found = connection.execute("PRAGMA platform").fetchone()
    assert found is not None, "the pragma returns one row"
    path = write_extension(directory, str(found[0]))
    quoted = str(path).replace("'", "''")
    connection.execute(f"LOAD '{quoted}'")
    connection.execute("SELECT hll_memory_max(?::BIGINT)", [bytes_max])


def prepare_extension(directory: Path) -> Path:
    """Write the extension for this DuckDB into a directory that exists; return its path."""
    with duckdb.connect() as connection:
        ((platform,),) = connection.execute("PRAGMA platform").fetchall()
    return write_extension(directory, str(platform))


def write_extension(directory: Path, platform: str) -> Path:
    """Write the extension for a platform into a directory, and return its path.

    A file that is there is replaced by renaming, so that a process that runs it keeps its own.
    """
    library = Path(sketches.library_path()).read_bytes()
    path = directory / f"{sketches.EXTENSION_NAME}.duckdb_extension"
    handle, partial = tempfile.mkstemp(dir=directory, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(sketches.extension(library, platform, __version__))
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
    return path
