"""GB 32100-2015 unified social credit codes."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.parties.credit_code import ALPHABET, CreditCodeError, check_character, validate

# Codes of real firms and of a hospital, published with descriptions of the algorithm.
PUBLISHED = ["91350100M000100Y43", "91110000101623741K", "911101066976941872"]


@pytest.mark.parametrize("code", PUBLISHED)
def test_a_published_code_is_valid(code: str) -> None:
    validate(code)
    assert check_character(code[:17]) == code[17]


@pytest.mark.parametrize("code", PUBLISHED)
def test_every_single_wrong_character_is_noticed(code: str) -> None:
    for at in range(18):
        for character in set(ALPHABET) - {code[at]}:
            with pytest.raises(CreditCodeError):
                validate(code[:at] + character + code[at + 1 :])


def test_a_registered_code_with_a_wrong_check_character_is_known() -> None:
    with pytest.raises(CreditCodeError, match="position 18: check character '6' is not 'R'"):
        validate("91350211M0000XUF46")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("", "0 characters"),
        ("91350100M000100Y4", "17 characters"),
        ("91350100M000100Y433", "19 characters"),
        ("91350100I000100Y43", "position 9: 'I'"),
        ("91350100m000100Y43", "position 9: 'm'"),
        ("9135A100M000100Y43", "position 5: 'A' is not a digit"),
    ],
)
def test_a_malformed_code_says_why(code: str, reason: str) -> None:
    with pytest.raises(CreditCodeError, match=reason):
        validate(code)


def test_the_check_character_needs_seventeen() -> None:
    with pytest.raises(CreditCodeError, match="16 characters, expected 17"):
        check_character("9" * 16)


@given(st.text(ALPHABET, min_size=2, max_size=2), st.text("0123456789", min_size=6, max_size=6),
       st.text(ALPHABET, min_size=9, max_size=9))  # fmt: skip
def test_a_code_with_its_check_character_is_valid(kind: str, area: str, own: str) -> None:
    first17 = kind + area + own
    validate(first17 + check_character(first17))


@given(st.text() | st.text(ALPHABET, min_size=18, max_size=18))
def test_any_text_is_valid_or_refused(text: str) -> None:
    with suppress(CreditCodeError):
        validate(text)
        assert text[17] == check_character(text[:17])
