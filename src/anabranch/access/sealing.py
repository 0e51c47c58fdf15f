"""The server's key at work: secrets sealed at rest, login tokens signed."""

import base64
import hashlib
import hmac
import json
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from anabranch.kernel.clock import IdSource
from anabranch.kernel.errors import Corrupted, Kind

_NONCE_BYTES = 12
_HEADER = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').rstrip(b"=").decode()
TOKEN_LENGTH_MAX = 2_048


class Sealer:
    """Seals and opens secrets with AES-256-GCM; signs tokens with HMAC-SHA256 (JWT, HS256).

    Both keys are derived from the server's key, each for its purpose.
    """

    def __init__(self, key: bytes, ids: IdSource) -> None:
        self._aes = AESGCM(_derive(key, b"anabranch secrets at rest"))
        self._signing = _derive(key, b"anabranch login tokens")
        self._ids = ids

    def __repr__(self) -> str:
        return "Sealer(***)"

    def seal(self, secret: str, bound_to: str) -> str:
        """Return a secret in sealed form; it opens only together with `bound_to`."""
        nonce = bytes.fromhex(self._ids.hex32())[:_NONCE_BYTES]
        sealed = self._aes.encrypt(nonce, secret.encode(), bound_to.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, bound_to: str) -> str:
        """Return the secret; raise Corrupted when it was sealed by another key or changed."""
        try:
            data = base64.b64decode(sealed, validate=True)
            opened = self._aes.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound_to.encode())
        except (ValueError, InvalidTag):
            raise Corrupted(
                Kind.RECORD_FORMAT, "a stored secret does not open with this server's key"
            ) from None
        return opened.decode()

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a token that carries the claims, readable by whoever has it."""
        payload = _encode(json.dumps(claims, separators=(",", ":")).encode())
        signed = f"{_HEADER}.{payload}"
        return f"{signed}.{self._signature(signed)}"

    def find_claims(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token this server signed, None for any other text."""
        if len(token) > TOKEN_LENGTH_MAX or not token.isascii():
            return None
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(self._signature(signed), signature):
            return None
        header, _, payload = signed.partition(".")
        if header != _HEADER:
            return None
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims if isinstance(claims, dict) else None

    def _signature(self, signed: str) -> str:
        return _encode(hmac.digest(self._signing, signed.encode(), hashlib.sha256))


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
