"""Vehicle identification numbers: the check character and what is said of a wrong one."""

import doctest
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.kit import vin

# Published examples of the rule: the regulation's own (49 CFR 565) and the all-ones number.
KNOWN = ("1M8GDM9AXKP042788", "11111111111111111")

NUMBERS = st.text(alphabet=list(vin.VALUES), min_size=17, max_size=17)


def numbered(text: str) -> str:
    """The number with the ninth character that belongs to it."""
    return text[:8] + vin.check_character(text) + text[9:]


@pytest.mark.parametrize("number", KNOWN)
def test_published_numbers_are_accepted(number: str) -> None:
    assert vin.validate(number) == number


@given(NUMBERS)
def test_a_number_with_its_own_check_character_is_accepted_in_any_writing(text: str) -> None:
    number = numbered(text)
    assert vin.validate(f" {number[:5].lower()} {number[5:]}\n") == number


@given(NUMBERS, st.integers(0, 16), st.sampled_from(sorted(vin.VALUES)))
def test_another_character_of_another_value_is_noticed(
    text: str, position: int, other: str
) -> None:
    number = numbered(text)
    wrong = number[:position] + other + number[position + 1 :]
    if vin.VALUES[other] == vin.VALUES[number[position]] and position != 8:
        assert vin.validate(wrong) == wrong  # the rule cannot tell B from 2
    elif wrong != number:
        with pytest.raises(vin.VinError, match="position 9"):
            vin.validate(wrong)


@pytest.mark.parametrize("letter", "IOQ")
def test_a_letter_that_looks_like_a_digit_is_named_with_its_position(letter: str) -> None:
    with pytest.raises(vin.VinError, match=f"position 4: '{letter}'"):
        vin.validate("1M8" + letter + "DM9AXKP042788")


@given(st.text(max_size=30))
def test_any_text_is_a_number_with_its_check_character_or_an_error(text: str) -> None:
    with suppress(vin.VinError):
        number = vin.validate(text)
        assert number == numbered(number)


def test_a_letter_of_another_script_is_not_taken_for_ours() -> None:
    with pytest.raises(vin.VinError, match="position 2: 'ſ'"):
        vin.validate("1ſ8GDM9AXKP042788")


def test_the_example_in_the_documentation_is_right() -> None:
    assert doctest.testmod(vin).failed == 0
