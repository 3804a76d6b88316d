"""What routing rests on over HTTP: rates, and provinces that keep their waste batteries."""

from litestar import get, post
from litestar.params import JSONBody

from leasing.end_of_life import terms_store
from leasing.end_of_life.snapshot import MOST_RULES
from leasing.end_of_life.terms import EmptyDays, TooManyRules
from leasing.http.edge import By, Now, Tx
from leasing.http.pages import Cursor, Limit, Page, after_id, page_by_id
from leasing.http.problems import when_posting, when_reading
from leasing.kit.rows import convert, convert_all
from schemas.routing import (
    ProvinceRuleCreate,
    ProvinceRuleView,
    RoutingTermsCreate,
    RoutingTermsView,
)


@post("/routing-terms", responses=when_posting())
async def enter_routing_terms(
    tx: Tx, caller: By, now: Now, data: JSONBody[RoutingTermsCreate]
) -> RoutingTermsView:
    """What carrying, packing and waiting cost from a day on. Before the first ones assumptions
    hold: 1.4, 2.6 and 5.5 CNY/(t·km) of road (130 % of the great circle), 120, 650 and 2,100 CNY/t
    for packing, 1,500 CNY/t against waiting."""
    row = await terms_store.enter_terms(tx, data, by=str(caller), now=now)
    return convert(row, RoutingTermsView)


@get("/routing-terms", responses=when_reading())
async def list_routing_terms(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[RoutingTermsView]:
    """Routing terms in the order of entry; of a day those with the latest `from_on` hold."""
    rows = await terms_store.terms_after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, RoutingTermsView), limit)


@post("/province-rules", responses=when_posting())
async def enter_province_rule(
    tx: Tx, caller: By, now: Now, data: JSONBody[ProvinceRuleCreate]
) -> ProvinceRuleView:
    """Waste batteries may not leave a province on some days: no outlet elsewhere takes them."""
    if data.valid_to is not None and data.valid_to <= data.valid_from:
        raise EmptyDays("valid_to is after valid_from")
    if await terms_store.ruled(tx, data) >= MOST_RULES:
        raise TooManyRules(f"{MOST_RULES} provinces have one on some of these days")
    return convert(
        await terms_store.enter_rule(tx, data, by=str(caller), now=now), ProvinceRuleView
    )


@get("/province-rules", responses=when_reading())
async def list_province_rules(
    tx: Tx, limit: Limit = 50, cursor: Cursor = None
) -> Page[ProvinceRuleView]:
    """Provinces that keep their waste batteries."""
    rows = await terms_store.rules_after(tx, after_id(cursor), limit + 1)
    return page_by_id(convert_all(rows, ProvinceRuleView), limit)


HANDLERS = [enter_routing_terms, list_routing_terms, enter_province_rule, list_province_rules]
