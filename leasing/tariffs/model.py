"""Price plans and facts: what is refused."""

from leasing.batteries.model import NoSuchPack
from leasing.kit.errors import Conflict, Invalid, NotFound
from leasing.sites.service import NoSuchSite


class NoSuchPlan(NotFound):
    code = "price_plan_not_found"
    title = "There is no such price plan"


class NoSuchPlanVersion(NotFound):
    code = "price_plan_version_not_found"
    title = "There is no such version of a price plan"


class PlanCodeTaken(Conflict):
    code = "price_plan_code_taken"
    title = "Another price plan has this code"


class BadCurrency(Invalid):
    code = "bad_currency"
    title = "Nothing can be charged in this currency"


class BadComponents(Invalid):
    code = "bad_components"
    title = "The components do not fit together"


class PlanPublished(Conflict):
    code = "price_plan_published"
    title = "A published version is never changed; make another one"


class PlanNotUsable(Conflict):
    code = "price_plan_not_usable"
    title = "No version with this id is published and valid on that day"


class PlanCurrency(Conflict):
    code = "price_plan_currency"
    title = "The price plan is in another currency than the contract"


class BadFact(Invalid):
    code = "bad_fact"
    title = "This cannot be so"


class FactExists(Conflict):
    code = "fact_exists"
    title = "A row says this already; name it in supersedes_id to put another in its place"


class NotPresent(Conflict):
    code = "fact_not_present"
    title = "The row to take the place of is not there, or another took its place before"


class NoLineOfOutage(Conflict):
    code = "unknown_line"
    title = "No lease line has this id"


CONSTRAINTS = {
    "price_plan_code_once": PlanCodeTaken,
    "price_plan_version_immutable": PlanPublished,
    "line_revision_plan_published": PlanNotUsable,
    "line_revision_plan_in_the_currency": PlanCurrency,
    "meter_reading_of_a_pack": NoSuchPack,
    "meter_reading_once": FactExists,
    "outage_of_a_site": NoSuchSite,
    "outage_of_a_line": NoLineOfOutage,
    "site_tenancy_of_a_site": NoSuchSite,
    "site_tenancy_one_a_day": FactExists,
    "price_index_once": FactExists,
    "fact_superseded_once": NotPresent,
}
