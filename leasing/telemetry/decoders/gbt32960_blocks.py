"""GB/T 32960.3: the blocks of a realtime report, in both editions.

Names of fields are those of `decoded`. Ids of blocks: 2016 table 8, 2025 table 9; the two editions
number alarms, voltages and temperatures differently.
"""

from collections.abc import Callable, Sequence
from struct import unpack
from typing import Any

import msgspec

from leasing.telemetry.decoders.frames import Reader
from leasing.telemetry.model import Missing

Gone = tuple[tuple[str, Missing], ...]


class Block(msgspec.Struct, frozen=True, kw_only=True, tag_field="name"):
    missing: Gone = ()
    """Fields sent as invalid or abnormal."""


class Vehicle(Block, frozen=True, kw_only=True, tag="vehicle"):
    """Current is as sent: positive while discharging."""

    vehicle_state: str
    charge_state: str
    run_mode: str
    speed_kmh: float | None
    odometer_km: float | None
    total_voltage_v: float | None
    total_current_a: float | None
    soc_pct: int | None
    dcdc_state: str
    gear_raw: int
    insulation_kohm: int | None


class Vehicle2016(Vehicle, frozen=True, kw_only=True, tag="vehicle"):
    accelerator_pct: int | None
    brake_raw: int | None


class Motor(msgspec.Struct, frozen=True, kw_only=True):
    no: int | None
    state: str
    controller_temp_c: int | None
    speed_rpm: int | None
    torque_nm: float | None
    motor_temp_c: int | None


class Motor2016(Motor, frozen=True, kw_only=True):
    controller_voltage_v: float | None
    controller_current_a: float | None


class Motors(Block, frozen=True, kw_only=True, tag="motors"):
    data: tuple[Motor | Motor2016, ...]


class FuelCell(Block, frozen=True, kw_only=True, tag="fuel_cell"):
    """The 2016 edition's; hydrogen in mg/kg."""

    voltage_v: float | None
    current_a: float | None
    fuel_kg_100km: float | None
    probe_temps_c: tuple[int | None, ...]
    h2_max_temp_c: float | None
    h2_max_temp_probe: int | None
    h2_max_conc_raw: int | None
    h2_max_conc_sensor: int | None
    h2_max_press_mpa: float | None
    h2_max_press_sensor: int | None
    hv_dcdc_state: str


class FuelCellSystem(Block, frozen=True, kw_only=True, tag="fuel_cell_system"):
    h2_max_temp_c: int | None
    h2_max_temp_probe: int | None
    h2_max_conc_raw: int | None
    h2_max_conc_sensor: int | None
    h2_max_press_mpa: float | None
    h2_max_press_sensor: int | None
    hv_dcdc_state: str
    h2_remaining_pct: int | None
    hv_dcdc_temp_c: int | None


class Engine(Block, frozen=True, kw_only=True, tag="engine"):
    crank_rpm: int | None


class Engine2016(Engine, frozen=True, kw_only=True, tag="engine"):
    state: str
    fuel_l_100km: float | None


class Location(Block, frozen=True, kw_only=True, tag="location"):
    """Degrees, negative in the south and in the west."""

    fix_valid: bool
    south: bool
    west: bool
    lon_deg: float | None
    lat_deg: float | None


class Location2025(Location, frozen=True, kw_only=True, tag="location"):
    coord_system: str


class Extremes(Block, frozen=True, kw_only=True, tag="extremes"):
    max_v_sub: int | None
    max_v_cell: int | None
    max_cell_v: float | None
    min_v_sub: int | None
    min_v_cell: int | None
    min_cell_v: float | None
    max_t_sub: int | None
    max_t_probe: int | None
    max_temp_c: int | None
    min_t_sub: int | None
    min_t_probe: int | None
    min_temp_c: int | None


class AlarmLevel(msgspec.Struct, frozen=True):
    bit: int
    level: int


class Alarms(Block, frozen=True, kw_only=True, tag="alarms"):
    """Level 0 is none, 1 the mildest. Codes of faults are the maker's, in hexadecimal."""

    max_level: int | None
    flags: int
    flag_bits: tuple[int, ...]
    storage_faults: tuple[str, ...]
    motor_faults: tuple[str, ...]
    engine_faults: tuple[str, ...]
    other_faults: tuple[str, ...]


class Alarms2025(Alarms, frozen=True, kw_only=True, tag="alarms"):
    general_alarm_levels: tuple[AlarmLevel, ...]


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """One subsystem. Current is as sent: positive while discharging."""

    no: int | None
    voltage_v: float | None
    current_a: float | None
    cell_total: int | None
    cells_mv: tuple[int | None, ...]


class CellPage(Cells, frozen=True, kw_only=True):
    """Of the 2016 edition: some of the cells, from number `frame_start_cell`, counted from 1."""

    frame_start_cell: int | None

    @property
    def is_whole(self) -> bool:
        return self.frame_start_cell == 1 and len(self.cells_mv) == self.cell_total


class CellBlock(Block, frozen=True, kw_only=True, tag="cells"):
    data: tuple[Cells, ...]


class CellVoltages(CellBlock, frozen=True, kw_only=True, tag="cell_voltages"):
    """Of the 2016 edition: the entries are pages."""


class ParallelUnitVoltages(CellBlock, frozen=True, kw_only=True, tag="parallel_unit_voltages"):
    """Of the 2025 edition: all of the smallest units in parallel."""


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    no: int | None
    probe_temps_c: tuple[int | None, ...]


class ProbeTemps(Block, frozen=True, kw_only=True, tag="probe_temps"):
    data: tuple[Probes, ...]


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    no: int | None
    voltage_v: float | None
    current_a: float | None
    h2_in_press_kpa: float | None
    air_in_press_kpa: float | None
    air_in_temp_c: int | None
    coolant_temps_c: tuple[int | None, ...]


class FuelCellStacks(Block, frozen=True, kw_only=True, tag="fuel_cell_stacks"):
    data: tuple[Stack, ...]


class Supercapacitor(Block, frozen=True, kw_only=True, tag="supercapacitor"):
    no: int | None
    voltage_v: float | None
    current_a: float | None
    cells_mv: tuple[int | None, ...]
    probe_temps_c: tuple[int | None, ...]


class SupercapacitorExtremes(Block, frozen=True, kw_only=True, tag="supercapacitor_extremes"):
    max_v_sys: int | None
    max_v_cell: int | None
    max_cell_v: float | None
    min_v_sys: int | None
    min_v_cell: int | None
    min_cell_v: float | None
    max_t_sys: int | None
    max_t_probe: int | None
    max_temp_c: int | None
    min_t_sys: int | None
    min_t_probe: int | None
    min_temp_c: int | None


class Custom(Block, frozen=True, kw_only=True, tag="custom"):
    """A maker's own block: passed over by its length, kept as it is."""

    length: int
    content: bytes


class Signature(Block, frozen=True, kw_only=True, tag="signature"):
    """Over the data unit before it. Kept, not verified: the key is the vehicle's."""

    algorithm: str
    algorithm_code: int
    r: bytes
    s: bytes


ABNORMAL_OR_INVALID = {0xFE: "abnormal", 0xFF: "invalid"}
ON_OFF = {1: "started", 2: "off"} | ABNORMAL_OR_INVALID
VEHICLE_STATES = {1: "started", 2: "off", 3: "other"} | ABNORMAL_OR_INVALID
CHARGE_STATES = {
    1: "parked_charging",
    2: "driving_charging",
    3: "not_charging",
    4: "charge_complete",
} | ABNORMAL_OR_INVALID
RUN_MODES = {1: "electric", 2: "hybrid", 3: "fuel"} | ABNORMAL_OR_INVALID
DCDC_STATES = {1: "working", 2: "disconnected"} | ABNORMAL_OR_INVALID
MOTOR_STATES = {1: "consuming", 2: "generating", 3: "off", 4: "ready"} | ABNORMAL_OR_INVALID
COORDINATE_SYSTEMS = {1: "wgs84", 2: "gcj02", 3: "other"} | ABNORMAL_OR_INVALID
SIGNATURES = {1: "SM2", 2: "RSA", 3: "ECC"}

CURRENT_OFFSET = {2016: 10_000, 2025: 30_000}
"""In 0.1 A. The 2016 edition's is -1000 A in the vehicle's block and in that of cell voltages."""


def state(r: Reader, names: dict[int, str], what: str) -> str:
    value = r.u8(what)
    return names.get(value) or f"reserved:{value}"


def temperatures(r: Reader, number: int, what: str) -> tuple[int | None, ...]:
    """1 °C a byte, from -40 °C."""
    raw = r.take(number, what)
    note(r, what, raw, 0xFF)
    return tuple(None if value >= 0xFE else value - 40 for value in raw)


def millivolts(r: Reader, number: int, what: str) -> tuple[int | None, ...]:
    raw = unpack(f">{number}H", r.take(2 * number, what))
    if not raw or max(raw) < 0xFFFE:
        return raw
    note(r, what, raw, 0xFFFF)
    return tuple(None if value >= 0xFFFE else value for value in raw)


def note(r: Reader, what: str, raw: Sequence[int], top: int) -> None:
    """Name those of a row of values that are missing, counted from 1."""
    r.missing += [
        (f"{what}/{at}", Missing.INVALID if value == top else Missing.ABNORMAL)
        for at, value in enumerate(raw, 1)
        if value >= top - 1
    ]


def vehicle_2016(r: Reader) -> Vehicle:
    return Vehicle2016(
        **vehicle_fields(r, CURRENT_OFFSET[2016]),
        accelerator_pct=r.whole(1, "accelerator_pct"),
        brake_raw=r.whole(1, "brake_raw"),
        missing=r.noted(),
    )


def vehicle_2025(r: Reader) -> Vehicle:
    return Vehicle(**vehicle_fields(r, CURRENT_OFFSET[2025]), missing=r.noted())


def vehicle_fields(r: Reader, current_offset: int) -> dict[str, Any]:
    return {
        "vehicle_state": state(r, VEHICLE_STATES, "vehicle_state"),
        "charge_state": state(r, CHARGE_STATES, "charge_state"),
        "run_mode": state(r, RUN_MODES, "run_mode"),
        "speed_kmh": r.scaled(2, "speed_kmh", 10),
        "odometer_km": r.scaled(4, "odometer_km", 10),
        "total_voltage_v": r.scaled(2, "total_voltage_v", 10),
        "total_current_a": r.scaled(2, "total_current_a", 10, current_offset),
        "soc_pct": r.whole(1, "soc_pct"),
        "dcdc_state": state(r, DCDC_STATES, "dcdc_state"),
        "gear_raw": r.u8("gear_raw"),
        "insulation_kohm": r.whole(2, "insulation_kohm"),
    }


def motors_2016(r: Reader) -> Motors:
    found = [
        Motor2016(
            no=r.whole(1, f"{at}/no"),
            state=state(r, MOTOR_STATES, "state"),
            controller_temp_c=r.whole(1, f"{at}/controller_temp_c", 40),
            speed_rpm=r.whole(2, f"{at}/speed_rpm", 20_000),
            torque_nm=r.scaled(2, f"{at}/torque_nm", 10, 20_000),
            motor_temp_c=r.whole(1, f"{at}/motor_temp_c", 40),
            controller_voltage_v=r.scaled(2, f"{at}/controller_voltage_v", 10),
            controller_current_a=r.scaled(2, f"{at}/controller_current_a", 10, 10_000),
        )
        for at in range(1, r.count(1, "count") + 1)
    ]
    return Motors(data=tuple(found), missing=r.noted())


def motors_2025(r: Reader) -> Motors:
    found = [
        Motor(
            no=r.whole(1, f"{at}/no"),
            state=state(r, MOTOR_STATES, "state"),
            controller_temp_c=r.whole(1, f"{at}/controller_temp_c", 40),
            speed_rpm=r.whole(2, f"{at}/speed_rpm", 32_000),
            torque_nm=r.scaled(4, f"{at}/torque_nm", 10, 200_000),
            motor_temp_c=r.whole(1, f"{at}/motor_temp_c", 40),
        )
        for at in range(1, r.count(1, "count") + 1)
    ]
    return Motors(data=tuple(found), missing=r.noted())


def fuel_cell(r: Reader) -> FuelCell:
    return FuelCell(
        voltage_v=r.scaled(2, "voltage_v", 10),
        current_a=r.scaled(2, "current_a", 10),
        fuel_kg_100km=r.scaled(2, "fuel_kg_100km", 100),
        probe_temps_c=temperatures(r, r.count(2, "probes"), "probe_temps_c"),
        h2_max_temp_c=r.scaled(2, "h2_max_temp_c", 10, 400),
        h2_max_temp_probe=r.whole(1, "h2_max_temp_probe"),
        h2_max_conc_raw=r.whole(2, "h2_max_conc_raw"),
        h2_max_conc_sensor=r.whole(1, "h2_max_conc_sensor"),
        h2_max_press_mpa=r.scaled(2, "h2_max_press_mpa", 10),
        h2_max_press_sensor=r.whole(1, "h2_max_press_sensor"),
        hv_dcdc_state=state(r, DCDC_STATES, "hv_dcdc_state"),
        missing=r.noted(),
    )


def fuel_cell_system(r: Reader) -> FuelCellSystem:
    return FuelCellSystem(
        h2_max_temp_c=r.whole(2, "h2_max_temp_c", 40),
        h2_max_temp_probe=r.whole(1, "h2_max_temp_probe"),
        h2_max_conc_raw=r.whole(2, "h2_max_conc_raw"),
        h2_max_conc_sensor=r.whole(1, "h2_max_conc_sensor"),
        h2_max_press_mpa=r.scaled(2, "h2_max_press_mpa", 10),
        h2_max_press_sensor=r.whole(1, "h2_max_press_sensor"),
        hv_dcdc_state=state(r, DCDC_STATES, "hv_dcdc_state"),
        h2_remaining_pct=r.whole(1, "h2_remaining_pct"),
        hv_dcdc_temp_c=r.whole(1, "hv_dcdc_temp_c", 40),
        missing=r.noted(),
    )


def engine_2016(r: Reader) -> Engine:
    return Engine2016(
        state=state(r, ON_OFF, "state"),
        crank_rpm=r.whole(2, "crank_rpm"),
        fuel_l_100km=r.scaled(2, "fuel_l_100km", 100),
        missing=r.noted(),
    )


def engine_2025(r: Reader) -> Engine:
    return Engine(crank_rpm=r.whole(2, "crank_rpm"), missing=r.noted())


def location_2016(r: Reader) -> Location:
    bits = r.u8("location state")
    return Location(**location_fields(r, bits), missing=r.noted())


def location_2025(r: Reader) -> Location:
    bits = r.u8("location state")
    system = state(r, COORDINATE_SYSTEMS, "coord_system")
    return Location2025(**location_fields(r, bits), coord_system=system, missing=r.noted())


def location_fields(r: Reader, bits: int) -> dict[str, Any]:
    """Bit 0: no fix; bit 1: south; bit 2: west."""
    south, west = bool(bits & 2), bool(bits & 4)
    lon, lat = r.scaled(4, "lon_deg", 1_000_000), r.scaled(4, "lat_deg", 1_000_000)
    return {
        "fix_valid": not bits & 1,
        "south": south,
        "west": west,
        "lon_deg": -lon if west and lon else lon,
        "lat_deg": -lat if south and lat else lat,
    }


def extremes(r: Reader) -> Extremes:
    return Extremes(
        max_v_sub=r.whole(1, "max_v_sub"),
        max_v_cell=r.whole(1, "max_v_cell"),
        max_cell_v=r.scaled(2, "max_cell_v", 1000),
        min_v_sub=r.whole(1, "min_v_sub"),
        min_v_cell=r.whole(1, "min_v_cell"),
        min_cell_v=r.scaled(2, "min_cell_v", 1000),
        max_t_sub=r.whole(1, "max_t_sub"),
        max_t_probe=r.whole(1, "max_t_probe"),
        max_temp_c=r.whole(1, "max_temp_c", 40),
        min_t_sub=r.whole(1, "min_t_sub"),
        min_t_probe=r.whole(1, "min_t_probe"),
        min_temp_c=r.whole(1, "min_temp_c", 40),
        missing=r.noted(),
    )


def alarms_2016(r: Reader) -> Alarms:
    return Alarms(**alarm_fields(r), missing=r.noted())


def alarms_2025(r: Reader) -> Alarms:
    fields = alarm_fields(r)
    levels = tuple(
        AlarmLevel(r.u8("alarm bit"), r.u8("alarm level"))
        for _ in range(r.count(1, "general_alarm_levels"))
    )
    return Alarms2025(**fields, general_alarm_levels=levels, missing=r.noted())


def alarm_fields(r: Reader) -> dict[str, Any]:
    max_level = r.whole(1, "max_level")
    flags = r.unsigned(4, "flags")
    return {
        "max_level": max_level,
        "flags": flags,
        "flag_bits": tuple(bit for bit in range(flags.bit_length()) if flags >> bit & 1),
        "storage_faults": fault_codes(r, "storage_faults"),
        "motor_faults": fault_codes(r, "motor_faults"),
        "engine_faults": fault_codes(r, "engine_faults"),
        "other_faults": fault_codes(r, "other_faults"),
    }


def fault_codes(r: Reader, what: str) -> tuple[str, ...]:
    return tuple(f"{r.unsigned(4, what):08X}" for _ in range(r.count(1, what)))


def cell_voltages(r: Reader) -> CellVoltages:
    pages = [
        CellPage(
            no=r.whole(1, f"{at}/no"),
            voltage_v=r.scaled(2, f"{at}/voltage_v", 10),
            current_a=r.scaled(2, f"{at}/current_a", 10, CURRENT_OFFSET[2016]),
            cell_total=r.whole(2, f"{at}/cell_total"),
            frame_start_cell=r.whole(2, f"{at}/frame_start_cell"),
            cells_mv=millivolts(r, r.count(1, f"{at}/cells_in_frame"), f"{at}/cells"),
        )
        for at in range(1, r.count(1, "count") + 1)
    ]
    return CellVoltages(data=tuple(pages), missing=r.noted())


def parallel_unit_voltages(r: Reader) -> ParallelUnitVoltages:
    found = []
    for at in range(1, r.count(1, "count") + 1):
        no = r.whole(1, f"{at}/no")
        voltage_v = r.scaled(2, f"{at}/voltage_v", 10)
        current_a = r.scaled(2, f"{at}/current_a", 10, CURRENT_OFFSET[2025])
        total = r.whole(2, f"{at}/cell_total")
        found.append(
            Cells(
                no=no,
                voltage_v=voltage_v,
                current_a=current_a,
                cell_total=total,
                cells_mv=millivolts(r, total or 0, f"{at}/cells"),
            )
        )
    return ParallelUnitVoltages(data=tuple(found), missing=r.noted())


def probe_temps(r: Reader) -> ProbeTemps:
    found = [
        Probes(
            no=r.whole(1, f"{at}/no"),
            probe_temps_c=temperatures(r, r.count(2, f"{at}/probes"), f"{at}/probe_temps_c"),
        )
        for at in range(1, r.count(1, "count") + 1)
    ]
    return ProbeTemps(data=tuple(found), missing=r.noted())


def fuel_cell_stacks(r: Reader) -> FuelCellStacks:
    found = [
        Stack(
            no=r.whole(1, f"{at}/no"),
            voltage_v=r.scaled(2, f"{at}/voltage_v", 10),
            current_a=r.scaled(2, f"{at}/current_a", 10),
            h2_in_press_kpa=r.scaled(2, f"{at}/h2_in_press_kpa", 10, 1000),
            air_in_press_kpa=r.scaled(2, f"{at}/air_in_press_kpa", 10, 1000),
            air_in_temp_c=r.whole(1, f"{at}/air_in_temp_c", 40),
            coolant_temps_c=temperatures(r, r.count(2, f"{at}/probes"), f"{at}/coolant_temps_c"),
        )
        for at in range(1, r.count(1, "count") + 1)
    ]
    return FuelCellStacks(data=tuple(found), missing=r.noted())


def supercapacitor(r: Reader) -> Supercapacitor:
    return Supercapacitor(
        no=r.whole(1, "no"),
        voltage_v=r.scaled(2, "voltage_v", 10),
        current_a=r.scaled(2, "current_a", 10, CURRENT_OFFSET[2025]),
        cells_mv=millivolts(r, r.count(2, "cells"), "cells"),
        probe_temps_c=temperatures(r, r.count(2, "probes"), "probe_temps_c"),
        missing=r.noted(),
    )


def supercapacitor_extremes(r: Reader) -> SupercapacitorExtremes:
    return SupercapacitorExtremes(
        max_v_sys=r.whole(1, "max_v_sys"),
        max_v_cell=r.whole(2, "max_v_cell"),
        max_cell_v=r.scaled(2, "max_cell_v", 1000),
        min_v_sys=r.whole(1, "min_v_sys"),
        min_v_cell=r.whole(2, "min_v_cell"),
        min_cell_v=r.scaled(2, "min_cell_v", 1000),
        max_t_sys=r.whole(1, "max_t_sys"),
        max_t_probe=r.whole(2, "max_t_probe"),
        max_temp_c=r.whole(1, "max_temp_c", 40),
        min_t_sys=r.whole(1, "min_t_sys"),
        min_t_probe=r.whole(2, "min_t_probe"),
        min_temp_c=r.whole(1, "min_temp_c", 40),
        missing=r.noted(),
    )


def signature(r: Reader) -> Signature:
    code = r.u8("algorithm")
    first = r.take(r.unsigned(2, "length of r"), "r")
    second = r.take(r.unsigned(2, "length of s"), "s")
    name = SIGNATURES.get(code) or f"reserved:{code}"
    return Signature(algorithm=name, algorithm_code=code, r=first, s=second)


def custom(r: Reader) -> Custom:
    length = r.unsigned(2, "length of a custom block")
    return Custom(length=length, content=r.take(length, "a custom block"))


SIGNATURE = 0xFF
FIRST_CUSTOM, LAST_CUSTOM = 0x80, 0xFE

READERS: dict[int, dict[int, Callable[[Reader], Block]]] = {
    2016: {
        0x01: vehicle_2016,
        0x02: motors_2016,
        0x03: fuel_cell,
        0x04: engine_2016,
        0x05: location_2016,
        0x06: extremes,
        0x07: alarms_2016,
        0x08: cell_voltages,
        0x09: probe_temps,
    },
    2025: {
        0x01: vehicle_2025,
        0x02: motors_2025,
        0x03: fuel_cell_system,
        0x04: engine_2025,
        0x05: location_2025,
        0x06: alarms_2025,
        0x07: parallel_unit_voltages,
        0x08: probe_temps,
        0x30: fuel_cell_stacks,
        0x31: supercapacitor,
        0x32: supercapacitor_extremes,
        SIGNATURE: signature,
    },
}


class Info(msgspec.Struct, frozen=True):
    id: int
    block: Block


def read(r: Reader, edition: int) -> tuple[Info, ...]:
    """All blocks up to the end. A block whose length cannot be known is refused."""
    readers = READERS[edition]
    infos = []
    while r.left:
        at = r.u8("id of a block")
        reader = readers.get(at)
        if reader is None:
            if not FIRST_CUSTOM <= at <= LAST_CUSTOM:
                r.refuse(f"unknown block 0x{at:02X} in edition {edition}", back=1)
            reader = custom
        infos.append(Info(at, reader(r)))
        if at == SIGNATURE and r.left:
            r.refuse(f"{r.left} bytes follow the signature")
    return tuple(infos)
