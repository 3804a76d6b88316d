"""The commands of the market, on files."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.market import files


def leasing(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["market", *map(str, words)])


def test_a_generated_market_is_planned_and_its_plan_verified(tmp_path: Path):
    given, plan = tmp_path / "a.npz", tmp_path / "b.npz"
    assert leasing("generate", 60, 300, given).exit_code == 0
    told = leasing("solve", given, "--out", plan, "--seconds", 60)
    assert told.exit_code == 0, told.output
    first = told.output.splitlines()[0]
    assert first.startswith("value ")
    again = leasing("verify", plan)
    assert (again.exit_code, again.output.strip()) == (0, first)


def test_a_plan_that_was_tampered_with_is_found_out(tmp_path: Path):
    given, plan = tmp_path / "a.npz", tmp_path / "b.npz"
    leasing("generate", 60, 300, given)
    leasing("solve", given, "--out", plan, "--seconds", 60)
    with plan.open("rb") as file:
        held = files.read(file)
    doubled = {
        **held,
        **{f"plan.{n}": np.tile(held[f"plan.{n}"], 2) for n in ("need", "window", "packs")},
    }
    dearer = {**held, "needs.rent": held["needs.rent"] + 1}
    for wrong, why in ((doubled, "served twice"), (dearer, "another market")):
        plan.write_bytes(files.written(wrong))
        told = leasing("verify", plan)
        assert told.exit_code == 1
        assert why in told.output


def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path):
    for content in (b"", b"PK\x03\x04", b"needs,packs\n"):
        (tmp_path / "x").write_bytes(content)
        for command in ("solve", "verify"):
            told = leasing(command, tmp_path / "x")
            assert told.exit_code == 1, (command, content, told.output)
            assert "Error" in told.output
            assert "Traceback" not in told.output
