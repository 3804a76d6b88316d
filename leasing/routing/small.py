"""Small tight cases: whole packs as an integer programme, by HiGHS, from a plan to begin with.

The search is cut off by nodes and not by time, so that the same input gets the same plan.
"""

import numpy as np

from leasing.routing.highs import solver
from leasing.routing.model import Instance, Ints
from leasing.routing.pricing import Pairs

MOST_PAIRS = 6_000
"""Above, the search takes longer than it is worth."""
MOST_NODES = 20
NEAR_ENOUGH = 1e-5
"""Share of the value that may be left on the table."""


def plan(instance: Instance, pairs: Pairs, start: Ints) -> Ints:
    """How many packs of each pair's class go to its outlet; `start` is such a plan."""
    import highspy

    mass = instance.classes.mass_kg[pairs.row]
    classes, row = np.unique(pairs.row, return_inverse=True)
    outlets, column = np.unique(pairs.column, return_inverse=True)
    many = len(pairs.row)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = many, len(classes) + len(outlets)
    # Tens of CNY, so that numbers are of a size that solvers like.
    lp.col_cost_ = -((pairs.value - instance.hold) * mass) / 1e5
    lp.col_lower_ = np.zeros(many)
    most = np.minimum(instance.classes.packs[pairs.row], instance.free_kg[pairs.column] // mass)
    lp.col_upper_ = most.astype(np.float64)
    lp.row_lower_ = np.full(lp.num_row_, -highspy.kHighsInf)
    there = [instance.classes.packs[classes], instance.free_kg[outlets]]
    lp.row_upper_ = np.concatenate(there).astype(np.float64)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = 2 * np.arange(many + 1)
    lp.a_matrix_.index_ = np.stack([row, len(classes) + column], axis=1).ravel()
    lp.a_matrix_.value_ = np.stack([np.ones(many), mass.astype(np.float64)], axis=1).ravel()
    lp.integrality_ = [highspy.HighsVarType.kInteger] * many
    highs = solver(lp)
    # Not "threads": HiGHS refuses another number than an earlier model of the process had.
    highs.setOptionValue("parallel", "off")
    highs.setOptionValue("mip_max_nodes", MOST_NODES)
    highs.setOptionValue("mip_rel_gap", NEAR_ENOUGH)
    begun = highspy.HighsSolution()
    begun.col_value = start.astype(np.float64).tolist()
    highs.setSolution(begun)
    highs.run()
    found = np.rint(np.array(highs.getSolution().col_value)).astype(np.int64)
    return better(instance, pairs, mass, start, found)


def better(instance: Instance, pairs: Pairs, mass: Ints, start: Ints, found: Ints) -> Ints:
    """What was found, if it is a plan and worth more."""
    if found.shape != start.shape or (found < 0).any():
        return start
    sent = np.zeros(len(instance.classes.packs), dtype=np.int64)
    filled = np.zeros(len(instance.free_kg), dtype=np.int64)
    np.add.at(sent, pairs.row, found)
    np.add.at(filled, pairs.column, found * mass)
    if (sent > instance.classes.packs).any() or (filled > instance.free_kg).any():
        return start
    gained = ((found - start) * (pairs.value - instance.hold) * mass).sum()
    return found if gained > 0 else start
