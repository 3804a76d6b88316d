"""What is sent to the tax administration adds up, line by line."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.documents.rules import lines_of
from leasing.einvoices import rules
from leasing.einvoices.model import (
    MAX_LINES,
    NEXT_RED_STATES,
    NEXT_STATES,
    CannotBecome,
    Item,
    NotForEInvoice,
)
from schemas.billing import Component
from schemas.contracts import VatMode
from schemas.einvoices import EInvoiceKind, EInvoiceState, RedLetterState
from tests.documents.test_rules import line
from tests.documents.test_ubl import made_of

ITEMS = {component: Item(f"*租赁*{component}", "3040502020000000000") for component in Component}
ITEMS[Component.BUY_OUT] = Item("*蓄电池*电池", "1090415010000000000")

percents = st.sampled_from([Decimal("0.00"), Decimal("6.00"), Decimal("9.00"), Decimal("13.00")])
components = st.sampled_from([Component.RENT, Component.LOSS, Component.BUY_OUT])


def of_component(component: Component, *rest: object) -> object:
    return line(*rest, component=component)  # type: ignore[arg-type]


billed = st.lists(
    st.builds(
        of_component,
        components,
        st.integers(2, 10**6),
        st.sampled_from(list(VatMode)),
        percents,
    ),
    min_size=1,
    max_size=30,
)


@given(billed, st.booleans())
def test_the_vat_of_the_lines_is_the_vat_of_the_document(lines, take_back):
    if take_back:
        # A small part of the first line is taken back, so that lines are summed up.
        lines = [*lines, line(-1, VatMode.EXCLUSIVE, lines[0].vat_percent)]
    document = made_of(lines)
    try:
        made, is_summed = rules.tax_lines(document, ITEMS)
    except NotForEInvoice:
        assert take_back  # of another item, of which nothing was left
        return
    assert is_summed == (take_back or any(one.net_amount <= 0 for *_, one in lines_of(document)))
    assert sum(one.net_amount for one in made) == document.sums.net_amount
    assert sum(one.vat_amount for one in made) == document.sums.vat_amount
    for one in made:
        # What the tax administration takes as a difference, in fen.
        exact = one.net_amount * Decimal(one.vat_percent) / 100
        assert abs(exact - one.vat_amount) <= 6
    sent = rules.request(document, EInvoiceKind.SPECIAL, "1" * 20, made, None)
    assert sum(Decimal(one["vat"]) for one in sent["lines"]) == Decimal(sent["vat"])
    assert sum(Decimal(one["net"]) for one in sent["lines"]) == Decimal(sent["net"])
    assert Decimal(sent["net"]) + Decimal(sent["vat"]) == Decimal(sent["total"])
    assert int(Decimal(sent["total"]) * 100) == document.sums.total_amount
    for one, shown in zip(made, sent["lines"], strict=True):
        assert Decimal(shown["vat_rate"]) * 100 == Decimal(one.vat_percent)


def test_more_lines_than_are_taken_are_summed_up_within_what_is_taken_as_a_difference():
    lines = [
        line(10_003 + number % 7, VatMode.EXCLUSIVE, Decimal("13.00"), component=component)
        for component in (Component.RENT, Component.LOSS)
        for number in range(MAX_LINES)
    ]
    document = made_of(lines)
    made, is_summed = rules.tax_lines(document, ITEMS)
    assert is_summed
    assert len(made) == 2
    assert sum(one.vat_amount for one in made) == document.sums.vat_amount
    for one in made:
        assert abs(one.net_amount * Decimal(13) / 100 - one.vat_amount) < 1


def test_a_document_that_cannot_be_one_is_refused_with_every_reason():
    document = made_of([line(-100, VatMode.EXCLUSIVE, Decimal("13.00"))])
    with pytest.raises(NotForEInvoice, match=r"comes to nothing; .*buyer .* needs a credit code"):
        rules.refuse_unfit(document, EInvoiceKind.SPECIAL)
    sound = made_of([line(100, VatMode.EXCLUSIVE, Decimal("13.00"))])
    with pytest.raises(NotForEInvoice, match="buyer"):
        rules.refuse_unfit(sound, EInvoiceKind.SPECIAL)
    rules.refuse_unfit(sound, EInvoiceKind.ORDINARY)
    with pytest.raises(NotForEInvoice, match="no tax class was entered for rent"):
        rules.tax_lines(sound, {})


@pytest.mark.parametrize("state", list(EInvoiceState))
@pytest.mark.parametrize("then", list(EInvoiceState))
def test_an_e_invoice_becomes_what_the_table_says_and_nothing_else(state, then):
    if then in NEXT_STATES[state]:
        assert rules.next_state(state, then) is then
    else:
        with pytest.raises(CannotBecome):
            rules.next_state(state, then)


@pytest.mark.parametrize("state", list(RedLetterState))
@pytest.mark.parametrize("then", list(RedLetterState))
def test_a_red_letter_becomes_what_the_table_says_and_nothing_else(state, then):
    if then in NEXT_RED_STATES[state]:
        assert rules.next_red_state(state, then) is then
    else:
        with pytest.raises(CannotBecome):
            rules.next_red_state(state, then)


@given(st.integers(1, 10**12 - 1))
def test_a_serial_number_has_twenty_digits(counted):
    serial = rules.serial_number("20260201", counted)
    assert len(serial) == 20
    assert serial.isdecimal()
