"""Packs whose outlet was withdrawn find another in the room that is left; nobody else is moved."""

from dataclasses import replace

import numpy as np

from leasing.routing import columns, whole
from leasing.routing.model import FORBIDDEN, Against, Flags, Instance, Ints, Network, Packs, Table
from leasing.routing.one import some_classes
from leasing.routing.pricing import pricer
from leasing.routing.whole import WholePlan


def rerouted(
    instance: Instance, plan: WholePlan, withdrawn: Ints, prices: Ints | None = None
) -> tuple[WholePlan, WholePlan]:
    """The plan after `withdrawn` outlets take nothing more, and the part of it that is new.

    Hit packs are planned afresh over all other outlets at the room left there. `prices` of the old
    plan's space save learning.
    """
    gone = np.zeros(len(instance.free_kg), dtype=np.bool_)
    gone[withdrawn] = True
    hit = gone[plan.column]
    stays = WholePlan(plan.row[~hit], plan.column[~hit], plan.packs[~hit])
    room = instance.free_kg.copy()
    np.subtract.at(room, stays.column, stays.kg(instance))
    rows, back = np.unique(plan.row[hit], return_inverse=True)
    packs = np.zeros(len(rows), dtype=np.int64)
    np.add.at(packs, back, plan.packs[hit])
    part = narrowed(instance, rows, packs, np.where(gone, 0, room), gone)
    ask = pricer(part)
    found = columns.solve(part) if prices is None else columns.roughly(part, prices, ask)
    small = whole.plan(part, found, ask)
    new = WholePlan(rows[small.row], small.column, small.packs)
    return merged(stays, new), new


def narrowed(instance: Instance, rows: Ints, packs: Ints, room: Ints, gone: Flags) -> Instance:
    if isinstance(instance, Network):
        closed = np.where(gone, Against.QUAL_SUSPENDED, instance.closed)
        return replace(some_classes(instance, rows, packs), free_kg=room, closed=closed)
    value = np.where(gone, FORBIDDEN, instance.value[rows]).astype(np.int32)
    classes = Packs(instance.classes.mass_kg[rows], packs)
    return Table(classes, room, value, instance.hold)


def merged(one: WholePlan, other: WholePlan) -> WholePlan:
    """Both plans, equal pairs added up."""
    pairs = np.stack(
        [np.concatenate([one.row, other.row]), np.concatenate([one.column, other.column])], axis=1
    )
    each, place = np.unique(pairs, axis=0, return_inverse=True)
    packs = np.zeros(len(each), dtype=np.int64)
    np.add.at(packs, place.reshape(-1), np.concatenate([one.packs, other.packs]))
    return WholePlan(each[:, 0].copy(), each[:, 1].copy(), packs)
