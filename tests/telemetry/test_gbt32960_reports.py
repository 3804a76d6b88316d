"""What vehicles' frames become: reports of each battery, charging positive."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from leasing.telemetry.decoders.flags import FlagMemory
from leasing.telemetry.decoders.gbt32960 import Frame, Sealed, decode
from leasing.telemetry.decoders.gbt32960_reports import ALARMS_OF, CellPages, reports
from leasing.telemetry.model import Alarm, Missing, Report, Source, SourceKind
from tests.telemetry.frames import SEALED, TIME, VIN, cells, realtime

VEHICLE = "01" + "010301" + "0064000f423f" + "13882775" + "5a010f1770" + "0a00"
"""500.0 V, 10.1 A of discharge, 90 %."""
LATER = TIME[:5] + b"\x0f"
BASE = "0702" + "{flags:08x}" + "00000000"


def of(frame: Frame, pages: CellPages | None = None) -> list[Report]:
    return reports(frame, decode(frame), pages)


def page(*args: int) -> str:
    return "0801" + cells(*args)


def test_a_vehicle_with_one_battery_makes_one_report_of_all_its_blocks():
    (report,) = of(realtime(VEHICLE + page(1, 2, 1, 3276, 3280) + "0901010002474b"))
    assert report.source == Source(SourceKind.VEHICLE, VIN, 1)
    assert (report.voltage_v, report.current_a, report.soc_percent) == (60.2, 5.1, 90)
    assert (report.cells_mv, report.temperatures_c) == ((3276, 3280), (31, 35))
    assert (report.temperature_c, report.temperature_min_c) == (35, 31)
    assert (report.insulation_kohm, report.odometer_km) == (6000, 99999.9)
    assert report.missing == ()
    assert not report.is_reissued


def test_discharge_is_negative_and_no_current_is_no_negative_zero():
    (report,) = of(realtime(VEHICLE))
    assert report.current_a == -10.1
    (resting,) = of(realtime(VEHICLE.replace("13882775", "13882710")))
    assert str(resting.current_a) == "0.0"


def test_a_vehicle_with_two_batteries_makes_a_report_of_each():
    first, second = of(realtime(VEHICLE + "0802" + cells(1, 1, 1, 3276) + cells(2, 1, 1, 3300)))
    assert (first.source.part, second.source.part) == (1, 2)
    assert (first.cells_mv, second.cells_mv) == ((3276,), (3300,))
    assert first.voltage_v == second.voltage_v == 60.2
    assert first.soc_percent == second.soc_percent == 90


def test_the_vehicles_voltage_is_not_that_of_one_battery_of_two():
    two = "0902" + "01000146" + "02000147"
    assert [report.voltage_v for report in of(realtime(VEHICLE + two))] == [None, None]
    assert [report.temperature_c for report in of(realtime(VEHICLE + two))] == [30, 31]


def test_what_is_missing_is_named_with_its_reason():
    unit = VEHICLE.replace("13882775", "fffeffff").replace("5a010f", "78010f")
    (report,) = of(realtime(unit + "0901" + "010003" + "47fffe"))
    assert (report.voltage_v, report.current_a, report.soc_percent) == (None, None, None)
    assert report.temperatures_c == (31, None, None)
    assert dict(report.missing) == {
        "voltage_v": Missing.ABNORMAL,
        "current_a": Missing.INVALID,
        "soc_percent": Missing.OUT_OF_RANGE,
        "temperatures_c/2": Missing.INVALID,
        "temperatures_c/3": Missing.ABNORMAL,
    }


def test_what_a_battery_says_itself_is_no_longer_missing():
    unit = VEHICLE.replace("13882775", "fffeffff")
    (report,) = of(realtime(unit + page(1, 1, 1, 3276)))
    assert (report.voltage_v, report.current_a, report.missing) == (60.2, 5.1, ())


def test_impossible_cells_and_temperatures_are_out_of_range():
    (report,) = of(realtime(page(1, 2, 1, 3276, 60_001) + "0901" + "010001" + "fd"))
    assert report.cells_mv == (3276, None)
    assert report.temperature_c is None
    assert dict(report.missing) == {
        "cells_mv/2": Missing.OUT_OF_RANGE,
        "temperatures_c/1": Missing.OUT_OF_RANGE,
    }


def test_extremes_serve_where_no_probes_are_listed():
    (report,) = of(realtime("06" + "0c0a1d4c" + "0d0b07d0" + "0e0c78" + "0f0d28"))
    assert (report.temperature_c, report.temperature_min_c) == (80, 0)


def test_what_says_nothing_of_batteries_makes_no_report():
    assert of(realtime("0500" + "0" * 16)) == []
    assert of(SEALED) == []
    assert isinstance(decode(SEALED), Sealed)


def test_what_is_reissued_is_marked():
    (report,) = of(realtime(VEHICLE, command=3))
    assert report.is_reissued


def test_alarms_have_names_and_the_level_that_is_certain():
    (one,) = of(realtime(BASE.format(flags=1 << 5)))
    assert one.alarms == (Alarm("cell_over_voltage", begins=True, level=2),)
    (several,) = of(realtime(BASE.format(flags=1 << 5 | 1 << 20)))
    assert [(alarm.code, alarm.level) for alarm in several.alarms] == [
        ("cell_over_voltage", None),
        ("gbt32960_bit_20", None),
    ]
    levels = "01" + "1704"
    new_base = BASE.replace("0702", "0602")
    (new,) = of(realtime(new_base.format(flags=1 << 23 | 1 << 1) + levels, 2025))
    assert [(alarm.code, alarm.level) for alarm in new.alarms] == [
        ("pack_over_temperature", None),
        ("pack_thermal_event", 1),
    ]


def test_the_gravest_level_of_the_protocol_is_level_1():
    graded = [of(realtime(BASE.format(flags=1).replace("0702", f"07{n:02x}")))[0] for n in range(6)]
    assert [one.alarms[0].level for one in graded] == [None, 3, 2, 1, 1, None]


def test_pages_of_cells_are_joined_in_any_order():
    pages = CellPages()
    (first,) = of(realtime(page(1, 5, 4, 3304, 3305)), pages)
    assert first.cells_mv == ()
    (second,) = of(realtime(page(1, 5, 1, 3301, 0xFFFE, 3303)), pages)
    assert second.cells_mv == (3301, None, 3303, 3304, 3305)
    assert second.missing == (("cells_mv/2", Missing.ABNORMAL),)
    assert not pages.open


def test_pages_in_one_frame_are_joined_too():
    unit = "0802" + cells(1, 3, 1, 3301) + cells(1, 3, 2, 3302, 3303)
    (report,) = of(realtime(unit), CellPages())
    assert report.cells_mv == (3301, 3302, 3303)


def test_a_set_that_a_later_one_overtakes_is_told_with_its_gaps():
    pages = CellPages()
    of(realtime(page(1, 4, 2, 3302, 3303)), pages)
    partial, live = of(realtime(page(1, 4, 1, 3301, 3302), time=LATER), pages)
    assert partial.cells_mv == (None, 3302, 3303, None)
    assert partial.missing == (("cells_mv", Missing.INCOMPLETE),)
    assert live.at - partial.at == timedelta(seconds=10)
    assert live.cells_mv == ()


def test_a_page_of_an_earlier_time_joins_no_later_set():
    pages = CellPages()
    of(realtime(page(1, 2, 1, 3301), time=LATER), pages)
    assert of(realtime(page(1, 2, 2, 3309)), pages)[0].cells_mv == ()
    assert of(realtime(page(1, 2, 2, 3302), time=LATER), pages)[0].cells_mv == (3301, 3302)


def test_pages_of_other_vehicles_subsystems_and_of_reissues_are_kept_apart():
    pages = CellPages()
    of(realtime(page(1, 2, 1, 3301)), pages)
    assert of(realtime(page(2, 2, 2, 3302)), pages)[0].cells_mv == ()
    assert of(realtime(page(1, 2, 2, 3302), vin="LOTHER"), pages)[0].cells_mv == ()
    assert of(realtime(page(1, 2, 2, 3302), command=3), pages)[0].cells_mv == ()
    assert of(realtime(page(1, 2, 2, 3302)), pages)[0].cells_mv == (3301, 3302)


def test_a_page_that_contradicts_its_set_joins_nothing():
    pages = CellPages()
    of(realtime(page(1, 4, 1, 3301, 3302)), pages)
    for wrong in (
        page(1, 5, 3, 3303, 3304, 3305),
        page(1, 4, 2, 3309, 3303, 3304),
        page(1, 4, 0, 3300),
        page(1, 4, 4, 3304, 3305),
        page(1, 4, 1, 3309, 3302),
    ):
        assert of(realtime(wrong), pages)[0].cells_mv == ()
    assert of(realtime(page(1, 4, 3, 3303, 3304)), pages)[0].cells_mv == (3301, 3302, 3303, 3304)


def test_sets_are_not_kept_without_end():
    pages = CellPages(max_sets=3)
    found = [of(realtime(page(1, 2, 1, 3301), vin=f"V{n}"), pages) for n in range(5)]
    assert len(pages.open) == 3
    assert [report.source.value for made in found for report in made if report.missing] == [
        "V0",
        "V1",
    ]


@given(st.permutations(range(6)), st.integers(1, 6))
def test_cells_come_out_in_their_order_whatever_the_order_of_pages(order, size):
    pages, found = CellPages(), []
    for nth in order:
        start = nth * size + 1
        unit = page(1, 6 * size, start, *range(3000 + start, 3000 + start + size))
        found.append(of(realtime(unit), pages)[-1].cells_mv)
    assert found[-1] == tuple(range(3001, 3001 + 6 * size))
    assert set(found[:-1]) == {()}


def test_flags_become_alarms_that_begin_and_end():
    memory, every = FlagMemory(max_sources=2), ALARMS_OF[2016]

    def told(flags: int, time: bytes = TIME, vin: str = VIN) -> list[tuple[str, bool]]:
        (report,) = of(realtime(BASE.format(flags=flags), time=time, vin=vin))
        return [(alarm.code, alarm.begins) for alarm in memory.of(report, every)]

    first = told(1)
    assert first[0] == ("temperature_difference", True)
    assert len(first) == 19
    assert not any(begins for _, begins in first[1:])
    assert told(3, LATER) == [("pack_over_temperature", True)]
    assert told(0, TIME) == []
    assert told(2, LATER) == [("temperature_difference", False)]
    told(0, vin="V1")
    told(0, vin="V2")
    assert len(memory.known) == 2
