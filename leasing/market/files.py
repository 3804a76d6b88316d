"""Markets and plans as files of NumPy arrays (.npz), the two together as a proof."""

from collections.abc import Mapping
from dataclasses import fields
from io import BytesIO
from typing import IO
from zipfile import BadZipFile

import numpy as np

from leasing.market.model import BadMarket, Bins, Ints, Market, Models, Needs, Plan, digest

Arrays = Mapping[str, np.ndarray]

PARTS = {"models": Models, "bins": Bins, "needs": Needs}
NUMBERS = ("freight", "circuity_percent", "voltage_tolerance_percent")


def read(file: IO[bytes]) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    except (ValueError, BadZipFile, EOFError, OSError) as error:
        raise BadMarket("this is not a file of NumPy arrays") from error


def market_of(held: Arrays) -> Market:
    try:
        return Market(
            longitude=whole(held, "longitude"),
            latitude=whole(held, "latitude"),
            models=Models(*columns(held, "models")),
            bins=Bins(*columns(held, "bins")),
            needs=Needs(*columns(held, "needs")),
            freight=int(held["freight"]),
            circuity_percent=int(held["circuity_percent"]),
            voltage_tolerance_percent=int(held["voltage_tolerance_percent"]),
        )
    except KeyError as error:
        raise BadMarket(f"the array {error} is missing") from error
    except (TypeError, ValueError) as error:
        raise BadMarket("an array is not whole numbers") from error


def columns(held: Arrays, part: str) -> list[Ints]:
    return [whole(held, f"{part}.{field.name}") for field in fields(PARTS[part])]


def whole(held: Arrays, name: str) -> Ints:
    array = held[name]
    if not np.issubdtype(array.dtype, np.integer):
        raise BadMarket(f"{name} is not whole numbers")
    return array.astype(np.int64)


def arrays_of(market: Market) -> dict[str, np.ndarray]:
    held = {
        f"{name}.{field.name}": getattr(getattr(market, name), field.name)
        for name, kind in PARTS.items()
        for field in fields(kind)
    }
    held |= {name: np.int64(getattr(market, name)) for name in NUMBERS}
    return held | {"longitude": market.longitude, "latitude": market.latitude}


def plan_of(held: Arrays, market: Market) -> tuple[Plan, Ints]:
    """A plan and its prices. Raises BadMarket when it was made for another market."""
    try:
        if str(held["plan.of"]) != digest(market):
            raise BadMarket("the plan is for another market")
        plan = Plan(*(whole(held, f"plan.{name}") for name in ("need", "window", "packs")))
        return plan, whole(held, "plan.prices")
    except KeyError as error:
        raise BadMarket(f"the array {error} is missing") from error


def arrays_of_plan(market: Market, plan: Plan, prices: Ints) -> dict[str, np.ndarray]:
    return {
        "plan.need": plan.need,
        "plan.window": plan.window,
        "plan.packs": plan.packs,
        "plan.prices": prices,
        "plan.of": np.array(digest(market)),
    }


def written(held: dict[str, np.ndarray]) -> bytes:
    into = BytesIO()
    np.savez_compressed(into, allow_pickle=False, **held)
    return into.getvalue()
