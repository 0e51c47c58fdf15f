"""Where statements read and write: a repository at a ref, and a table of it."""

from __future__ import annotations

from dataclasses import dataclass

from anabranch.kernel.ids import Ref, RepositoryId

DATABASE_FILE = "_database.json"
SCHEMA_FILE = "_schema.json"
LABELS = "_labels"
ROWSETS = "rowsets"
OVERWRITES = "_overwrites"


@dataclass(frozen=True, slots=True)
class Place:
    """A catalog, which is a repository, at a ref; writes want a branch."""

    repository: RepositoryId
    ref: Ref


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """A database by name at a place; it may not exist."""

    place: Place
    database: str

    @property
    def prefix(self) -> str:
        """Return the prefix of everything in it."""
        return f"{self.database}/"

    @property
    def file_path(self) -> str:
        """Return the path of the file that makes it a database."""
        return f"{self.database}/{DATABASE_FILE}"

    def label_path(self, label: str) -> str:
        """Return the path of the file of a used label."""
        return f"{self.database}/{LABELS}/{label}"

    def table(self, name: str) -> TablePlace:
        """Return a table of it by name."""
        return TablePlace(self, name)


@dataclass(frozen=True, slots=True)
class TablePlace:
    """A table by name at a place; it may not exist."""

    within: DatabasePlace
    table: str

    @property
    def place(self) -> Place:
        """Return the catalog and ref."""
        return self.within.place

    @property
    def database(self) -> str:
        """Return the database's name."""
        return self.within.database

    @property
    def prefix(self) -> str:
        """Return the prefix of everything in it."""
        return f"{self.within.database}/{self.table}/"

    @property
    def schema_path(self) -> str:
        """Return the path of the file that makes it a table."""
        return self.prefix + SCHEMA_FILE

    @property
    def rowsets_prefix(self) -> str:
        """Return the prefix of its rowsets."""
        return f"{self.prefix}{ROWSETS}/"

    def overwrite_path(self, partition_id: str) -> str:
        """Return the path of the mark of a partition's last overwrite."""
        return f"{self.prefix}{OVERWRITES}/{partition_id}"
