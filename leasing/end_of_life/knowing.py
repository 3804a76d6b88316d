"""What handlers ask for when they need to know all outlets."""

from typing import cast

from litestar import Request
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide

from leasing.end_of_life.snapshot import Known, Outlets


async def provide_known(request: Request[None, None, State]) -> Known:
    outlets = cast("Outlets", request.scope["state"]["outlets"])
    return await outlets.known()


KNOWS_OUTLETS = {"known": Provide(provide_known)}
AllOutlets = NamedDependency[Known]
