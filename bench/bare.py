"""The floor of a one-row GET: a Litestar route with the same SQL and the same struct, on
asyncpg's pool as it comes. No key, no transaction, no middleware, no log.

    python -m bench.bare DSN PORT
"""

import sys
from uuid import UUID

import asyncpg
import uvicorn
import uvloop
from litestar import Litestar, get
from litestar.params import FromPath

from bench.place import SETTINGS
from leasing.db.pool import session
from leasing.kit.rows import convert
from leasing.sites.store import GET
from schemas.sites import SiteView


async def serve(dsn: str, port: int) -> None:
    async with asyncpg.create_pool(
        dsn, min_size=1, max_size=SETTINGS.pool_size, server_settings=session(SETTINGS)
    ) as pool:

        @get("/v1/sites/{site_id:uuid}")
        async def get_site(site_id: FromPath[UUID]) -> SiteView:
            async with pool.acquire() as connection:
                row = await connection.fetchrow(GET, site_id)
                assert row is not None
                return convert(row, SiteView)

        app = Litestar([get_site], logging_config=None)
        config = uvicorn.Config(
            app, port=port, log_config=None, access_log=False, server_header=False
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], int(sys.argv[2])))
