"""What the tests of annotations ask of the API and of the database."""

from typing import Any

import asyncpg
import httpx
import pytest

from leasing.db.pool import Database
from schemas.annotations import MediaType, SubjectKind
from tests import build
from tests.annotations import files
from tests.api.stories import settled
from tests.build import Client, Json, World


def path_of(lease: Json, kind: SubjectKind) -> str:
    return f"/v1/{kind}s/{lease[kind]['id']}"


async def site_path(world: World) -> str:
    owner = await build.customer(world)
    return f"/v1/sites/{(await build.site(world, owner['id']))['id']}"


async def attach(
    client: Client,
    path: str,
    content: bytes = files.PDF,
    media_type: str = MediaType.PDF,
    **query: Any,
) -> httpx.Response:
    return await client.ask(
        "POST",
        f"{path}/attachments",
        content=content,
        params={"filename": "协议.pdf", **query},
        headers={"content-type": media_type},
    )


async def attached(client: Client, path: str, *arguments: Any, **query: Any) -> Json:
    made: Json = build.expect(await attach(client, path, *arguments, **query), 201)
    return made


async def events_of(world: World, *kinds: str) -> list[Json]:
    await settled(world)
    found = (await world.staff.get("/v1/events", limit=200))["items"]
    return [event for event in found if event["kind"].split(".")[0] in kinds]


async def rows(db: Database, table: str) -> int:
    async with db.transaction() as tx:
        found: int = await tx.fetchval(f"SELECT count(*) FROM {table}")
        return found


async def refused_by(db: Database, sql: str, *arguments: Any) -> str | None:
    """The constraint that refuses a statement."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        async with db.transaction() as tx:
            await tx.execute(sql, *arguments)
    name: str | None = refused.value.constraint_name
    return name


async def defined(world: World, kind: str, key: str, type_: str = "text", **terms: Any) -> Json:
    made: Json = await world.staff.post(
        "/v1/custom-fields",
        {
            "subject_kind": kind,
            "key": key,
            "type": type_,
            "label_zh": "字段",
            "label_en": "Field",
            **terms,
        },
    )
    return made


async def set_values(
    client: Client, path: str, values: Json, version: str | None = None
) -> httpx.Response:
    """Edit on the version that is there, unless another one is named."""
    path = f"{path}/custom-fields"
    if version is None:
        version = (await client.ask("GET", path)).headers.get("etag", '"v1"')
    return await client.ask("PATCH", path, json=values, headers={"if-match": version})


async def values_of(client: Client, path: str) -> Json:
    found = await client.get(f"{path}/custom-fields")
    return {one["field"]["key"]: one["value"] for one in found["fields"]}
