"""Lines that want packs, and the stock, in the database."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
from asyncpg import Record

from leasing.contracts.lines import AS_OF, TERMS_AS_OF
from leasing.db.pool import Connection
from leasing.kit.rows import convert, convert_all
from leasing.matching.model import Candidate, Need
from leasing.sites.cabinets import MEMBER
from leasing.sites.strings import Kind, Member
from schemas.contracts import ContractState
from schemas.sites import SiteKind

# --- Lines ------------------------------------------------------------------------------------


class LineFact(msgspec.Struct, frozen=True):
    """A line as its contract and its site describe it on a day."""

    line_id: UUID
    contract_id: UUID
    contract_state: ContractState
    ended_on: date | None
    site_id: UUID
    slot: int
    rated_capacity_mah: int
    guarantee_percent: Decimal
    site_kind: SiteKind
    load_w: int | None
    required_autonomy_minutes: int | None


# Which line is asked for by its own id or by its contract's; with it come all other lines of its
# sites, all as they are on the day $1.
LINES = f"""
WITH wanted AS (
  SELECT DISTINCT position.site_id
    FROM lease_line
    {AS_OF}
   WHERE lease_line.id = $2
      OR lease_line.contract_id = $2
)
SELECT lease_line.id AS line_id,
       lease_line.contract_id,
       contract.state AS contract_state,
       lease_line.ended_on,
       position.site_id,
       position.slot,
       position.rated_capacity_mah,
       terms.guarantee_percent,
       site.kind AS site_kind,
       site.load_w,
       site.required_autonomy_minutes
  FROM (SELECT DISTINCT line_id
          FROM line_revision
         WHERE site_id IN (SELECT site_id FROM wanted)) AS once_there
  JOIN lease_line ON lease_line.id = once_there.line_id
  {AS_OF}
  JOIN contract ON contract.id = lease_line.contract_id
  {TERMS_AS_OF}
  JOIN site ON site.id = position.site_id
 WHERE position.site_id IN (SELECT site_id FROM wanted)
   AND (lease_line.id = $2
        OR lease_line.contract_id = $2
        OR (contract.state IN ('active', 'suspended', 'ending')
            AND (lease_line.ended_on IS NULL OR lease_line.ended_on > $1)))
 ORDER BY position.site_id, position.slot, lease_line.id
"""


async def lines(tx: Connection, line_or_contract_id: UUID, today: date) -> list[LineFact]:
    """The lines asked for, and the lines of contracts in force at the same sites."""
    return convert_all(await tx.fetch(LINES, today, line_or_contract_id), LineFact)


# --- What a pack still holds ------------------------------------------------------------------

# An estimate goes before a test: it is younger in most cases, and its lower end is a promise.
HOLDS = """
  LEFT JOIN LATERAL (
       SELECT lower_mah, as_of
         FROM health_check
        WHERE health_check.pack_id = pack.id
          AND lower_mah IS NOT NULL
        ORDER BY as_of DESC
        LIMIT 1) AS estimate ON true
  LEFT JOIN LATERAL (
       SELECT tested_capacity_mah, accepted_on
         FROM acceptance
        WHERE acceptance.pack_id = pack.id
          AND estimate.lower_mah IS NULL
        ORDER BY accepted_on DESC
        LIMIT 1) AS test ON true
"""

USABLE = f"""
SELECT pack.id AS pack_id,
       coalesce(estimate.lower_mah, test.tested_capacity_mah, 0) AS usable_mah
  FROM pack
{HOLDS}
 WHERE pack.id = ANY ($1::uuid[])
"""


async def usable(tx: Connection, pack_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """What each pack still holds, in mAh."""
    rows = await tx.fetch(USABLE, pack_ids)
    return {row["pack_id"]: row["usable_mah"] for row in rows}


# --- The stock --------------------------------------------------------------------------------

# A pack is held that stands in a line, is reserved for another line than is asked for, or is in a
# proposal of the market that nobody decided on yet.
STOCK = f"""
SELECT {MEMBER},
       pack_code.code,
       pack.state,
       pack.acquired_on,
       pack.id IN (SELECT placement.pack_id
                     FROM placement
                    WHERE placement.during && daterange($1, NULL))
         OR pack.id IN (SELECT pack_id
                          FROM market_proposal_pack
                          JOIN market_proposal ON market_proposal.id = proposal_id
                         WHERE state = 'proposed'
                            OR (reserved AND (line_id = $2::uuid) IS NOT TRUE)) AS held,
       coalesce(estimate.lower_mah, test.tested_capacity_mah) AS usable_mah,
       CASE WHEN estimate.lower_mah IS NOT NULL THEN 'estimate'
            WHEN test.tested_capacity_mah IS NOT NULL THEN 'acceptance'
       END AS capacity_source,
       coalesce(estimate.as_of, test.accepted_on) AS measured_on
  FROM pack
  JOIN pack_code ON pack_code.pack_id = pack.id AND pack_code.is_current
{HOLDS}
 WHERE pack.state = 'in_stock'
"""

# What a number decides is decided here; the numbers come from the rules, and so does which kinds
# fit. A test holds the counts against the rules, pack by pack.
SHORT = "usable_mah < $3"
WEAK = "usable_mah::bigint * rated_voltage_mv < $4"
FAR = """(made_on + make_interval(months => $7) < $5::date
             OR $6::date + make_interval(months => $7) < made_on)"""
ADMISSIBLE = f"""(usable_mah IS NOT NULL AND NOT held AND ({SHORT}) IS NOT TRUE
             AND ({WEAK}) IS NOT TRUE AND ({FAR}) IS NOT TRUE)"""
AFTER = """($8::int IS NULL
               OR (usable_mah, acquired_on, pack_id) > ($8, $9::date, $10::uuid))"""
KIND = "chemistry, cells_in_series, rated_voltage_mv, rated_capacity_mah, maker, specification"

# A stock is looked through once: each kind is counted, and brings its first packs along. Which
# kinds fit is for the rules to say, and then only packs that may be shown are read in full.
TALLY = f"""
SELECT {KIND},
       count(*) AS packs,
       count(*) FILTER (WHERE held) AS held,
       count(*) FILTER (WHERE usable_mah IS NULL) AS never_tested,
       count(*) FILTER (WHERE {SHORT}) AS capacity_short,
       count(*) FILTER (WHERE {WEAK}) AS autonomy_short,
       count(*) FILTER (WHERE {FAR}) AS mixed_age,
       count(*) FILTER (WHERE {ADMISSIBLE}) AS admissible,
       (array_agg(pack_id ORDER BY usable_mah, acquired_on, pack_id)
          FILTER (WHERE {ADMISSIBLE} AND {AFTER}))[1:$11] AS best
  FROM ({STOCK}) AS stock
 GROUP BY {KIND}
"""

PACKS = f"""
SELECT *
  FROM ({STOCK}) AS stock
 WHERE pack_id = ANY ($3::uuid[])
"""

OTHERS = f"""
SELECT *
  FROM ({STOCK}) AS stock
 WHERE (({KIND}) IN (
         SELECT * FROM unnest($8::text[], $9::int[], $10::int[], $11::int[], $12::text[],
                              $13::text[]))
        AND {ADMISSIBLE}) IS NOT TRUE
 ORDER BY pack_id
 LIMIT $14
"""

MAX_STOCK = 300_000
"""How many packs a plan looks at."""

EVERYTHING = f"""
SELECT *
  FROM ({STOCK}) AS stock
 ORDER BY usable_mah, acquired_on, pack_id
 LIMIT $3
"""


class Tally(msgspec.Struct, frozen=True):
    """How many packs of a kind the numbers refuse, and how many they do not."""

    kind: Kind
    packs: int
    held: int
    never_tested: int
    capacity_short: int
    autonomy_short: int
    mixed_age: int
    admissible: int
    best: list[UUID] | None
    """The first of those, in the order of the rules."""


class Bounds(msgspec.Struct, frozen=True):
    """The numbers that a need and the mates of its string amount to."""

    least_mah: int
    least_uwh: int | None
    newest_mate: date | None
    oldest_mate: date | None
    months: int


def bounds(need: Need, mates: Sequence[Member], least_uwh: int | None) -> Bounds:
    made = [mate.made_on for mate in mates]
    months = need.limits.made_within_months
    newest, oldest = max(made, default=None), min(made, default=None)
    return Bounds(need.guaranteed_mah, least_uwh, newest, oldest, months)


Position = tuple[int, date, UUID]


async def tally(
    tx: Connection,
    today: date,
    line_id: UUID,
    limits: Bounds,
    after: Position | None,
    limit: int,
) -> list[Tally]:
    """The stock counted by kind, each with its first packs after a position."""
    position = after or (None, None, None)
    given = msgspec.structs.astuple(limits)
    rows = await tx.fetch(TALLY, today, line_id, *given, *position, limit)
    return [convert({"kind": dict(row), **row}, Tally) for row in rows]


async def packs(
    tx: Connection, today: date, line_id: UUID, pack_ids: Sequence[UUID]
) -> list[Candidate]:
    """Packs in stock in full."""
    return convert_all(await tx.fetch(PACKS, today, line_id, pack_ids), Candidate)


def columns(kinds: Sequence[Kind]) -> list[list[object]]:
    return [[getattr(kind, name) for kind in kinds] for name in Kind.__struct_fields__]


async def others(
    tx: Connection,
    today: date,
    line_id: UUID,
    limits: Bounds,
    kinds: Sequence[Kind],
    limit: int,
) -> list[Candidate]:
    """The first packs by id that are of no such kind, or that the numbers refuse."""
    given = msgspec.structs.astuple(limits)
    rows = await tx.fetch(OTHERS, today, line_id, *given, *columns(kinds), limit)
    return convert_all(rows, Candidate)


async def everything(tx: Connection, today: date) -> list[Record]:
    """The whole stock in the order of the rules, those never tested last; rows of `Candidate`.
    What is reserved is held, for whichever line it is."""
    return await tx.fetch(EVERYTHING, today, None, MAX_STOCK)
