"""What a measurement found."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """A figure beside its floor. A ratio below `at_least`, or above `at_most`, is bad news.

    Both are taken in turns, several times. `value` and `floor` are medians, and `ratio` is the
    median over the turns: what else the machine was busy with in a turn slowed both.
    """

    what: str
    unit: str
    value: float
    floor: float
    ratio: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bound(self) -> str:
        return f"≥ {self.at_least}" if self.at_least is not None else f"≤ {self.at_most}"

    @property
    def holds(self) -> bool:
        low = self.at_least is None or self.ratio >= self.at_least
        return low and (self.at_most is None or self.ratio <= self.at_most)


def shown(values: Sequence[float], digits: int = 2) -> str:
    return " ".join(f"{value:,.{digits}f}" for value in values)


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time that processes have used so far; 0 where the system does not tell."""
    ticks = 0
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            continue
        utime, stime = stat.rpartition(")")[2].split()[11:13]
        ticks += int(utime) + int(stime)
    return ticks / 100


def cpu_of_family(pid: int) -> float:
    """CPU time that a process and its children have used so far, also children that are gone; 0
    where the system does not tell."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            of, _, told = stat.read_text().rpartition(")")
        except OSError:
            continue
        fields = told.split()
        if int(of.partition(" ")[0]) == pid:
            ticks += sum(map(int, fields[11:15]))
        elif int(fields[1]) == pid:
            ticks += sum(map(int, fields[11:13]))
    return ticks / 100
