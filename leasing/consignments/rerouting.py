"""What lost its recycler is routed anew, lots and all: a lot that has not left is unpacked first.
One on the road goes on: staff finds it among those that are stranded, and it is refused at the
gate."""

from datetime import datetime
from uuid import UUID

from leasing.consignments import service
from leasing.db.pool import Connection
from leasing.end_of_life import rerouting
from leasing.end_of_life.reserving import REQUIRED
from leasing.kit.time import civil_date
from schemas.consignments import ConsignmentCancellation
from schemas.routing import ReroutingView

# Lots go as a whole: one pack that may not be handed over on its day keeps all of them here.
LOST_LOTS = """
SELECT id
  FROM consignment
 WHERE state = 'packed'
   AND EXISTS (
         SELECT
           FROM consignment_pack
           JOIN routing ON routing.id = routing_id
           JOIN outlet ON outlet.id = routing.outlet_id
          WHERE consignment_id = consignment.id
            AND (outlet.closed_from <= greatest(routing.hand_over_on, $1) OR EXISTS (
                  SELECT
                    FROM unnest($2::text[]) AS needed (kind)
                   WHERE NOT EXISTS (
                     SELECT FROM qualification
                      WHERE qualification.party_id = routing.recycler_id
                        AND qualification.kind = needed.kind
                        AND qualification.valid @> greatest(routing.hand_over_on, $1)))))
 ORDER BY id
   FOR UPDATE
"""


async def reroute(tx: Connection, reason: str, *, by: str, now: datetime) -> ReroutingView:
    """Route anew whatever may not be handed over where it is to go, on its day, and has not left.
    Raises `NothingToReroute`."""
    today = civil_date(now)
    cancelled = ConsignmentCancellation(cancelled_on=today, reason=reason)
    lots: list[UUID] = [row["id"] for row in await tx.fetch(LOST_LOTS, today, REQUIRED)]
    for consignment_id in lots:
        await service.cancel(tx, consignment_id, cancelled, by=by, now=now)
    return await rerouting.reroute(tx, reason, by=by, now=now)
