"""What a night's sessions and tests change in what is known of packs, stored state by state.

Sessions are cut anew when readings come late, so nothing is added up: from the last state before
them on, everything is taken back and followed again.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from leasing.db.pool import Connection
from leasing.health import rules, smoothing, state_store
from leasing.health.conclusions import TESTS, Night
from leasing.health.model import Estimate, PackType, Session
from leasing.health.smoothing import Measurement, Track
from leasing.health.store import PackToCheck
from leasing.kit.time import midnight

LOOK_BACK = timedelta(days=2)
"""A session may have begun before the first reading that is new."""
MAX_AGE = timedelta(days=30)
"""Readings that arrive later than this are kept, but no verdict rests on them."""


async def follow(
    tx: Connection,
    packs: Sequence[PackToCheck],
    sessions: Mapping[UUID, Sequence[Session]],
    *,
    as_of: date,
) -> list[Night]:
    """Follow packs through the sessions that ended since two days before their first new reading,
    and through the tests that nobody looked at; what that was of each, before `as_of`."""
    before, oldest = midnight(as_of), midnight(as_of) - MAX_AGE
    ids = [pack.pack_id for pack in packs]
    tests = await state_store.tests(tx, ids, as_of)
    seen = await state_store.test_refs(tx, ids)
    new = {one: [test for test in tests[one] if test.ref not in seen[one]] for one in ids}
    since = {pack.pack_id: max(pack.unevaluated_from - LOOK_BACK, oldest) for pack in packs}
    from_ats = {one: min([since[one], *(test.at for test in new[one])]) for one in ids}
    known = await state_store.last_before(tx, from_ats)
    stored = await state_store.take_back(tx, from_ats)
    outcomes = {
        pack.pack_id: [rules.estimate(one, pack_type(pack)) for one in sessions[pack.pack_id]]
        for pack in packs
    }
    tracks = []
    for pack in packs:
        told = [
            smoothing.measured(one, pack.chemistry)
            for one in outcomes[pack.pack_id]
            if isinstance(one, Estimate)
        ]
        from_at = since[pack.pack_id]
        kept = [one for one in stored[pack.pack_id] if stays(one, from_at, oldest, before)]
        ordered = in_order([*kept, *new[pack.pack_id], *told])
        tracks.append(Track(known.get(pack.pack_id), ordered))
    steps = dict(zip(ids, smoothing.follow(tracks), strict=True))
    await state_store.keep(tx, steps)
    nights = []
    for pack in packs:
        until = [step for step in steps[pack.pack_id] if step.measurement.at < before]
        refs = {test.ref for test in new[pack.pack_id]}
        of_night = [
            step
            for step in until
            if step.measurement.at >= since[pack.pack_id] or step.measurement.ref in refs
        ]
        last = until[-1] if until else None
        nights.append(Night(pack, outcomes[pack.pack_id], of_night, last))
    return nights


def pack_type(pack: PackToCheck) -> PackType:
    return PackType(
        chemistry=pack.chemistry,
        cells_in_series=pack.cells_in_series,
        rated_capacity_mah=pack.rated_capacity_mah,
        full_cell_v=None if pack.full_cell_mv is None else pack.full_cell_mv / 1000,
    )


def stays(one: Measurement, since: datetime, oldest: datetime, before: datetime) -> bool:
    """Whether a measurement is not among those that are made anew: a test, a session that nothing
    new touches, one that began too long ago, or one of a later day."""
    if one.source in TESTS:
        return True
    return one.at < since or datetime.fromisoformat(one.ref) < oldest or one.at >= before


def in_order(measurements: Iterable[Measurement]) -> list[Measurement]:
    return sorted(measurements, key=lambda one: one.order)
