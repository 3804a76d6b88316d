"""What the tests of recyclers have in common."""

from datetime import date
from typing import Any

from jobs import runner
from jobs.registry import JOBS
from tests import build
from tests.build import Json, World


async def step(world: World, recycler_id: str, reason: str, on: date | str) -> list[Json]:
    made: list[Json] = await world.staff.post(
        f"/v1/recyclers/{recycler_id}/listing-steps",
        {"reason": reason, "on": str(on), "document": f"公告 {reason}"},
    )
    return made


async def listed(world: World, on: date | str) -> Json:
    """A recycler that is on the list from a day on."""
    firm = await build.recycler(world)
    await step(world, firm["id"], "announced", on)
    return firm


async def report(world: World, recycler_id: str, year: int, filed_on: date | str) -> Any:
    return await world.staff.post(
        f"/v1/recyclers/{recycler_id}/annual-reports",
        {"year": year, "filed_on": str(filed_on), "document": f"{year} 年度报告"},
    )


async def run_job(world: World, on: date) -> None:
    await world.set_clock(on)
    job = JOBS["recyclers"]
    assert await runner.run_once(world.db, "recyclers", job, on, lambda done, total: None) == "done"


async def states(world: World, recycler_id: str) -> list[tuple[str, str, str]]:
    page = await world.staff.get(f"/v1/recyclers/{recycler_id}")
    return [(one["state"], one["from_on"], one["reason"]) for one in page["steps"]]
