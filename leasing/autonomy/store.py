"""Autonomy, worked out where the values are: all sites of a country are ranked in one statement."""

from datetime import date, datetime
from uuid import UUID

from leasing.autonomy.model import Limits, PackFact, SiteFact
from leasing.db.pool import Connection
from leasing.kit.rows import convert_all

# $1 today, $2 now, $3 one site or none, $4 the beginning of an adcode, $5–$13 the limits.
# A capacity is the newest estimate, else the newest joint test, else a guess from the rating. A
# state of charge lies within its margin; what is above the depth counts.
PACKS = """
standing AS (
  SELECT placement.site_id,
         placement.line_id,
         pack.id AS pack_id,
         pack.rated_voltage_mv,
         pack.rated_capacity_mah,
         telemetry.latest_at,
         telemetry.voltage_v,
         telemetry.current_a,
         telemetry.soc_percent,
         telemetry.soc_percent IS NULL OR telemetry.latest_at < $2::timestamptz - $7::interval
           AS is_silent,
         CASE WHEN telemetry.soc_percent >= $8::float8 THEN $9::float8
              ELSE coalesce(margin.points, $12::float8) END AS soc_margin_points,
         estimate.measured_at,
         estimate.lower_mah AS estimate_lower_mah,
         estimate.capacity_mah AS estimate_mah,
         estimate.upper_mah AS estimate_upper_mah,
         test.accepted_on,
         test.tested_capacity_mah
    FROM placement
    JOIN site ON site.id = placement.site_id
    JOIN pack ON pack.id = placement.pack_id
    LEFT JOIN pack_telemetry AS telemetry ON telemetry.pack_id = pack.id
    LEFT JOIN unnest($10::text[], $11::float8[]) AS margin (chemistry, points)
      ON margin.chemistry = pack.chemistry
    LEFT JOIN LATERAL (
         SELECT measured_at, lower_mah, capacity_mah, upper_mah
           FROM health_check
          WHERE health_check.pack_id = pack.id
            AND capacity_mah IS NOT NULL
          ORDER BY as_of DESC
          LIMIT 1) AS estimate ON true
    LEFT JOIN LATERAL (
         SELECT accepted_on, tested_capacity_mah
           FROM acceptance
          WHERE acceptance.pack_id = pack.id
          ORDER BY accepted_on DESC
          LIMIT 1) AS test ON true
   WHERE placement.during @> $1::date
     AND ($3::uuid IS NULL OR site.id = $3)
     AND starts_with(site.adcode, $4::text)
), held AS (
  SELECT standing.*,
         CASE WHEN estimate_mah IS NOT NULL THEN 'estimate'
              WHEN tested_capacity_mah IS NOT NULL THEN 'test'
              ELSE 'rated' END AS capacity_source,
         coalesce(measured_at, accepted_on::timestamp AT TIME ZONE 'Asia/Shanghai')
           AS capacity_as_of,
         coalesce(estimate_lower_mah, tested_capacity_mah * $13::int / 100,
                  rated_capacity_mah * $15::int / 100) AS lower_mah,
         coalesce(estimate_mah, tested_capacity_mah, rated_capacity_mah * $16::int / 100)
           AS capacity_mah,
         coalesce(estimate_upper_mah, tested_capacity_mah * $14::int / 100, rated_capacity_mah)
           AS upper_mah,
         rated_voltage_mv::float8 / 1e6 * $6::int / 100 / 100 AS wh_per_mah_point,
         100 - $5::int AS left_in_points
    FROM standing
), worth AS (
  SELECT held.*,
         CASE WHEN is_silent THEN 0
              ELSE lower_mah * wh_per_mah_point
                   * greatest(0, soc_percent - soc_margin_points - left_in_points) END AS lower_wh,
         capacity_mah * wh_per_mah_point
           * greatest(0, coalesce(soc_percent, 0) - left_in_points) AS wh,
         upper_mah * wh_per_mah_point
           * (least(100, coalesce(soc_percent, 100) + soc_margin_points) - left_in_points)
           AS upper_wh
    FROM held
)
"""

EACH_PACK = f"""
WITH {PACKS}
SELECT pack_id, line_id, capacity_source, capacity_as_of, lower_mah, capacity_mah, upper_mah,
       soc_percent, soc_margin_points, latest_at, is_silent, lower_wh, wh,
       greatest(0, upper_wh) AS upper_wh
  FROM worth
 ORDER BY line_id, pack_id
"""

# Packs deliver the load themselves when all of them were heard and some give current; a hundredth
# of the rating is no discharge. A load of nothing has no autonomy.
RANKED = f"""
WITH {PACKS},
summed AS (
  SELECT site_id,
         count(*) AS packs,
         count(*) FILTER (WHERE is_silent) AS silent_packs,
         coalesce(bool_or(NOT is_silent AND current_a < -rated_capacity_mah::float8 / 1e5), false)
           AS discharging,
         CASE WHEN bool_and(NOT is_silent)
              THEN sum(-voltage_v * current_a)
                     FILTER (WHERE current_a < -rated_capacity_mah::float8 / 1e5) END AS drawn_w,
         sum(lower_wh) AS lower_wh,
         sum(wh) AS wh,
         sum(greatest(0, upper_wh)) AS upper_wh
    FROM worth
   GROUP BY site_id
), ranked AS (
  SELECT site.id AS site_id, site.code, site.name, site.site_class, site.adcode, site.party_id,
         packs, silent_packs, discharging, drawn_w, site.load_w AS stated_w,
         lower_wh, wh, upper_wh,
         site.required_autonomy_minutes AS required_minutes,
         floor(lower_wh * 60 / nullif(coalesce(drawn_w, site.load_w), 0))::int AS lower_minutes
    FROM summed
    JOIN site ON site.id = summed.site_id
)
SELECT *
  FROM ranked
 WHERE (coalesce(lower_minutes, 2147483647), site_id) > ($17::int, $18::uuid)
   AND ($19::int IS NULL OR lower_minutes < $19)
 ORDER BY coalesce(lower_minutes, 2147483647), site_id
 LIMIT $20::int
"""


def _asked(
    today: date, now: datetime, site_id: UUID | None, adcode: str, limits: Limits
) -> list[object]:
    chemistries, points, widest = limits.margins()
    return [
        today,
        now,
        site_id,
        adcode,
        limits.depth_percent,
        limits.efficiency_percent,
        limits.silent_after,
        limits.full_from_percent,
        limits.full_margin_points,
        chemistries,
        points,
        widest,
        limits.tested_lower_percent,
        limits.tested_upper_percent,
        limits.rated_lower_percent,
        limits.rated_middle_percent,
    ]


async def packs(
    tx: Connection, today: date, now: datetime, site_id: UUID, limits: Limits
) -> list[PackFact]:
    """What each pack that stands at a site today adds."""
    rows = await tx.fetch(EACH_PACK, *_asked(today, now, site_id, "", limits))
    return convert_all(rows, PackFact)


async def ranked(
    tx: Connection,
    today: date,
    now: datetime,
    *,
    site_id: UUID | None = None,
    adcode: str = "",
    after: tuple[int, UUID] = (-1, UUID(int=0)),
    below_minutes: int | None = None,
    limit: int,
    limits: Limits,
) -> list[SiteFact]:
    """Sites with packs, those that may go dark first at the top; without a load at the end."""
    asked = _asked(today, now, site_id, adcode, limits)
    rows = await tx.fetch(RANKED, *asked, *after, below_minutes, limit)
    return convert_all(rows, SiteFact)
