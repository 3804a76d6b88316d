"""GB/T 45565 identifiers: what both sources say is checked, and nothing else."""

import doctest
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.batteries import gbt45565
from leasing.batteries.codes import normalise
from leasing.batteries.gbt45565 import IdentifierError, Level, Use, decode

ALNUM = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ENTERPRISES = st.text(alphabet=[c for c in ALNUM if c not in "IO"], min_size=4, max_size=4)
PRODUCTS = st.sampled_from(sorted(gbt45565.PRODUCTS))
STATICS = st.text(alphabet=ALNUM, max_size=24)
VARIABLES = st.text(alphabet=ALNUM, min_size=1, max_size=40)


def test_the_examples_in_the_code_hold() -> None:
    assert doctest.testmod(gbt45565).failed == 0


@given(ENTERPRISES, PRODUCTS, STATICS, st.booleans(), VARIABLES)
def test_what_was_put_together_is_read_apart(enterprise, product, static, second, variable) -> None:
    code = f"{enterprise}{product}{static}{'-R' if second else ''}-{variable}"
    read = decode(f" {code[:6].lower()}\n{code[6:]} ")
    assert (read.enterprise, read.static, read.variable) == (enterprise, static, variable)
    assert (read.use, read.level) == gbt45565.PRODUCTS[product]
    assert (read.is_second_life, read.text) == (second, code)


@given(st.text(max_size=80))
def test_any_text_is_read_as_it_stands_or_refused(text: str) -> None:
    with suppress(IdentifierError):
        assert decode(text).text == normalise(text)


@given(ENTERPRISES, st.integers(0, 3), st.sampled_from("IO"))
def test_an_enterprise_has_no_letter_that_looks_like_a_digit(enterprise, place, letter) -> None:
    wrong = enterprise[:place] + letter + enterprise[place + 1 :]
    with pytest.raises(IdentifierError, match="positions 1-4"):
        decode(f"{wrong}P1-1")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("04QCB76836300JBC40000903", "parted by"),
        ("AB3D-1", "position 5"),
        ("AB3DL5120-1", "product type 'L'"),
        ("AB3DP51_20-1", "static part"),
        ("AB3DP5120-X-1", "'-X'"),
        ("AB3DP5120-R-", "identifier ''"),
        ("AB3DP5120-R-1-2", "parted by"),
        ("", "parted by"),
        ("AB3DP" + "1" * 25 + "-1", "static part"),
        ("AB3DP-" + "1" * 41, "1 to 40"),
    ],
)
def test_what_is_wrong_is_named(text: str, told: str) -> None:
    with pytest.raises(IdentifierError, match=told.replace("(", r"\(")):
        decode(text)


def test_the_letters_of_products_mean_what_the_sources_say() -> None:
    assert gbt45565.PRODUCTS["C"][1] is Level.CELL
    for letters, use in (
        ("ABD", Use.CONSUMER),
        ("EFG", Use.SMALL_POWER),
        ("HJK", Use.STORAGE),
        ("MPS", Use.LARGE_POWER),
    ):
        assert {gbt45565.PRODUCTS[letter][0] for letter in letters} == {use}
    assert set(gbt45565.PRODUCTS) == set("ABCDEFGHJKMPS")
