"""Alarms of packs, quarantine and safety holds."""

from enum import StrEnum


class AlarmKind(StrEnum):
    """What is wrong."""

    CELL_OVER_VOLTAGE = "cell_over_voltage"
    CELL_UNDER_VOLTAGE = "cell_under_voltage"
    STATIC_IMBALANCE = "static_imbalance"
    DRIFT = "drift"
    CELL_SPREAD = "cell_spread"
    CHARGE_TEMPERATURE = "charge_temperature"
    OVER_TEMPERATURE = "over_temperature"
    """Too hot for anything: stop."""
    TEMPERATURE_SPREAD = "temperature_spread"
    THERMAL_RUNAWAY = "thermal_runaway"
    INSULATION = "insulation"
    INSULATION_TREND = "insulation_trend"
    """A reason to inspect. It promises nothing."""
    CAPACITY = "capacity"
    RESISTANCE = "resistance"
    STANDBY_SELF_DISCHARGE = "standby_self_discharge"
    DATA_STUCK = "data_stuck"
    DATA_UNIT_JUMP = "data_unit_jump"
    DATA_CLOCK = "data_clock"
    DATA_CONTRADICTION = "data_contradiction"
    DATA_SOC = "data_soc"
    DEVICE = "device"
    """Raised by the battery's own management; its code says what."""


class AlarmSeverity(StrEnum):
    INFO = "info"
    WARN = "warn"
    CRITICAL = "critical"
