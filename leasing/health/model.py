"""The nouns of a health check: readings, sessions, states, estimates."""

from datetime import datetime
from enum import StrEnum

import msgspec

from leasing.kit.errors import NotFound


class NoHealthCheck(NotFound):
    code = "health_check_not_found"
    title = "The pack was not checked"


class Sample(msgspec.Struct, frozen=True):
    """One reading of a pack: an aware instant, volts of the whole pack, amperes (positive is
    charging), the BMS's state of charge in percent, degrees Celsius."""

    at: datetime
    voltage_v: float
    current_a: float
    soc_percent: float | None = None
    temperature_c: float | None = None


class PackType(msgspec.Struct, frozen=True):
    """What must be known of a pack before its readings mean anything.

    `chemistry` is the letter of GB/T 34014. `full_cell_v` is the voltage a cell is held at to
    end a charge, as its maker gives it. LFP does without: past its knee it is full. Ternary
    cells are made for 4.2 V and for 4.35 V, and one cannot be told from the other by looking:
    unless the voltage is given none of them is ever taken for full.
    """

    chemistry: str
    cells_in_series: int
    rated_capacity_mah: int
    full_cell_v: float | None = None

    @property
    def rated_ah(self) -> float:
        return self.rated_capacity_mah / 1000

    def rate(self, current_a: float) -> float:
        """Amperes as a multiple of the rated capacity: 51 A is 0.5 C for 102 Ah."""
        return current_a / self.rated_ah


class Session(msgspec.Struct, frozen=True):
    """A stretch in which the current kept its direction: one charge or one discharge.

    Charge is in Ah and positive either way; `direction` is 1 for a charge. Voltages are per
    cell. `before_v` is the last voltage at rest or tapered before the session. Between it and
    the first reading under current nobody looked: `opening_ah` is what flowed if the current
    stepped half way, and it counts only when the state is known from before.

    `sampling_ah` is one sigma of the charge for not having looked between readings. A current
    that steps at an unknown moment within Δt leaves ΔI·Δt/√12: nothing for a steady current,
    much for one reading in half an hour.
    """

    direction: int
    started_at: datetime
    ended_at: datetime
    samples: int
    charge_ah: float
    opening_ah: float
    sampling_ah: float
    missing_share: float
    before_v: float | None
    start_v: float
    end_v: float
    start_a: float
    end_a: float
    start_soc_percent: float | None
    end_soc_percent: float | None
    median_a: float
    median_temperature_c: float | None
    rest_before_s: float
    rest_after_s: float | None = None
    temperature_min_c: float | None = None
    temperature_max_c: float | None = None
    spread_median_mv: float | None = None
    """Between the highest and the lowest cell."""
    spread_max_mv: float | None = None


class Kind(StrEnum):
    """How the state at one end of a session is known."""

    TAPER = "taper"
    CUT_OFF = "cut_off"
    EMPTY = "empty"
    RESTED_SOC = "rested_soc"
    REPORTED_SOC = "reported_soc"


VOLTAGE_KINDS = {Kind.TAPER, Kind.CUT_OFF, Kind.EMPTY}


class State(msgspec.Struct, frozen=True):
    """A state of charge, its sigma in points, and whether it was seen before the current began."""

    kind: Kind
    percent: float
    sigma_points: float
    before: bool = False


class Reason(StrEnum):
    """Why there is no estimate."""

    NO_SESSION = "no_session"
    CHEMISTRY_UNKNOWN = "chemistry_unknown"
    MISSING_TIME = "missing_time"
    NO_ANCHOR = "no_anchor"
    ONE_ANCHOR = "one_anchor"
    WINDOW_TOO_SMALL = "window_too_small"
    SOC_CONTRADICTS_CURRENT = "soc_contradicts_current"
    IMPLAUSIBLE = "implausible"
    KNOWN_BETTER = "known_better"


class Abstention(msgspec.Struct, frozen=True):
    """A session that does not tell the capacity: a code for programs, a sentence for people."""

    reason: Reason
    sentence: str
    session: Session


class Estimate(msgspec.Struct, frozen=True):
    """A capacity in mAh with its 90 % interval, as measured and not per cent of anything."""

    method: str
    capacity_mah: int
    lower_mah: int
    upper_mah: int
    measured_at: datetime
    evidence: dict[str, object]

    @property
    def relative_width(self) -> float:
        return (self.upper_mah - self.lower_mah) / self.capacity_mah


class Health(msgspec.Struct, frozen=True):
    """What one night's check found, ready to be stored: all of it or nothing but the evidence."""

    method: str | None
    capacity_mah: int | None
    lower_mah: int | None
    upper_mah: int | None
    measured_at: datetime | None
    evidence: dict[str, object]
    reason: Reason | None = None
