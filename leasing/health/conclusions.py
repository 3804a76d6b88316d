"""What a night says of a pack: from its sessions, its tests and what was known before."""

from collections.abc import Sequence
from math import ceil, floor, sqrt
from typing import Any

import msgspec

from leasing.health import rules
from leasing.health.estimators import kalman
from leasing.health.model import Abstention, Estimate, Health, Reason
from leasing.health.smoothing import Source, Step, gate_of
from leasing.health.store import PackToCheck

TESTED = "capacity_test"
SHOWN = 20
"""Measurements that a check lists; it counts all."""
TESTS = {Source.JOINT_TEST, Source.OTHER_TEST, Source.STANDARD_TEST}


class Night(msgspec.Struct, frozen=True):
    """A pack with what its sessions told, and what each of the night's measurements changed, in
    order: its sessions, and tests that nobody had looked at. `last` is the newest of all."""

    pack: PackToCheck
    outcomes: Sequence[Estimate | Abstention]
    steps: Sequence[Step]
    last: Step | None


def conclude(night: Night) -> Health:
    """The capacity as it is known after the night's newest measurement.

    It is published if a session told it, or a standard test that was not looked at before. A
    night of sessions that say less than was known says nothing: the old result stands, and the
    night abstains.
    """
    told = rules.conclude(night.outcomes)
    used = [step for step in night.steps if step.factor is not None and publishes(step)]
    if not used or night.last is None:
        return unused(told, night) if told.reason is None else abstained(told, night)
    last = night.last
    known = last.known
    lower_mah, upper_mah = known.interval_mah
    return Health(
        method=method_of(used),
        capacity_mah=round(known.capacity_mah),
        lower_mah=max(0, floor(lower_mah)),
        upper_mah=ceil(upper_mah),
        measured_at=last.measurement.at,
        evidence={
            **({} if told.reason else told.evidence),
            "rule_version": rules.RULE_VERSION,
            "inputs": inputs(night),
            "smoothing": smoothing(last),
            "error_points": error_points(last, night.pack.rated_capacity_mah),
        },
    )


def publishes(step: Step) -> bool:
    """Joint tests anchor what comes after them; by themselves they are what they are."""
    return step.measurement.source not in {Source.JOINT_TEST, Source.OTHER_TEST}


def method_of(used: Sequence[Step]) -> str:
    sources = {step.measurement.source for step in used}
    if Source.STANDARD_TEST in sources:
        return TESTED
    return rules.ANCHORED if Source.WHOLE in sources else rules.SOC_WINDOW


def abstained(told: Health, night: Night) -> Health:
    return msgspec.structs.replace(told, evidence={**told.evidence, "inputs": inputs(night)})


def unused(told: Health, night: Night) -> Health:
    """Sessions that lean on a count the battery keeps itself, of a pack that is known better."""
    reason = Reason.KNOWN_BETTER
    evidence: dict[str, object] = {
        "rule_version": rules.RULE_VERSION,
        "reason": reason.value,
        "sentence": "the sessions lean on the state of charge that the battery counts itself, "
        "and say less than is known of its capacity already",
        "session": told.evidence["session"],
        "sessions": told.evidence["sessions"],
        "inputs": inputs(night),
    }
    return Health(None, None, None, None, None, evidence, reason)


def inputs(night: Night) -> dict[str, object]:
    """Sessions by the instant they began, tests by their ids; each with what it was taken for."""
    shown = night.steps[-SHOWN:]
    return {
        "sessions": [listed(step) for step in shown if step.measurement.source not in TESTS],
        "tests": [listed(step) for step in shown if step.measurement.source in TESTS],
        "measurements": len(night.steps),
    }


def listed(step: Step) -> dict[str, object]:
    measurement = step.measurement
    name = "id" if measurement.source in TESTS else "started_at"
    found: dict[str, object] = {
        name: measurement.ref,
        "at": measurement.at.isoformat(),
        "source": measurement.source.value,
        "capacity_mah": round(measurement.capacity_mah),
        "sigma_percent": round(measurement.percent, 3),
        "variance_factor": rounded(step.factor),
    }
    return found


def smoothing(step: Step) -> dict[str, object]:
    """What the newest measurement did to what was known before it."""
    return {
        "prior_mah": rounded(step.prior_mah, 0),
        "prior_sigma_mah": rounded(step.prior_sigma_mah, 0),
        "innovation_mah": rounded(step.innovation_mah, 0),
        "innovation_sigma_mah": rounded(step.innovation_sigma_mah, 0),
        "gate_sigmas": gate_of(step.measurement.source),
        "variance_factor": rounded(step.factor),
        "prior_doubted_mah": round(step.doubted_mah),
        "outcome": outcome(step),
        "fade_mah_per_week": round(step.known.mean[1], 1),
    }


def outcome(step: Step) -> str:
    if step.factor is None:
        return "not_used"
    if step.prior_mah is None:
        return "first"
    if step.measurement.source is Source.STANDARD_TEST:
        return "replaced"
    if step.doubted_mah:
        return "prior_doubted"
    return "gated" if step.factor > 1 else "taken"


def error_points(step: Step, rated_mah: int) -> dict[str, float]:
    """What the published interval is made of, and the newest measurement: one sigma, in points of
    the rated capacity."""
    capacity = step.known.capacity_mah
    measurement = step.measurement
    points = {
        "measurement_own": measurement.own_percent * measurement.capacity_mah / rated_mah,
        "measurement_sensor": measurement.sensor_percent * measurement.capacity_mah / rated_mah,
        "measurement_count": measurement.count_percent * measurement.capacity_mah / rated_mah,
        "smoothed": 100 * sqrt(max(0.0, step.known.covariance[0])) / rated_mah,
        "floor": 100 * kalman.FLOOR * capacity / rated_mah,
    }
    return {name: round(value, 3) for name, value in points.items()}


def rounded(value: Any, digits: int = 3) -> float | None:
    return None if value is None else round(value, digits)
