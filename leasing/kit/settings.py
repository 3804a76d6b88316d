"""Settings, read once from the environment; every name starts with `LEASING_`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from leasing.kit.errors import Invalid


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What a deployment may choose. Everything has a default that works on a laptop."""

    dsn: str | None = None
    """A PostgreSQL 18 to use; without it the embedded server is started."""
    data: Path | None = None
    """Folder of the embedded server; default: the user's data folder."""
    schema: str = "leasing"
    """The PostgreSQL schema that holds this lessor. Another lessor gets another one."""
    host: str = "127.0.0.1"
    port: int = 8000
    pool_size: int = 10
    statement_timeout_ms: int = 30_000
    lock_timeout_ms: int = 5_000
    max_body_bytes: int = 10_000_000
    key_memory_seconds: float = 5.0
    """How long a verified API key is trusted before the database is asked again; a revoked key
    works no longer than this."""
    keep_readings_days: int = 1100
    """Raw readings, in whole months; sessions and hours stay."""
    keep_hours_days: int = 3700
    """Hours of readings, and sessions."""
    keep_unread_days: int = 90
    """Messages that could not be read."""
    fonts: Path | None = None
    """Folder of fonts for PDFs, beside those of the system."""
    einvoices: Path | None = None
    """Folder in which e-invoices are handed over (`out/`) and answered (`in/`)."""
    obligations: Path | None = None
    """Folder in which traceability reports are handed over and answered, by recipient."""
    obligations_url: str | None = None
    """Where reports to the platform go over HTTP, instead of the folder."""
    obligations_token: str | None = None
    """What says there who we are."""
    signing_passphrase: str | None = None
    """Opens the keys that sign life files, which the database keeps encrypted with it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class BadSetting(Invalid):
    code = "bad_setting"
    title = "A setting is not valid"


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """Build settings from `LEASING_*` variables. Raises `BadSetting` that names the variable."""
    prefix = "LEASING_"
    given = {
        name.removeprefix(prefix).lower(): value
        for name, value in environ.items()
        if name.startswith(prefix) and value != ""
    }
    try:
        return msgspec.convert(given, Settings, strict=False, dec_hook=_as_path)
    except msgspec.ValidationError as error:
        reason, _, field = str(error).partition(" - at `$.")
        name = f"{prefix}{field.rstrip('`').upper()}"
        raise BadSetting(f"{name}={environ.get(name, '')}: {reason}") from error


def _as_path(type_: type, value: object) -> object:
    if type_ is Path and isinstance(value, str):
        return Path(value).expanduser()
    raise NotImplementedError(type_)
