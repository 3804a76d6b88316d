"""Telephone numbers in one form."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.parties.phone import PhoneError, normalised


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("13900001234", "+8613900001234"),
        ("139 0000 1234", "+8613900001234"),
        ("139-0000-1234", "+8613900001234"),
        ("+86 139 0000 1234", "+8613900001234"),
        ("0086-13900001234", "+8613900001234"),
        ("１３９００００１２３４", "+8613900001234"),
        ("010-85221234", "+861085221234"),
        ("（010）85221234", "+861085221234"),
        ("(0371) 6585 1234", "+8637165851234"),
        ("0371 6585123", "+863716585123"),
        ("021 2345 6789", "+862123456789"),
        ("+86 (0)371-65851234", "+8637165851234"),
        ("+86-10-8522-1234", "+861085221234"),
        ("400-800-1234", "+864008001234"),
        ("800 810 1234", "+868008101234"),
        ("+852 2123 4567", "+85221234567"),
        ("+44 20 7946 0018", "+442079460018"),
        ("001 650 253 0000", "+16502530000"),
    ],
)
def test_a_number_as_people_write_it_is_kept_as_e164(written: str, number: str) -> None:
    assert normalised(written) == number
    assert normalised(number) == number


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "+",
        "10086",
        "95598",
        "12345678",
        "85221234",
        "12900001234",  # no mobile number begins with 12
        "1390000123",
        "139000012345",
        "010-1522123",  # no subscriber begins with 1
        "010-8522123",  # a short area code is followed by 8 digits
        "0371-658512345",
        "010-85221234-801",
        "010-85221234转801",
        "400-800-123",
        "+86 10086",
        "+86 12900001234",
        "+8637165851234567",
        "+0 123 4567",
        "+12345",
        "+1234567890123456",
        "00",
        "++8613900001234",
        "139\n00001234",
        "13900001234\n",
        "١٣٩٠٠٠٠١٢٣٤",
        "①39000012345",
        "call 13900001234",
    ],
)
def test_what_is_no_number_is_refused(written: str) -> None:
    with pytest.raises(PhoneError):
        normalised(written)


E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


@given(st.text() | st.from_regex(r"\+?[0-9 ()-]{5,20}", fullmatch=True))
def test_any_text_is_refused_or_comes_out_in_a_form_that_stays(text: str) -> None:
    with suppress(PhoneError):
        number = normalised(text)
        assert E164.fullmatch(number)
        assert normalised(number) == number


@given(
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    st.lists(st.tuples(st.integers(0, 11), st.sampled_from(" -().　－")), max_size=5),
    st.sampled_from(["", "+86", "0086", "+86 "]),
)
def test_separators_and_the_country_code_make_no_difference(
    mobile: str, separators: list[tuple[int, str]], before: str
) -> None:
    written = mobile
    for at, separator in separators:
        written = written[:at] + separator + written[at:]
    assert normalised(before + written) == f"+86{mobile}"
