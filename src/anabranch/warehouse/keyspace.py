"""The only place where the warehouse's own KV keys are spelled: all begin with `sql/`.

Keys hold a repository's incarnation, so that a name created again starts empty; branches, paths and
labels follow each other behind a NUL, which no name holds. What a key of a branch says must stay
true when the branch is dropped and made again: the values here carry what they were computed from.
"""

from anabranch.kernel.ids import BranchId, IncarnationId

PREFIX = b"sql/"
SEQUENCES = PREFIX + b"sequence/"
LABELS = PREFIX + b"label/"
ALTERS = PREFIX + b"alters/"
GLOBAL_VARIABLES = PREFIX + b"variables"
"""What SET GLOBAL set, of the whole server."""


def sequence(incarnation: IncarnationId, branch: BranchId, table_prefix: str) -> bytes:
    """Return the key of the last sequence of the table under a prefix, on a branch."""
    return SEQUENCES + b"%s/%s\x00%s" % (
        incarnation.encode(),
        branch.encode(),
        table_prefix.encode(),
    )


def labels(incarnation: IncarnationId, branch: BranchId, database_id: str) -> bytes:
    """Return the prefix of the labels reserved by running jobs in a database."""
    return LABELS + b"%s/%s\x00%s\x00" % (
        incarnation.encode(),
        branch.encode(),
        database_id.encode(),
    )


def label(incarnation: IncarnationId, branch: BranchId, database_id: str, name: str) -> bytes:
    """Return the key of a reserved label."""
    return labels(incarnation, branch, database_id) + name.encode()


def sequences(incarnation: IncarnationId, branch: BranchId, prefix: str) -> bytes:
    """Return the prefix of the sequence keys of all tables under a path prefix."""
    return sequence(incarnation, branch, prefix)


def tables(incarnation: IncarnationId, branch: BranchId, database: str) -> bytes:
    """Return the key whose version moves whenever a table is added to a database on a branch."""
    return PREFIX + b"tables/%s/%s\x00%s" % (
        incarnation.encode(),
        branch.encode(),
        database.encode(),
    )


LOAD_JOBS = PREFIX + b"load_job/"
OPEN_LOADS = PREFIX + b"load_open/"
"""Jobs and transactions that are not over, of all databases."""


def load_jobs(incarnation: str, branch: str, database_id: str) -> bytes:
    """Return the prefix of the load records of a database's incarnation, by job id."""
    return LOAD_JOBS + b"%s/%s\x00%s\x00" % (
        incarnation.encode(),
        branch.encode(),
        database_id.encode(),
    )


def load_job(incarnation: str, branch: str, database_id: str, job: int) -> bytes:
    """Return the key of a load's record."""
    return load_jobs(incarnation, branch, database_id) + b"%020d" % job


def open_load(job: int) -> bytes:
    """Return the key that lists a load until it is over; its value is the record's key."""
    return OPEN_LOADS + b"%020d" % job


def load_transaction(transaction: int) -> bytes:
    """Return the key that finds a load's record by its transaction."""
    return PREFIX + b"load_transaction/%020d" % transaction


def counter(name: str) -> bytes:
    """Return the key of the first id of a kind that no process has taken."""
    return PREFIX + b"counter/" + name.encode()


def alters(incarnation: IncarnationId, ref: str, database: str) -> bytes:
    """Return the key of the log of ALTER TABLE of a database on a branch."""
    return ALTERS + b"%s/%s\x00%s" % (incarnation.encode(), ref.encode(), database.encode())


FOLDS = PREFIX + b"folds/"
FOLD_LISTS = PREFIX + b"fold_list/"


def folds(incarnation: IncarnationId, table_id: str) -> bytes:
    """Return the prefix of the folds of a table, of all branches."""
    return FOLDS + b"%s/%s/" % (incarnation.encode(), table_id.encode())


def fold(incarnation: IncarnationId, table_id: str, partition: str, name: str) -> bytes:
    """Return the key of a fold."""
    return folds(incarnation, table_id) + b"%s/%s" % (partition.encode(), name.encode())


def fold_list(incarnation: IncarnationId, table_id: str) -> bytes:
    """Return the key whose version moves whenever a fold of a table comes or goes."""
    return FOLD_LISTS + b"%s/%s" % (incarnation.encode(), table_id.encode())


def fold_lease(incarnation: IncarnationId, table_id: str, partition: str) -> bytes:
    """Return the key of who folds a partition."""
    return PREFIX + b"fold_lease/%s/%s/%s" % (
        incarnation.encode(),
        table_id.encode(),
        partition.encode(),
    )
