"""GB 32100-2015 unified social credit codes, with a GB 11714 organisation code inside."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.parties.credit_code import (
    ALPHABET,
    CreditCodeError,
    check_character,
    organisation_check_character,
    validate,
)

# Codes of real firms and of a hospital, published with descriptions of the algorithm.
PUBLISHED = ["91350100M000100Y43", "91110000101623741K", "911101066976941872",
             "91110108551385082Q"]  # fmt: skip


@pytest.mark.parametrize("code", PUBLISHED)
def test_a_published_code_is_valid(code: str) -> None:
    validate(code)
    assert check_character(code[:17]) == code[17]
    assert organisation_check_character(code[8:16]) == code[16]


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
        ("91350100M000100YX3", "position 17: check character 'X' is not '4'; position 18: "),
    ],
)
def test_a_malformed_code_says_why(code: str, reason: str) -> None:
    with pytest.raises(CreditCodeError, match=reason):
        validate(code)


def test_the_check_character_needs_seventeen() -> None:
    with pytest.raises(CreditCodeError, match="16 characters, expected 17"):
        check_character("9" * 16)


@pytest.mark.parametrize("letter", "IOSVZ")
@pytest.mark.parametrize("at", [1, 9, 16, 17, 18])
def test_letters_that_look_like_digits_are_refused_by_position(letter: str, at: int) -> None:
    code = PUBLISHED[0][: at - 1] + letter + PUBLISHED[0][at:]
    with pytest.raises(CreditCodeError, match=rf"^position {at}: '{letter}' is not a digit or"):
        validate(code)


def test_a_code_whose_organisation_code_is_wrong_is_refused_though_the_whole_adds_up() -> None:
    wrong = "91350100M000100Y5"
    whole = wrong + check_character(wrong)
    with pytest.raises(CreditCodeError, match=r"^position 17: check character '5' is not '4'$"):
        validate(whole)


AREA = st.text("0123456789", min_size=6, max_size=6)
ORGANISATION = st.text(ALPHABET, min_size=8, max_size=8)


@given(ORGANISATION)
def test_an_organisation_code_with_its_check_character_adds_up_to_a_multiple_of_11(
    first8: str,
) -> None:
    check = organisation_check_character(first8)
    values = [int(character, 36) for character in first8] + [10 if check == "X" else int(check)]
    weights = (3, 7, 9, 10, 5, 8, 4, 2, 1)
    assert sum(v * w for v, w in zip(values, weights, strict=True)) % 11 == 0


def test_an_organisation_code_may_end_in_x_and_in_0() -> None:
    # 8 x 4 = 32 leaves 10 of 11, so 1; 1 x 4 + 4 x 2 = 12 leaves 1, so X; 11 x 3 leaves 0.
    assert organisation_check_character("00000080") == "1"
    assert organisation_check_character("00000014") == "X"
    assert organisation_check_character("B0000000") == "0"


def test_the_organisation_s_check_character_needs_eight() -> None:
    with pytest.raises(CreditCodeError, match="7 characters, expected 8"):
        organisation_check_character("0" * 7)


@given(st.text(ALPHABET, min_size=2, max_size=2), AREA, ORGANISATION)
def test_a_code_with_its_check_characters_is_valid(kind: str, area: str, own: str) -> None:
    first17 = kind + area + own + organisation_check_character(own)
    validate(first17 + check_character(first17))


@given(st.text() | st.text(ALPHABET, min_size=18, max_size=18))
def test_any_text_is_valid_or_refused(text: str) -> None:
    with suppress(CreditCodeError):
        validate(text)
        assert text[17] == check_character(text[:17])
        assert text[16] == organisation_check_character(text[8:16])
