"""`leasing health predict`, `fit`, `report` and `leasing soh` as somebody types them."""

import csv
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from jobs import health_report
from jobs.cli import main
from leasing.health.estimators.model import Prediction
from tests.alarms import cars
from tests.alarms.test_files import parquet


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(one) for one in arguments])


def fades(path: Path) -> Path:
    rows = [f"ESSL1/x,{k},{100 - 0.02 * k}" for k in range(1100)]
    path.write_text("\n".join(["unit,cycle,soh_pct", *rows]), encoding="utf-8")
    return path


def test_predictions_have_the_columns_of_the_task_and_are_the_same_every_time(
    tmp_path: Path,
) -> None:
    file = fades(tmp_path / "fade.csv")
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    for out in (first, second):
        answer = run("health", "predict", "--task", "fade_rul", file, "--out", out)
        assert answer.exit_code == 0, answer.output
    assert first.read_bytes() == second.read_bytes()
    rows = list(csv.DictReader(first.open(encoding="utf-8")))
    assert list(rows[0]) == ["dataset", "unit", "index", "pred", "lower", "upper", "protocol"]
    assert [row["protocol"] for row in rows] == [
        "from_95pct",
        "from_90pct",
        "from_87pct",
        "from_85pct",
    ]
    assert all(len(row["pred"].replace(".", "")) >= 5 for row in rows)
    assert all(float(r["lower"]) < float(r["pred"]) < float(r["upper"]) for r in rows)
    assert {(row["dataset"], row["unit"]) for row in rows} == {("fade_rul", "ESSL1/x")}


def test_a_vehicles_first_alarm_is_written_and_all_alarms_beside_it(tmp_path: Path) -> None:
    def weaken(cells: np.ndarray) -> None:
        cells[:, 1] -= 30

    weak = parquet(cars.with_cells(cars.car(days=8), weaken), tmp_path / "weak.parquet")
    healthy = parquet(cars.car(days=8), tmp_path / "healthy.parquet")
    out = tmp_path / "new folder" / "predictions.csv"
    answer = run("health", "predict", "--task", "ev_field_faults", weak, "--out", out)
    assert answer.exit_code == 0, answer.output
    (row,) = csv.DictReader(out.open(encoding="utf-8"))
    assert (row["dataset"], row["unit"], row["index"]) == ("ev_field_faults", "car9", "0")
    assert row["pred"] == row["lower"] == row["upper"] == "10080"
    alarms = csv.DictReader((out.parent / "alarms.csv").open(encoding="utf-8"))
    assert [(one["kind"], one["cell"]) for one in alarms] == [("static_imbalance", "02")]
    answer = run("health", "predict", "--task", "ev_field_faults", healthy, "--out", out)
    assert answer.exit_code == 0, answer.output
    assert list(csv.DictReader(out.open(encoding="utf-8"))) == []
    answer = run("health", "predict", "--task", "ev_field_faults", fades(tmp_path / "f.csv"))
    assert answer.exit_code == 1
    assert "f.csv" in answer.output


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "unit,cycle\nx,1\n", "fade_rul needs the columns soh_pct"),
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", "unit,cycle,soh_pct\nx,1\n", "line 2: 2 values under 3 columns"),
        ("a.txt", "unit\n", "a table is a .parquet or a .csv file"),
        ("a.parquet", "no such thing", "is not a Parquet file"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    answer = run("health", "predict", "--task", "fade_rul", file)
    assert answer.exit_code == 1
    assert told in answer.output
    assert "Traceback" not in answer.output


def test_commissioning_belongs_to_one_task(tmp_path: Path) -> None:
    file = fades(tmp_path / "fade.csv")
    answer = run("health", "predict", "--task", "fade_rul", file, "--commissioned", file)
    assert answer.exit_code == 2
    assert "--commissioned goes with --task nasa_pcoe_18650" in answer.output


@pytest.mark.parametrize("command", ["fit", "report"])
def test_without_the_measurements_fit_and_report_say_so(tmp_path: Path, command: str) -> None:
    answer = run("health", command, "--data", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert answer.exit_code == 1
    assert "nowhere is not there" in answer.output
    assert "--data" in answer.output
    assert not (tmp_path / "out").exists()


def test_a_report_counts_what_was_not_answered_and_what_was_covered() -> None:
    found = [
        Prediction("a", 0, 101.0, 99.0, 103.0),
        Prediction("a", 1, 97.0, 96.0, 98.0),
        Prediction("b", 9, 1.0, 1.0, 1.0),
    ]
    truth = {("a", 0): 100.0, ("a", 1): 100.0, ("a", 2): 100.0}
    row = health_report.score("t", "Ah", found, truth, 3, "b")
    assert (row.answered, row.abstained) == (2, 1)
    assert row.rmse == pytest.approx(5**0.5)
    assert (row.mape, row.largest, row.bias) == pytest.approx((2.0, 3.0, -1.0))
    assert (row.coverage, row.width) == (0.5, 3.0)
    nothing = health_report.score("t", "Ah", [], truth, 3, "b")
    assert (nothing.answered, nothing.abstained) == (0, 3)
    assert "| t | 0 | 3 |" in health_report.page([nothing])


# One pack from a file


def charged(path: Path, header: str, sign: float = 1.0) -> Path:
    """Sixteen LFP cells from empty to full: 90 Ah at 30 A and 25 °C."""
    t_s = np.arange(0.0, 3 * 3600.0 + 1, 30.0)
    moved = t_s / t_s[-1]
    cell_v = 3.28 + 0.1 * moved + 0.35 * np.exp((moved - 1) / 0.01) - 0.5 * np.exp(-moved / 0.01)
    rows = [f"{t},{16 * v:.4f},{30 * sign},25" for t, v in zip(t_s, cell_v, strict=True)]
    rest = [f"{-60 + 30 * k},{16 * 2.75},0,25" for k in range(2)]
    path.write_text("\n".join([header, *rest, *rows]), encoding="utf-8")
    return path


OURS = "t_s,voltage_v,current_a,temperature_c"
DATA_FORMAT = "Test Time / s,Voltage / V,Current / A,Ambient Temperature / degC"


@pytest.mark.parametrize("header", [OURS, DATA_FORMAT])
def test_a_whole_charge_tells_capacity_interval_method_and_error_terms(
    tmp_path: Path, header: str
) -> None:
    file = charged(tmp_path / "pack.csv", header)
    answer = run("soh", file, "--rated-ah", 100)
    assert answer.exit_code == 0, answer.output
    assert "363 readings, 16 cells in series (told from the voltage" in answer.output
    assert "Capacity 90." in answer.output
    assert "State of health 90." in answer.output
    assert "90 % interval" in answer.output
    assert "Method coulomb.anchored" in answer.output
    for term in ("gain", "offset", "start state", "end state", "temperature", "rate"):
        assert f"  {term}" in answer.output
    # 1 % of a capacity of 90 Ah in 100 is 0.9 points.
    assert "  gain          0.90" in answer.output
    assert "from 0 % (empty) to 100 % (cut_off)" in answer.output


def test_without_a_rating_there_is_a_capacity_and_no_state_of_health(tmp_path: Path) -> None:
    answer = run("soh", charged(tmp_path / "pack.csv", OURS), "--cells", 16)
    assert answer.exit_code == 0, answer.output
    assert "Capacity 90." in answer.output
    assert "State of health: of what? Say --rated-ah" in answer.output
    assert "told from the voltage" not in answer.output


def test_the_sign_of_the_current_can_be_turned(tmp_path: Path) -> None:
    file = charged(tmp_path / "pack.csv", OURS, sign=-1.0)
    wrong = run("soh", file, "--rated-ah", 100)
    assert wrong.exit_code == 1
    right = run("soh", file, "--rated-ah", 100, "--discharge-positive", "--json")
    assert right.exit_code == 0
    found = msgspec.json.decode(right.output)
    assert found["capacity_mah"] == pytest.approx(90_000, rel=0.01)
    assert found["lower_mah"] < found["capacity_mah"] < found["upper_mah"]


def test_part_of_a_charge_is_no_answer_and_the_reason_is_told(tmp_path: Path) -> None:
    whole = charged(tmp_path / "pack.csv", OURS).read_text(encoding="utf-8").splitlines()
    part = tmp_path / "part.csv"
    part.write_text("\n".join([whole[0], *whole[100:250]]), encoding="utf-8")
    answer = run("soh", part, "--rated-ah", 100)
    assert answer.exit_code == 1
    assert "No estimate: the state of charge is known at neither end" in answer.output
    assert "(no_anchor)" in answer.output


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b\n1,2\n", "no column of time"),
        ("t_s,current_a\n1,2\n2,3\n", "no column of voltage: one of voltage_v"),
        ("ts,voltage_v,current_a\nyesterday,52,1\n", "what is no instant"),
        ("t_s,voltage_v,current_a\n1,high,2\n2,52,2\n", "voltage_v holds what is no number"),
        ("t_s,voltage_v,current_a\n1,52,0\n", "fewer than two readings"),
        ("t_s,voltage_v,current_a\n1,52,0\n2,52,0\n", "no charge flowed"),
    ],
)
def test_a_file_that_holds_no_readings_is_refused_by_column(
    tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(content, encoding="utf-8")
    answer = run("soh", file)
    assert answer.exit_code == 1
    assert told in answer.output
