"""Life files, registers and keys over HTTP."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, Operation, Schema
from litestar.openapi.spec.enums import OpenAPIType
from litestar.params import FromPath, FromQuery, QueryParameter
from msgspec import Meta

from leasing.access.model import Role
from leasing.http.edge import OVERSEEN, REGULATORS, By, Db, Now, Tx
from leasing.http.problems import documented, when_posting, when_reading
from leasing.life_files import pages, service, sheets
from schemas.common import PRINTABLE
from schemas.documents import DocumentLanguage
from schemas.life_files import (
    LifeFileFormat,
    RegisterFormat,
    SigningKeys,
    SigningKeyView,
)

MEDIA_TYPES = {
    "json": "application/json",
    "html": "text/html",
    "zip": "application/zip",
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pem": "application/x-pem-file",
}

Code = Annotated[str, Meta(min_length=1, max_length=80, pattern=PRINTABLE)]


def file_of(formats: Iterable[str]) -> OpenAPIResponse:
    return OpenAPIResponse(
        description="The file.",
        content={
            MEDIA_TYPES[one]: OpenAPIMediaType(
                schema=Schema(type=OpenAPIType.OBJECT if one == "json" else OpenAPIType.STRING)
            )
            for one in formats
        },
    )


@dataclass
class GivesLifeFile(Operation):
    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = file_of(LifeFileFormat)


@dataclass
class GivesRegister(Operation):
    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = file_of(RegisterFormat)


@dataclass
class GivesKey(Operation):
    def __post_init__(self) -> None:
        assert self.responses is not None
        self.responses["200"] = file_of(["pem"])


def answer(name: str, format_: str, content: bytes) -> Response[bytes]:
    shown = "inline" if format_ == "html" else "attachment"
    headers = {
        "content-disposition": f'{shown}; filename="{name}.{format_}"',
        "x-content-type-options": "nosniff",
        "cache-control": "private, no-cache",
    }
    if format_ == "html":
        headers |= pages.HEADERS
    return Response(content, media_type=MEDIA_TYPES[format_], headers=headers)


@get(
    "/life-files/{code:str}",
    opt={"access": REGULATORS},
    responses=when_reading(404, 409),
    operation_class=GivesLifeFile,
)
async def life_file(
    tx: Tx,
    db: Db,
    now: Now,
    code: FromPath[Code],
    file_format: Annotated[LifeFileFormat, QueryParameter(name="format")] = LifeFileFormat.JSON,
    language: FromQuery[DocumentLanguage] = DocumentLanguage.EN,
) -> Response[bytes]:
    """A pack's whole life, for one of its codes, of now or of old: everything that was recorded
    with its hashes, who had it, what it rests on, and where the history has gaps. As JSON, as a
    page, or as a signed archive (`zip`) that is checked with `sha256sum` and `openssl` alone."""
    if file_format is LifeFileFormat.ZIP:
        name, content = await service.signed_archive(
            tx, code, db.settings.signing_passphrase, now=now
        )
        return answer(f"life-{name}", file_format, content)
    made, _ = await service.life(tx, code, now=now)
    if file_format is LifeFileFormat.HTML:
        return answer(f"life-{made.code}", file_format, pages.write(made, language))
    return answer(f"life-{made.code}", file_format, msgspec.json.encode(made))


@get(
    "/outlets/{outlet_id:uuid}/register",
    opt={"access": OVERSEEN},
    responses=when_reading(404),
    operation_class=GivesRegister,
)
async def register(
    tx: Tx,
    caller: By,
    outlet_id: FromPath[UUID],
    from_on: FromQuery[date],
    to_on: FromQuery[date],
    file_format: Annotated[RegisterFormat, QueryParameter(name="format")] = RegisterFormat.JSON,
    language: FromQuery[DocumentLanguage] = DocumentLanguage.EN,
) -> Response[bytes]:
    """The register of an outlet (回收台账): what came in and what went out in a period, with code,
    source, VIN, kind, quantity, mass and destination. `to_on` is the first day after it. A recycler
    asks for its own outlets, and learns the prefecture that packs came from instead of the firm.
    Entries come from records that nobody can delete, and are kept three years at the least."""
    its_own = caller.role is Role.RECYCLER
    made = await service.register(tx, outlet_id, from_on, to_on, of_its_own=its_own)
    name = f"register-{made.outlet_code}-{from_on}"
    if file_format is RegisterFormat.CSV:
        return answer(name, file_format, sheets.write_csv(made, language))
    if file_format is RegisterFormat.XLSX:
        return answer(name, file_format, sheets.write_xlsx(made, language))
    return answer(name, file_format, msgspec.json.encode(made))


@post("/signing-keys", responses=when_posting())
async def make_key(tx: Tx, db: Db, caller: By, now: Now) -> SigningKeyView:
    """Make the key that signs archives from now on. Its private half never leaves the house: the
    database keeps it encrypted. What older keys signed stays good."""
    return await service.make_key(tx, db.settings.signing_passphrase, by=str(caller), now=now)


@get("/signing-keys", responses=documented(500, 503))
async def list_keys(db: Db) -> SigningKeys:
    """Public keys of archives, for anyone, without a key of the API."""
    async with db.transaction(read_only=True) as tx:
        return await service.keys(tx)


@get(
    "/signing-keys/{key_id:uuid}",
    responses=documented(404, 500, 503),
    operation_class=GivesKey,
)
async def public_key(db: Db, key_id: FromPath[UUID]) -> Response[bytes]:
    """One public key as PEM, as `openssl` reads it."""
    async with db.transaction(read_only=True) as tx:
        pem = await service.public_key(tx, key_id)
    return answer(f"signing-key-{key_id}", "pem", pem.encode())


HANDLERS = [life_file, register, make_key]
PUBLIC_HANDLERS = [list_keys, public_key]
