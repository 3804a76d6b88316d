"""The page of states, and the tables behind it."""

import pytest

from leasing.batteries import model as batteries
from leasing.contracts import model as contracts
from leasing.einvoices import model as einvoices
from leasing.obligations import model as obligations
from leasing.recyclers import model as recyclers
from tests.house.states import FILE, page

TABLES = [
    contracts.NEXT_STATES,
    batteries.NEXT_STATES,
    einvoices.NEXT_STATES,
    einvoices.NEXT_RED_STATES,
    recyclers.NEXT_STATES,
    obligations.NEXT_STATES,
]
IDS = ["contract", "pack", "e-invoice", "red letter", "listing", "obligation"]


def test_the_page_of_states_is_what_the_tables_say() -> None:
    assert FILE.read_text("utf-8") == page(), "run `make states`"


@pytest.mark.parametrize("table", TABLES, ids=IDS)
def test_every_state_is_in_its_table_and_can_be_reached_from_the_first(table) -> None:
    first = next(iter(table))
    assert set(table) == set(type(first))
    reached, found = {first}, [first]
    while found:
        following = table[found.pop()] - reached
        reached |= following
        found += following
    assert reached == set(table)
