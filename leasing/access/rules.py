"""API keys: how one looks and when it is good.

`bl_PREFIX_SECRETCHECK`: an 8-character public prefix to look it up and to name it in logs, a
256-bit random secret, and a 6-character checksum so that a mistyped or cut key is refused
without asking the database. With 256 random bits a slow password hash adds nothing: the
database holds one SHA-256 of the whole.
"""

import hashlib
import secrets
import zlib
from datetime import datetime
from hmac import compare_digest

from leasing.access.model import KeyRefused

SCHEME = "bl"
PREFIX_HEX = 8
SECRET_BYTES = 32


def make() -> str:
    """A new key. Shown once; only its digest is kept."""
    body = f"{SCHEME}_{secrets.token_hex(PREFIX_HEX // 2)}_{secrets.token_hex(SECRET_BYTES)}"
    return body + checksum(body)


def checksum(body: str) -> str:
    return f"{zlib.crc32(body.encode()) & 0xFFFFFF:06x}"


def prefix_of(key: str) -> str:
    """The public part of a well-formed key. Raises `KeyRefused` for anything else."""
    parts = key.split("_")
    length = 2 * SECRET_BYTES + 6
    if len(parts) != 3 or parts[0] != SCHEME or len(parts[2]) != length or not key.isascii():
        raise KeyRefused("this is not an API key of this system (bl_…)")
    if not compare_digest(checksum(key[:-6]), key[-6:]):
        raise KeyRefused("the key's checksum is wrong: was it copied whole?")
    return parts[1]


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def refuse_unless_valid(
    expected: bytes, given: bytes, expires_at: datetime, revoked_at: datetime | None, now: datetime
) -> None:
    """Raise `KeyRefused` unless the digest matches and the key is neither expired nor revoked."""
    if not compare_digest(expected, given):
        raise KeyRefused("no such key")
    if revoked_at is not None:
        raise KeyRefused("the key was revoked")
    if expires_at <= now:
        raise KeyRefused(f"the key expired on {expires_at:%Y-%m-%d}")
