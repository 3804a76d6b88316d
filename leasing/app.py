"""The web application: every context's routes behind one edge."""

from collections.abc import Callable
from functools import cache
from typing import Any

from litestar import Litestar, Router
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, Receive, Scope, Send

from leasing.access.gate import Gate
from leasing.accounting import api as accounting
from leasing.alarms import api as alarms
from leasing.alarms import model as alarms_model
from leasing.annotations import api as annotations
from leasing.annotations import model as annotations_model
from leasing.autonomy import api as autonomy
from leasing.balances import api as balances
from leasing.batteries import api as batteries
from leasing.batteries import model as batteries_model
from leasing.billing import api as billing
from leasing.billing import model as billing_model
from leasing.consignments import api as consignments
from leasing.consignments import model as consignments_model
from leasing.contracts import api as contracts
from leasing.contracts import batch_api, lines_api
from leasing.contracts import model as contracts_model
from leasing.db import clock
from leasing.db.pool import Database
from leasing.deals import api as deals
from leasing.deals import model as deals_model
from leasing.documents import api as documents
from leasing.documents import labels_api
from leasing.documents.service import Press
from leasing.einvoices import api as einvoices
from leasing.einvoices import model as einvoices_model
from leasing.end_of_life import api as end_of_life
from leasing.end_of_life import firms_api, plans_api, recovery_api
from leasing.end_of_life import model as end_of_life_model
from leasing.end_of_life import terms_api as routing_terms_api
from leasing.end_of_life.snapshot import Outlets
from leasing.gateways import api as gateways
from leasing.health import api as health
from leasing.http.docs import DocsPage
from leasing.http.edge import (
    Edge,
    provide_caller,
    provide_db,
    provide_now,
    provide_tx,
    provide_unreadable,
)
from leasing.http.fields import JsonRequest
from leasing.http.openapi import DocumentConfig
from leasing.http.problems import exception_handlers
from leasing.http.request_id import RequestId
from leasing.kit.errors import DomainError
from leasing.ledger import api as ledger
from leasing.ledger import model as ledger_model
from leasing.life_files import api as life_files
from leasing.maintenance import api as maintenance
from leasing.maintenance import model as maintenance_model
from leasing.market import api as market
from leasing.market import states as market_states
from leasing.matching import api as matching
from leasing.obligations import api as obligations
from leasing.obligations import model as obligations_model
from leasing.outlets import api as outlets
from leasing.outlets import model as outlets_model
from leasing.parties import api as parties
from leasing.parties import model as parties_model
from leasing.passports import api as passports
from leasing.passports import model as passports_model
from leasing.quotes import api as quotes
from leasing.quotes import service as quotes_service
from leasing.receivables import api as receivables
from leasing.receivables import model as receivables_model
from leasing.receivables import terms_api
from leasing.recyclers import api as recyclers
from leasing.recyclers import model as recyclers_model
from leasing.returns import api as returns
from leasing.returns import model as returns_model
from leasing.sheets import api as sheets
from leasing.sites import api as sites
from leasing.sites import devices as sites_devices
from leasing.sites import service as sites_service
from leasing.system import api as system
from leasing.system import status
from leasing.tariffs import api as tariffs
from leasing.tariffs import facts_api
from leasing.telemetry import api as telemetry
from leasing.timeline import api as timeline
from leasing.traceability import api as traceability
from leasing.traceability import model as traceability_model

CONSTRAINTS: dict[str, Callable[..., DomainError]] = {
    **clock.CONSTRAINTS,
    **parties_model.CONSTRAINTS,
    **outlets_model.CONSTRAINTS,
    **recyclers_model.CONSTRAINTS,
    **sites_service.CONSTRAINTS,
    **sites_devices.CONSTRAINTS,
    **batteries_model.CONSTRAINTS,
    **contracts_model.CONSTRAINTS,
    **annotations_model.CONSTRAINTS,
    **alarms_model.CONSTRAINTS,
    **maintenance_model.CONSTRAINTS,
    **ledger_model.CONSTRAINTS,
    **billing_model.CONSTRAINTS,
    **receivables_model.CONSTRAINTS,
    **einvoices_model.CONSTRAINTS,
    **quotes_service.CONSTRAINTS,
    **returns_model.CONSTRAINTS,
    **end_of_life_model.CONSTRAINTS,
    **passports_model.CONSTRAINTS,
    **consignments_model.CONSTRAINTS,
    **deals_model.CONSTRAINTS,
    **traceability_model.CONSTRAINTS,
    **obligations_model.CONSTRAINTS,
    **market_states.CONSTRAINTS,
}

HANDLERS = [
    *system.HANDLERS,
    *parties.HANDLERS,
    *outlets.HANDLERS,
    *recyclers.HANDLERS,
    *batteries.HANDLERS,
    *traceability.HANDLERS,
    *sites.HANDLERS,
    *sheets.HANDLERS,
    *tariffs.HANDLERS,
    *facts_api.HANDLERS,
    *contracts.HANDLERS,
    *lines_api.HANDLERS,
    *batch_api.HANDLERS,
    *annotations.HANDLERS,
    *alarms.HANDLERS,
    *telemetry.HANDLERS,
    *gateways.HANDLERS,
    *health.HANDLERS,
    *autonomy.HANDLERS,
    *maintenance.HANDLERS,
    *matching.HANDLERS,
    *market.HANDLERS,
    *ledger.HANDLERS,
    *billing.HANDLERS,
    *accounting.HANDLERS,
    *receivables.HANDLERS,
    *terms_api.HANDLERS,
    *documents.HANDLERS,
    *labels_api.HANDLERS,
    *einvoices.HANDLERS,
    *quotes.HANDLERS,
    *returns.HANDLERS,
    *end_of_life.HANDLERS,
    *recovery_api.HANDLERS,
    *consignments.HANDLERS,
    *deals.HANDLERS,
    *routing_terms_api.HANDLERS,
    *firms_api.HANDLERS,
    *plans_api.HANDLERS,
    *timeline.HANDLERS,
    *passports.HANDLERS,
    *balances.HANDLERS,
    *life_files.HANDLERS,
    *obligations.HANDLERS,
]


def create(db: Database) -> ASGIApp:
    """The application on an open database. Whoever opened the database closes it."""
    gate = Gate(db, remember_seconds=db.settings.key_memory_seconds)
    alive = {"db": db, "gate": gate, "press": Press(db), "outlets": Outlets(db)}
    return RequestId(Bound(routes(db.settings.max_body_bytes), alive))


class Bound:
    """Routes bound to what lives. Each request carries it in its ASGI state, so one set of routes,
    which is dear to make, serves any number of databases."""

    def __init__(self, app: ASGIApp, alive: dict[str, Any]) -> None:
        self.app = app
        self.alive = alive

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            scope.setdefault("state", {}).update(self.alive)
        await self.app(scope, receive, send)


@cache
def routes(max_body_bytes: int) -> Litestar:
    """Every route, on no database yet."""
    v1 = Router(
        path="/v1",
        route_handlers=HANDLERS,
        middleware=[Edge()],
        dependencies={
            "tx": Provide(provide_tx, sync_to_thread=False),
            "caller": Provide(provide_caller, sync_to_thread=False),
            "now": Provide(provide_now),
            "unreadable": Provide(provide_unreadable, sync_to_thread=False),
        },
        security=[{"api_key": []}],
    )
    return Litestar(
        route_handlers=[
            v1,
            *status.HANDLERS,
            *passports.PUBLIC_HANDLERS,
            *life_files.PUBLIC_HANDLERS,
        ],
        request_class=JsonRequest,
        request_max_body_size=max_body_bytes,
        exception_handlers=exception_handlers(CONSTRAINTS),
        dependencies={"db": Provide(provide_db, sync_to_thread=False)},
        openapi_config=DocumentConfig(
            title="Battery leasing",
            version="0.1.0",
            path="/schema",
            render_plugins=[DocsPage()],
            use_handler_docstrings=True,
            components=Components(
                security_schemes={
                    "api_key": SecurityScheme(
                        type="http", scheme="bearer", description="An API key, bl_…"
                    )
                }
            ),
        ),
        logging_config=None,
    )
