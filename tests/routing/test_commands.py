"""The commands of routing, on files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from jobs.cli import main
from leasing.routing import files, gap
from tests.routing.instances import small_network
from tests.routing.test_flow import DIAMOND

# Cheapest for both jobs is agent 1, which can do one; by trying all four, 1 2 costs 2 + 5.
TWO_BY_TWO = "2 2\n 2 3\n 9 5\n 4 4\n 4 4\n 5 5\n"


def leasing(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["routing", *map(str, words)])


def test_a_flow_file_is_solved_and_written(tmp_path: Path):
    given, out = tmp_path / "a.min", tmp_path / "a.flow"
    given.write_text(DIAMOND, "ascii")
    for words in ([], ["--seconds", "60"]):
        told = leasing("solve-flow", given, "--out", out, *words)
        assert (told.exit_code, told.output) == (0, "14\n")
    flows = [line.split() for line in out.read_text("ascii").splitlines()[1:]]
    costs = [int(line.split()[5]) for line in DIAMOND.splitlines() if line.startswith("a")]
    assert sum(c * int(f[3]) for c, f in zip(costs, flows, strict=True)) == 14


def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path):
    for command in ("solve-flow", "solve-gap", "solve"):
        for content in (b"", b"\x1f\x8b broken", "p min 电".encode(), b"1 2 3"):
            (tmp_path / "x").write_bytes(content)
            told = leasing(command, tmp_path / "x")
            assert told.exit_code == 1, (command, content, told.output)
            assert told.output.startswith("Error: "), (command, content)
            assert isinstance(told.exception, SystemExit)


def test_an_assignment_is_found_with_its_bound(tmp_path: Path):
    (tmp_path / "g").write_text(TWO_BY_TWO, "ascii")
    told = leasing("solve-gap", tmp_path / "g", "--seconds", "5")
    assert told.output.splitlines() == ["value 7", "bound 7", "gap 0.0000 %", "assignment 1 2"]


def test_nothing_but_the_answer_is_on_standard_output(tmp_path: Path):
    (tmp_path / "g").write_text(TWO_BY_TWO, "ascii")
    words = ["routing", "solve-gap", str(tmp_path / "g"), "--seconds", "5"]
    said = subprocess.run(
        [sys.executable, "-m", "jobs", *words], check=True, capture_output=True, text=True
    )
    assert said.stdout.startswith("value 7\nbound 7\n")


def test_an_assignment_that_cannot_be_is_told(tmp_path: Path):
    (tmp_path / "g").write_text("1 2\n 1 1\n 4 4\n 5\n", "ascii")
    told = leasing("solve-gap", tmp_path / "g", "--seconds", "2")
    assert told.exit_code == 1
    assert "none was found" in told.output


def test_proven_assignments_are_reached(shared: Path):
    for name, best in (("a05100", 1698), ("c05100", 1931)):
        one = gap.read(shared / "data" / "routing" / "gap" / name)
        found = gap.solve(one, 20)
        assert (found.value, found.bound) == (best, best)
        assert gap.worth(one, found.agent) == best
        again = gap.parse(gap.written(one))
        assert np.array_equal(again.needs, one.needs)
        assert np.array_equal(again.capacity, one.capacity)


@pytest.mark.parametrize("seed", range(5))
def test_small_assignments_are_the_best_of_all(seed: int):
    random = np.random.default_rng(seed)
    one = gap.Gap(
        random.integers(1, 30, (3, 7)), random.integers(1, 9, (3, 7)), random.integers(14, 18, 3)
    )
    best = min(
        int(one.cost[agent, range(7)].sum())
        for agent in np.indices((3,) * 7).reshape(7, -1).T
        if all((one.needs[a] * (agent == a)).sum() <= one.capacity[a] for a in range(3))
    )
    found = gap.solve(one, 5)
    assert found.value == gap.worth(one, found.agent) == best
    assert found.bound == best
    prices = random.integers(0, 3 * gap.FINE, 3)
    assert gap.lower_bound(one, prices)[0] <= best


def test_mending_makes_no_assignment_worse_and_finds_better_ones():
    random = np.random.default_rng(1)
    one = gap.Gap(random.integers(1, 30, (4, 20)), random.integers(1, 9, (4, 20)), np.full(4, 45))
    start = np.repeat(np.arange(4), 5)
    found = gap.mended(one, start, 0, 1.0)
    assert gap.worth(one, found) < gap.worth(one, start)


def test_an_assignment_that_overfills_an_agent_is_refused():
    one = gap.parse(TWO_BY_TWO)
    with pytest.raises(gap.BadAssignmentFile, match="more to do"):
        gap.worth(one, np.array([0, 0]))
    with pytest.raises(gap.BadAssignmentFile, match="one of the agents"):
        gap.worth(one, np.array([0, 2]))


def test_an_instance_is_planned_and_the_plan_verified_from_the_file(tmp_path: Path):
    instance, flow, packs = (tmp_path / name for name in ("i.npz", "f.npz", "p.npz"))
    files.write_network(instance, small_network(1))
    told = leasing("solve", instance, "--out", flow, "--packs-out", packs)
    assert told.exit_code == 0, told.output
    first, second, plan = told.output.splitlines()
    assert ", gap 0 (0.0 ppm" in first
    assert plan.startswith("plan ")
    for file, line in ((flow, first), (packs, second)):
        shown = leasing("verify", instance, file)
        assert shown.exit_code == 0
        assert line.endswith(shown.output.strip())


def test_a_plan_that_was_tampered_with_is_not_verified(tmp_path: Path):
    instance, other, flow = (tmp_path / name for name in ("i.npz", "o.npz", "f.npz"))
    files.write_network(instance, small_network(1))
    files.write_network(other, small_network(2))
    leasing("solve", instance, "--out", flow)
    told = leasing("verify", other, flow)
    assert (told.exit_code, told.output) == (1, "Error: the plan is for another instance\n")
    held = files.read_plan(flow)
    held.plan.kg[0] += 10_000
    files.write_plan(flow, held)
    told = leasing("verify", instance, flow)
    assert told.exit_code == 1
    assert "not a plan" in told.output


def test_a_table_is_planned_from_its_file(tmp_path: Path):
    np.savez(
        tmp_path / "t.npz",
        supply=np.array([4, 2]),
        mass_kg=np.array([2, 2]),
        capacity=np.array([3, 2]),
        value=np.array([[9, 5], [8, -(2**31)]], dtype=np.int32),
        hold=np.int64(0),
    )
    told = leasing("solve", tmp_path / "t.npz", "--seconds", "60")
    assert told.exit_code == 0, told.output
    # In kilograms 2·9 + 1·8 + 2·5; the first outlet has room for one whole pack, not for two.
    assert "flow in kilograms: value 36, bound 36, gap 0" in told.output
    assert "whole packs: value 28," in told.output


def test_a_generated_instance_says_that_it_is_made_up(tmp_path: Path):
    told = leasing("generate", "200", tmp_path / "g.npz", "--fill", "0.001")
    assert told.exit_code == 0
    assert "generated" in told.output
    assert files.read_instance(tmp_path / "g.npz").classes.packs.sum() == 200
