"""The data directory: its lock, its format, its key, and the file that says where the server is.

Nothing here opens a store: the supervisor and the commands stay small.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anabranch.kernel.errors import Corrupted, InvalidInput, Kind, NotSupported, Unavailable

FORMAT_VERSION = 1
LOCK_WAIT_S = 3.0
"""Workers of a killed supervisor end within a second; the lock is theirs until then."""
_KEY_BYTES = 32
_HARMLESS = frozenset(("lock", "lost+found"))
"""What a directory may hold that no server has used yet."""


class Directory:
    """The files of a data directory that every process of a server agrees on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kv = path / "kv.db"
        self.blocks = path / "blocks"
        self.run = path / "run"
        self.engine = path / "engine"
        self.load_errors = path / "load_errors"
        self.merges = path / "merges.sock"
        self.lock = path / "lock"
        self.format = path / "format"
        self.key = path / "server.key"
        self.endpoints = path / "endpoints.json"

    def prepare(self) -> None:
        """Make the directory, or check that it is one of ours that this version can read.

        Raises NotSupported when a newer version wrote it, InvalidInput when it holds other things.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            names = {entry.name for entry in self.path.iterdir()}
        except OSError as error:
            raise InvalidInput(Kind.VALUE, f"{self.path}: {error.strerror}") from None
        if "format" not in names:
            # A server that died while it wrote the format left a draft of it.
            if any(name not in _HARMLESS and not name.startswith(".format.") for name in names):
                raise InvalidInput(
                    Kind.VALUE, f"{self.path} is not empty and not a data directory of Anabranch"
                )
            write_file(self.format, json.dumps({"format": FORMAT_VERSION}).encode())
        self.check_format()
        self.blocks.mkdir(exist_ok=True)

    def check_format(self) -> None:
        """Raise NotSupported when a newer version wrote the directory, InvalidInput if nobody."""
        try:
            version = json.loads(self.format.read_bytes())["format"]
        except FileNotFoundError:
            raise InvalidInput(
                Kind.VALUE, f"{self.path} is not a data directory of Anabranch"
            ) from None
        except (ValueError, KeyError, TypeError):
            raise Corrupted(Kind.DATA_FORMAT, f"{self.format} cannot be understood") from None
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise NotSupported(
                Kind.DATA_FORMAT,
                f"{self.path} has data format {version}; this version reads up to {FORMAT_VERSION}",
            )

    def acquire_lock(self, *, wait_s: float = LOCK_WAIT_S) -> int:
        """Return the descriptor that holds the lock; children that inherit it hold it too.

        Raises Unavailable when another server has the directory.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                os.close(descriptor)
                raise Unavailable(
                    Kind.BUSY,
                    f"{self.path} is in use by another server"
                    + (f" (process {holder})" if holder else ""),
                )
            time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        return descriptor

    def is_locked(self) -> bool:
        """Tell whether a server has the directory."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _try_lock(descriptor)
        finally:
            os.close(descriptor)

    def load_key(self) -> bytes:
        """Return the server's key, made on first use; it never leaves the directory.

        Raises Corrupted when the file is damaged or others may read it.
        """
        with contextlib.suppress(FileExistsError):
            if not self.key.exists():
                # A link does not replace: when two processes start at once, one key wins.
                draft = self.key.with_name(f"server.key.{os.getpid()}")
                write_file(draft, secrets.token_hex(_KEY_BYTES).encode(), mode=0o600)
                try:
                    os.link(draft, self.key)
                finally:
                    draft.unlink()
                _sync_directory(self.path)
        if stat.S_IMODE(self.key.stat().st_mode) & 0o077:
            raise Corrupted(Kind.DATA_FORMAT, f"{self.key} must be readable by its owner alone")
        try:
            key = bytes.fromhex(self.key.read_text())
        except ValueError:
            key = b""
        if len(key) != _KEY_BYTES:
            raise Corrupted(Kind.DATA_FORMAT, f"{self.key} does not hold a key")
        return key

    def write_endpoints(self, endpoints: Mapping[str, Any]) -> None:
        """Say where the server answers: whole or not at all.

        Not synced: it is worth nothing once the server is gone, and whoever reads it may ask the
        server to stop while a busy disk still takes seconds over it.
        """
        draft = self.endpoints.with_name(f".{self.endpoints.name}.{os.getpid()}")
        draft.write_bytes(json.dumps(endpoints).encode())
        draft.replace(self.endpoints)

    def find_endpoints(self) -> dict[str, Any] | None:
        """Return where the directory's server answers, None when none says so."""
        try:
            found = json.loads(self.endpoints.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def remove_endpoints(self) -> None:
        """Take back what `write_endpoints` said."""
        self.endpoints.unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Put a file in place durably: readers see the old bytes or the new ones."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    draft.replace(path)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
