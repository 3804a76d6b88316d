"""Several reports of one source at one instant, as one.

A frame of GB/T 32960.3 (2016) holds a part of the cells; the vehicle's values come with the first
part, the last part completes the row. Storage keeps one reading of an instant, so they are put
together before.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import fields, replace

from leasing.telemetry.model import Report, Source

ROWS = {"cells_mv", "temperatures_c"}
"""What may be there and have gaps."""
JOINED = {"missing", "alarms", "is_reissued", "source", "at"}
VALUES = [field.name for field in fields(Report) if field.name not in JOINED]


def merged(reports: Sequence[Report]) -> list[Report]:
    """One report for each source and instant, in the order they first appear."""
    found: dict[tuple[Source, datetime], Report] = {}
    for one in reports:
        key = (one.source, one.at)
        found[key] = together(found[key], one) if key in found else one
    return list(found.values())


def together(first: Report, second: Report) -> Report:
    """What either says; the first where both do."""
    values = {
        name: getattr(first, name)
        if getattr(first, name) not in (None, ())
        else getattr(second, name)
        for name in VALUES
    }
    missing = {**dict(second.missing), **dict(first.missing)}
    whole = {name for name in VALUES if values[name] not in (None, ()) and name not in ROWS}
    return replace(
        first,
        **values,
        missing=tuple(sorted((name, why) for name, why in missing.items() if name not in whole)),
        alarms=tuple(dict.fromkeys((*first.alarms, *second.alarms))),
        is_reissued=first.is_reissued and second.is_reissued,
    )
