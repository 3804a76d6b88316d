"""Files of readings: names of columns, units, and bad rows by their line."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.telemetry.decoders import files
from leasing.telemetry.decoders.files import BadRow, Batch, joined, read_csv, read_parquet
from leasing.telemetry.decoders.frames import FrameError

LABELS = "Test Time / s,Unix Time / s,Voltage / V,Current / A,Surface Temperature T1 / degC"
BDF = f"""{LABELS},Cycle Count / 1
0,1781497800,3.30,-1.5,25.1,1
1,1781497801,3.31,,25.2,1
"""
OWN = """at,pack_code,voltage_mv,current_ma,soc_percent,mood
2026-06-15T12:30:00+08:00,P1,53500,-1500,80,good
2026-06-15T04:30:01Z,P2,53600,0,81,
"""
CORPUS = [BDF.encode(), OWN.encode(), BDF.replace("\n", "\r\n").encode(), b'at,"voltage_v"\n1,2\n']


def csv(text: str, size: int = files.BATCH) -> Batch:
    return joined(read_csv(io.StringIO(text), size))


def bad(text: str) -> list[tuple[int, str]]:
    return [(one.line, one.reason) for one in csv(text).bad]


def parquet(columns: dict[str, object], **options: object) -> bytes:
    pa = pytest.importorskip("pyarrow", reason="needs the extra parquet")
    pq = pytest.importorskip("pyarrow.parquet")
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, **options)
    return out.getvalue()


def test_the_battery_data_format_is_read_by_its_labels():
    found = csv(BDF)
    assert found.values["unix_s"].tolist() == [1781497800.0, 1781497801.0]
    assert found.values["elapsed_s"].tolist() == [0.0, 1.0]
    assert found.values["voltage_v"].tolist() == [3.30, 3.31]
    assert found.values["current_a"][0] == -1.5
    assert np.isnan(found.values["current_a"][1])
    assert found.values["temperature_c"].tolist() == [25.1, 25.2]
    assert found.unknown == ("Cycle Count / 1",)
    assert found.lines.tolist() == [2, 3]
    assert found.bad == ()


def test_machine_readable_names_say_the_same():
    names = "test_time_second,unix_time_second,voltage_volt,current_ampere,temperature_t1_celsius"
    machine = names + ",cycle_count\n" + BDF.partition("\n")[2]
    assert csv(machine).values.keys() == csv(BDF).values.keys()
    assert csv(machine).unknown == ("cycle_count",)


def test_our_names_tell_their_units_and_the_pack():
    found = csv(OWN)
    assert found.values["voltage_v"].tolist() == [53.5, 53.6]
    assert found.values["current_a"].tolist() == [-1.5, 0.0]
    assert found.values["unix_s"].tolist() == [1781497800.0, 1781497801.0]
    assert found.packs is not None
    assert found.packs.tolist() == ["P1", "P2"]
    assert found.unknown == ("mood",)


def test_labels_are_known_without_regard_to_case_and_blanks_but_not_to_units():
    found = csv(
        "\ufeff unix  time/ S ,VOLTAGE /V,Voltage / kV,Temperature / degF\n1781497800,3.3,1,2\n"
    )
    assert found.values["voltage_v"].tolist() == [3.3]
    assert found.unknown == ("Voltage / kV", "Temperature / degF")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the file is empty"),
        ("voltage_v,current_a\n", "no column of time"),
        ("at,soc_percent\n", "no column of voltage or current"),
        ("at,voltage_v,Voltage / mV\n", "tells what another column tells"),
        ("at,Unix Time / s,voltage_v\n", "tells what another column tells"),
        ('at,voltage_v\n2026-06-15T12:30:00Z,"3.3\n', "no CSV"),
        ("at,voltage_v\n" + "1" * 200_000 + ",1\n", "no CSV"),
        ("at,voltage_v\n" + "1" * 1_000_001 + "\n", "more than 1000000 characters"),
        ("at,voltage_v" + ",x" * 2000, "columns, at most"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(text, reason):
    with pytest.raises(FrameError, match=reason):
        csv(text)


def test_bad_rows_are_left_out_and_named_by_their_line():
    head = "at,voltage_v,current_a\n"
    good = "2026-06-15T12:30:00Z,3.3,1\n"
    text = head + good + "\n" + "2026-06-15T12:30:00,3.3,1\n" + "soon,3.3,1\n" + ",3.3,1\n"
    text += "2026-06-15T12:30:00Z,3.3\n" + "2026-06-15T12:30:00Z,nan,1\n"
    text += "2026-06-15T12:30:00Z,3_3,1\n" + "2026-06-15T12:30:00Z,,\n"
    text += "2026-06-15T12:30:00Z,2001,1\n" + "1999-06-15T12:30:00Z,3,1\n" + good
    text += "2026-06-15T12:30:00Z,1e999,1\n" + "2026-06-15T12:30:00Z,٣,1\n"
    found = csv(text)
    assert found.lines.tolist() == [2, 13]
    assert [(line, reason.partition(",")[0]) for line, reason in bad(text)] == [
        (4, "at is '2026-06-15T12:30:00'"),
        (5, "at is 'soon'"),
        (6, "has no time"),
        (7, "2 fields"),
        (8, "voltage_v is 'nan'"),
        (9, "voltage_v is '3_3'"),
        (10, "has neither voltage nor current"),
        (11, "voltage_v is 2001"),
        (12, "unix_s is 9.2945e+08"),
        (14, "voltage_v is inf"),
        (15, "voltage_v is '٣'"),
    ]
    assert found.bad_count == 11


def test_milliseconds_taken_for_seconds_are_refused():
    assert "not between" in bad("Unix Time / s,voltage_v\n1781497800000,3\n")[0][1]
    assert csv("Unix Time / ms,voltage_v\n1781497800000,3\n").values["unix_s"] == [1781497800.0]


def test_a_row_without_the_code_of_its_pack_is_bad():
    text = "at,pack,voltage_v\n2026-06-15T12:30:00Z, ,3\n" + "2026-06-15T12:30:00Z,P,3\n"
    assert bad(text) == [(2, "has no code of a pack")]


def test_a_row_over_several_lines_is_named_by_its_last():
    assert bad('at,voltage_v,note\nx,3,"a\nb"\n')[0][0] == 3


def test_no_more_bad_rows_are_named_than_can_be_read_but_all_are_counted():
    found = csv("at,voltage_v\n" + "x,3\n" * 3_000, size=2_500)
    assert len(found.bad) == 1_000
    assert found.bad_count == 3_000
    assert found.bad[0] == BadRow(2, "at is 'x', no instant")


def test_batches_are_bounded_and_say_together_what_the_file_says():
    text = "Test Time / s,voltage_v\n" + "".join(f"{n},{n % 5}\n" for n in range(105))
    batches = list(read_csv(io.StringIO(text), 25))
    assert [len(one) for one in batches] == [25, 25, 25, 25, 5]
    assert joined(batches).values["elapsed_s"].tolist() == list(range(105))
    assert len(joined([])) == 0


def test_parquet_says_what_the_same_csv_says():
    from datetime import UTC, datetime

    import pyarrow as pa

    data = parquet(
        {
            "at": pa.array(
                [datetime(2026, 6, 15, 4, 30, n, tzinfo=UTC) for n in range(3)] + [None],
                pa.timestamp("us", "UTC"),
            ),
            "voltage_mv": [53500, 53600, None, 53700],
            "current_a": [-1.5, float("nan"), None, 2.0],
            "pack": ["P1", "P2", "P3", "P4"],
            "mood": ["a", "b", "c", "d"],
        }
    )
    found = joined(read_parquet(data, 3))
    assert found.values["unix_s"].tolist() == [1781497800.0, 1781497801.0]
    assert found.values["voltage_v"].tolist() == [53.5, 53.6]
    assert np.isnan(found.values["current_a"][1])
    assert found.lines.tolist() == [1, 2]
    assert [(one.line, one.reason) for one in found.bad] == [
        (3, "has neither voltage nor current"),
        (4, "has no time"),
    ]
    assert found.unknown == ("mood",)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"at": ["x"], "voltage_v": ["3.3"]}, "column 'voltage_v' is string"),
        ({"at": [1.0], "voltage_v": [3.3]}, "column 'at' is double"),
        ({"at": ["x"], "voltage_v": [3.3], "pack": [1]}, "not text"),
        ({"voltage_v": [3.3]}, "no column of time"),
    ],
)
def test_parquet_columns_of_another_type_are_refused(columns, reason):
    with pytest.raises(FrameError, match=reason):
        joined(read_parquet(parquet(columns)))


def test_parquet_instants_without_a_zone_are_refused_and_text_is_read():
    from datetime import datetime

    naive = parquet({"at": [datetime(2026, 6, 15)], "voltage_v": [3.3]})  # noqa: DTZ001
    with pytest.raises(FrameError, match="no time zone"):
        joined(read_parquet(naive))
    text = parquet({"at": ["2026-06-15T12:30:00+08:00", "soon"], "voltage_v": [3, 4]})
    found = joined(read_parquet(io.BytesIO(text)))
    assert found.values["unix_s"].tolist() == [1781497800.0]
    assert found.bad == (BadRow(2, "at is 'soon', no instant"),)


def test_a_parquet_file_cut_short_is_refused():
    data = parquet({"elapsed_s": list(range(100)), "voltage_v": [3.3] * 100})
    assert len(joined(read_parquet(data))) == 100
    for length in range(0, len(data), 7):
        with pytest.raises(FrameError, match="no Parquet"):
            joined(read_parquet(data[:length]))


@given(
    st.text(max_size=200)
    | st.sampled_from([BDF, OWN]).flatmap(
        lambda text: st.tuples(st.integers(0, len(text)), st.text(max_size=5)).map(
            lambda cut: text[: cut[0]] + cut[1] + text[cut[0] :]
        )
    )
)
def test_any_text_is_read_or_refused(text):
    with suppress(FrameError):
        found = csv(text)
        for name, column in found.values.items():
            low, high = files.BOUNDS[name]
            known = column[~np.isnan(column)]
            assert ((low <= known) & (known <= high)).all()
            assert len(column) == len(found)
