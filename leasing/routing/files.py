"""Instances and plans as files of NumPy arrays (.npz).

An instance is a table (`supply` kg, `capacity` kg, `value`, `hold`; `mass_kg` where packs are not
to be cut) or a network (the fields of `model.Network`, and those of `model.Stage` where firms stand
behind outlets). A plan holds `row`, `column`, `kg` and `price`, and the digest of its instance;
with firms also `firm` and `limit_price`.
"""

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np

from leasing.routing.certificate import Plan
from leasing.routing.model import (
    FORBIDDEN,
    BadInstance,
    Instance,
    Ints,
    Network,
    Packs,
    Places,
    Stage,
    Table,
)

OF_NETWORK = (
    *("chemistry", "hazard", "dispositions", "free_kg", "closed", "takes_chemistries"),
    *("takes_hazards", "single_load_kg", "offer", "freight", "packing"),
)
OF_STAGE = {
    "firm_price": "price",
    "way_outlet": "outlet",
    "way_firm": "firm",
    "way_leg": "leg",
    "limit_firm": "limit_firm",
    "limit_chemistries": "limit_chemistries",
    "limit_kg": "limit_kg",
}
"""Arrays of a file, and the fields of a stage that they are."""
OF_PLACES = ("class_longitude", "class_latitude", "outlet_longitude", "outlet_latitude")


@dataclass(frozen=True)
class PlanFile:
    plan: Plan
    prices: Ints
    instance: str
    """Digest of the instance it is for."""
    limit_prices: Ints | None = None


Source: TypeAlias = Path | BytesIO
"""A file, or what was in one."""


def arrays(source: Source) -> dict[str, np.ndarray]:
    try:
        with np.load(source, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (ValueError, BadZipFile, EOFError) as error:
        name = source.name if isinstance(source, Path) else "this"
        raise BadInstance(f"{name} is not a file of NumPy arrays") from error


def read_instance(path: Source) -> Instance:
    held = arrays(path)
    try:
        return network(held) if {"offer", "firm_price"} & held.keys() else table(held)
    except KeyError as error:
        raise BadInstance(f"an array is missing: {error}") from error


def table(held: dict[str, np.ndarray]) -> Table:
    supply = held["supply"].astype(np.int64)
    mass = held.get("mass_kg", np.ones_like(supply)).astype(np.int64)
    if (mass < 1).any() or (supply % mass).any():
        raise BadInstance("supply is whole packs of mass_kg")
    capacity = held["capacity"].astype(np.int64)
    return Table(Packs(mass, supply // mass), capacity, held["value"], int(held["hold"]))


def network(held: dict[str, np.ndarray]) -> Network:
    if "firm_price" in held:
        # What an outlet gives follows from its firms.
        shape = (*held["firm_price"].shape[:2], len(held["free_kg"]))
        held = {"offer": np.full(shape, FORBIDDEN)} | held
    east, north, outlet_east, outlet_north = (held[name].astype(np.int64) for name in OF_PLACES)
    named: dict[str, Any] = {name: held[name].astype(np.int64) for name in OF_NETWORK}
    one = Network(
        classes=Packs(held["mass_kg"].astype(np.int64), held["packs"].astype(np.int64)),
        at=Places(east, north),
        outlets=Places(outlet_east, outlet_north),
        circuity_percent=int(held["circuity_percent"]),
        hold=int(held["hold"]),
        **named,
    )
    return replace(one, stage=stage(held)) if "firm_price" in held else one


def stage(held: dict[str, np.ndarray]) -> Stage:
    places = (held[name].astype(np.int64) for name in ("firm_longitude", "firm_latitude"))
    return Stage(
        firms=Places(*places),
        freight=int(held["onward_freight"]),
        packing=int(held["onward_packing"]),
        **{field: held[name].astype(np.int64) for name, field in OF_STAGE.items()},
    )


def network_arrays(one: Network) -> dict[str, np.ndarray]:
    points = (one.at.longitude, one.at.latitude, one.outlets.longitude, one.outlets.latitude)
    held = {name: getattr(one, name) for name in OF_NETWORK}
    held |= dict(zip(OF_PLACES, points, strict=True))
    held |= {"mass_kg": one.classes.mass_kg, "packs": one.classes.packs}
    held |= {"circuity_percent": np.int64(one.circuity_percent), "hold": np.int64(one.hold)}
    if one.stage is not None:
        held |= {name: getattr(one.stage, field) for name, field in OF_STAGE.items()}
        firms = one.stage.firms
        held |= {"firm_longitude": firms.longitude, "firm_latitude": firms.latitude}
        held |= {"onward_freight": np.int64(one.stage.freight)}
        held |= {"onward_packing": np.int64(one.stage.packing)}
    return held


def packed(held: dict[str, np.ndarray]) -> bytes:
    """Arrays as a file (.npz)."""
    file = BytesIO()
    save: Any = np.savez_compressed  # its stubs take a name for a flag
    save(file, **held)
    return file.getvalue()


def write_network(path: Path, one: Network) -> None:
    path.write_bytes(packed(network_arrays(one)))


def read_plan(path: Source) -> PlanFile:
    held = arrays(path)
    try:
        row, column, kg, prices = (
            held[name].astype(np.int64) for name in ("row", "column", "kg", "price")
        )
        of = str(held["instance"])
        if "firm" not in held:
            return PlanFile(Plan(row, column, kg), prices, of)
        firm, limit_prices = (held[name].astype(np.int64) for name in ("firm", "limit_price"))
        return PlanFile(Plan(row, column, kg, firm), prices, of, limit_prices)
    except KeyError as error:
        raise BadInstance(f"an array is missing: {error}") from error


def plan_arrays(
    plan: Plan, prices: Ints, instance: str, limit_prices: Ints | None = None
) -> dict[str, np.ndarray]:
    ends = {} if plan.firm is None else {"firm": plan.firm, "limit_price": limit_prices}
    return ends | {
        "row": plan.row,
        "column": plan.column,
        "kg": plan.kg,
        "price": prices,
        "instance": np.array(instance),
    }


def write_plan(path: Path, one: PlanFile) -> None:
    path.write_bytes(packed(plan_arrays(one.plan, one.prices, one.instance, one.limit_prices)))
