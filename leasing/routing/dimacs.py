"""Min-cost-flow problems in the format of the first DIMACS challenge (1991).

    c anything
    p min NODES ARCS
    n ID SUPPLY                          nodes count from 1; below 0 is demand
    a FROM TO LOW CAPACITY COST          a capacity below 0 is none

Flows are written as `s VALUE` and a line `f FROM TO FLOW` for each arc, in the order of the file.
"""

import gzip
from pathlib import Path

import numpy as np

from leasing.routing.flow import UNBOUNDED, Arcs, BadNetwork
from leasing.routing.model import Ints

GZIP = b"\x1f\x8b"


def read(path: Path) -> Arcs:
    """A file, gzipped or not."""
    data = path.read_bytes()
    return parse((gzip.decompress(data) if data.startswith(GZIP) else data).decode("ascii"))


def parse(text: str) -> Arcs:
    """Raises BadNetwork with the line that is wrong."""
    sizes: tuple[int, int] | None = None
    supplies: list[tuple[int, int]] = []
    arcs: list[tuple[int, ...]] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        try:
            match words:
                case [] | ["c", *_]:
                    continue
                case ["p", "min", nodes, count] if sizes is None:
                    sizes = int(nodes), int(count)
                case ["n", node, supply]:
                    supplies.append((int(node), int(supply)))
                case ["a", *ends] if len(ends) == 5:
                    arcs.append(tuple(map(int, ends)))
                case [kind, *_] if kind[0] == "c":
                    continue
                case _:
                    raise BadNetwork(f"line {number} is not of the DIMACS format: {line[:60]!r}")
        except ValueError as error:
            raise BadNetwork(f"line {number} needs whole numbers: {line[:60]!r}") from error
    if sizes is None:
        raise BadNetwork("there is no line `p min NODES ARCS`")
    if len(arcs) != sizes[1]:
        raise BadNetwork(f"{sizes[1]} arcs are announced, {len(arcs)} are there")
    return network(sizes[0], supplies, arcs)


def network(nodes: int, supplies: list[tuple[int, int]], arcs: list[tuple[int, ...]]) -> Arcs:
    supply = np.zeros(nodes, dtype=np.int64)
    for node, amount in supplies:
        if not 1 <= node <= nodes:
            raise BadNetwork(f"node {node} is not one of {nodes}")
        supply[node - 1] = amount
    try:
        start, end, low, capacity, cost = np.array(arcs, dtype=np.int64).reshape(-1, 5).T.copy()
    except OverflowError as error:
        raise BadNetwork("a number does not fit into 64 bits") from error
    capacity = np.where(capacity < 0, UNBOUNDED, capacity)
    return Arcs(supply, start - 1, end - 1, low, capacity, cost)


def written(arcs: Arcs, flow: Ints, value: int) -> str:
    lines = [f"s {value}"]
    lines += [
        f"f {start + 1} {end + 1} {sent}"
        for start, end, sent in zip(
            arcs.start.tolist(), arcs.end.tolist(), flow.tolist(), strict=True
        )
    ]
    return "\n".join(lines) + "\n"
