"""The divisions of the country as reference rows, so that an unknown code is refused."""

import msgspec

from leasing.db.pool import Connection
from leasing.regions.model import prefectures

UPSERT = """
INSERT INTO prefecture (adcode, kind, name_zh, name_en, province_adcode, province_zh, province_en,
                        longitude, latitude)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (adcode) DO UPDATE
   SET kind = excluded.kind,
       name_zh = excluded.name_zh,
       name_en = excluded.name_en,
       province_adcode = excluded.province_adcode,
       province_zh = excluded.province_zh,
       province_en = excluded.province_en,
       longitude = excluded.longitude,
       latitude = excluded.latitude
"""

FIELDS = (
    "adcode",
    "kind",
    "name_zh",
    "name_en",
    "province_adcode",
    "province_zh",
    "province_en",
    "longitude",
    "latitude",
)


async def load(tx: Connection) -> int:
    """Bring the table up to date with the file that ships; returns the number of rows."""
    rows = [msgspec.structs.asdict(prefecture) for prefecture in prefectures()]
    await tx.executemany(UPSERT, [tuple(row[field] for field in FIELDS) for row in rows])
    return len(rows)


IS_COMPLETE = """
SELECT count(*) = $1
  FROM prefecture
"""


async def is_complete(tx: Connection) -> bool:
    """Whether the table was filled: a process may be killed between making and filling it."""
    complete: bool = await tx.fetchval(IS_COMPLETE, len(prefectures()))
    return complete
