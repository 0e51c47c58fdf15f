"""The only place where keys under `access/` are spelled; docs/design/002-access-keys.md says why.

Names of users and key ids never hold NUL.
"""

SETUP = b"access/setup"
USERS = b"access/user/"
LAKE_CREDENTIALS = b"access/credential/"
RAW_CREDENTIALS = b"access/raw_credential/"
SQL_USERS = b"access/sql_user/"


def user(user_id: str) -> bytes:
    """Return the key of a user's record."""
    return USERS + user_id.encode()


def credential(kind: bytes, key_id: str) -> bytes:
    """Return the key of a credential; `kind` is LAKE_CREDENTIALS or RAW_CREDENTIALS."""
    return kind + key_id.encode()


def sql_user(name: str) -> bytes:
    """Return the key of the record of a user of SQL."""
    return SQL_USERS + name.encode()
