"""Mass balances over HTTP."""

from datetime import date, timedelta
from uuid import UUID

from litestar import get
from litestar.params import FromQuery

from leasing.balances import service
from leasing.http.edge import REGULATORS, Now, Tx
from leasing.http.problems import when_reading
from leasing.kit.time import civil_date
from schemas.balances import MassBalance
from schemas.common import Adcode

DAY = timedelta(days=1)


@get("/mass-balance", opt={"access": REGULATORS}, responses=when_reading(404))
async def mass_balance(
    tx: Tx,
    now: Now,
    from_on: FromQuery[date | None] = None,
    to_on: FromQuery[date | None] = None,
    party_id: FromQuery[UUID | None] = None,
    outlet_id: FromQuery[UUID | None] = None,
    adcode: FromQuery[Adcode | None] = None,
) -> MassBalance:
    """What became of retired packs of a party, an outlet, a prefecture (`410100`) or a province
    (`410000`) by the end of a period, in packs, kilograms and kilowatt-hours: reused, recycled,
    stored, in transit, lost. `to_on` is the first day after it. Records and the table of custody
    are reckoned apart and compared day by day; differences are listed with their packs. Without
    days it is the year up to today."""
    today = civil_date(now)
    until = to_on or today + DAY
    return await service.balance(
        tx,
        from_on or until - min(365 * DAY, until - date.min),
        until,
        party_id=party_id,
        outlet_id=outlet_id,
        adcode=adcode,
        today=today,
    )


HANDLERS = [mass_balance]
