"""GB/T 34014 battery codes: what is published must read, what is wrong must say where."""

import string
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leasing.batteries.codes import (
    DIGITS_AND_CAPITALS,
    FIRST_DATE,
    INVALID,
    LAST_DATE,
    SWAPPED_HALVES,
    UNRECOGNISED,
    WRONG_LENGTH,
    BatteryCode,
    BatteryCodeError,
    Chemistry,
    Form,
    ProductType,
    decode,
    doubts,
    encode,
    encode_date,
    normalise,
)

AS_OF = date(2026, 8, 1)
EVE = "04QCB76836300JBC40000903"
CASCADE = "9ZZPB51G1A0000001RP"
P, M, C = ProductType.PACK, ProductType.MODULE, ProductType.CELL
LFP, LMO, TERNARY = Chemistry.LFP, Chemistry.LMO, Chemistry.TERNARY

NEW_PACK: dict[str, Any] = {
    "manufacturer": "9ZZ",
    "product_type": P,
    "chemistry": LFP,
    "specification": "51",
    "made_on": date(2026, 1, 10),
    "serial": 1,
    "traceability": "0000000",
}

PUBLISHED = [
    (EVE, "04Q", C, LFP, "76", "836300J", date(2021, 12, 4), 903),
    ("001CB240000003B3C0221953", "001", C, LFP, "24", "0000003", date(2021, 3, 12), 221953),
    ("04QCB52091380JG120006435", "04Q", C, LFP, "52", "091380J", date(2026, 1, 2), 6435),
    *(
        (f"0RJPEA00HAU0AAF13{n}", "0RJ", P, TERNARY, "A0", "0HAU0AA", date(2025, 1, 3), n)
        for n in range(1001955, 1001958)
    ),
    *(
        (f"X12CCPM27KLPCLE66{n}", "X12", C, LMO, "PM", "27KLPCL", date(2024, 6, 6), n)
        for n in range(2382320, 2382324)
    ),
    *(
        (f"B54MCPM27KLPCLE6A{n}", "B54", M, LMO, "PM", "27KLPCL", date(2024, 6, 10), n)
        for n in range(7519857, 7519859)
    ),
    ("4A6PCPM27KLPCLE742946319", "4A6", P, LMO, "PM", "27KLPCL", date(2024, 7, 4), 2946319),
    *(
        (f"X12MCPM27KLPCLX2M{n}", "X12", M, LMO, "PM", "27KLPCL", date(2039, 2, 21), n)
        for n in range(2382320, 2382327)
    ),
]

three = st.text(DIGITS_AND_CAPITALS, min_size=3, max_size=3)
two = st.text(DIGITS_AND_CAPITALS, min_size=2, max_size=2)
seven = st.text(DIGITS_AND_CAPITALS, min_size=7, max_size=7)
code_fields = st.fixed_dictionaries(
    {
        "manufacturer": three,
        "product_type": st.sampled_from(ProductType),
        "chemistry": st.sampled_from(Chemistry),
        "specification": two,
        "made_on": st.dates(FIRST_DATE, LAST_DATE),
        "serial": st.integers(1, 9_999_999),
    }
)
new_fields = st.tuples(code_fields, seven).map(lambda t: t[0] | {"traceability": t[1]})
cascade_fields = st.tuples(code_fields, st.sampled_from(ProductType)).map(
    lambda t: t[0] | {"cascade_source": t[1]}
)
any_fields = new_fields | cascade_fields


def attempt(text: str) -> BatteryCode | BatteryCodeError:
    try:
        return decode(text)
    except BatteryCodeError as error:
        return error


def refusal(text: str) -> BatteryCodeError:
    answer = attempt(text)
    assert isinstance(answer, BatteryCodeError), answer
    return answer


def names(error: BatteryCodeError, position: int) -> bool:
    return any(
        f.position is not None and f.position <= position < f.position + len(f.characters)
        for f in error.faults
    )


@pytest.mark.parametrize("sample", PUBLISHED, ids=[sample[0] for sample in PUBLISHED])
def test_a_published_code_reads_as_published(sample: tuple[Any, ...]) -> None:
    text, manufacturer, product_type, chemistry, specification, trace, made_on, serial = sample
    assert decode(str(text)) == BatteryCode(
        form=Form.NEW,
        manufacturer=manufacturer,
        product_type=product_type,
        chemistry=chemistry,
        specification=specification,
        traceability=trace,
        made_on=made_on,
        serial=serial,
        cascade_source=None,
        text=text,
    )


def test_nineteen_characters_are_a_cascade_code() -> None:
    assert decode(CASCADE) == BatteryCode(
        form=Form.CASCADE,
        manufacturer="9ZZ",
        product_type=ProductType.PACK,
        chemistry=Chemistry.LFP,
        specification="51",
        traceability=None,
        made_on=date(2026, 1, 10),
        serial=1,
        cascade_source=ProductType.PACK,
        text=CASCADE,
    )


def test_only_the_published_codes_of_2039_are_doubted() -> None:
    doubted = [code for code, *_ in PUBLISHED if doubts(decode(code), AS_OF)]
    assert doubted == [f"X12MCPM27KLPCLX2M{n}" for n in range(2382320, 2382327)]
    (doubt,) = doubts(decode(doubted[0]), AS_OF)
    assert doubt.code == "battery_code_future_date"
    assert "2039-02-21" in doubt.reason


def test_a_night_shift_may_date_its_work_by_tomorrow() -> None:
    code = decode("001CB240000003B3C0221953")
    assert doubts(code, date(2021, 3, 12)) == ()
    assert doubts(code, date(2021, 3, 11)) == ()
    assert len(doubts(code, date(2021, 3, 10))) == 1
    assert doubts(code, date(2021, 3, 10), tolerance_days=2) == ()


@pytest.mark.parametrize(
    "text",
    [
        EVE.lower(),
        f"  {EVE}\n",
        "04QCB76836300J\nBC40000903",
        "04QCB76836300J\r\nBC40000903",
        "04QCB76836300\nJBC40000903",
        "04Q C B 76 836300J BC4 0000903",
        "04QCB76836300J\u3000BC4\u00a00000903",
        "".join(chr(ord(c) + 0xFEE0) for c in EVE),  # as a Chinese input method types it
    ],
)
def test_a_code_reads_however_it_was_scanned_or_typed(text: str) -> None:
    assert decode(text).text == EVE


@pytest.mark.parametrize("lookalike", ["ſ", "ı", "ß", "٣", "Q\u0301"])
def test_folding_makes_no_code_out_of_foreign_letters(lookalike: str) -> None:
    assert normalise(lookalike) == lookalike
    refusal(EVE[:7] + lookalike + EVE[7 + len(lookalike) :])


def test_the_published_wrong_order_is_refused_with_the_right_one() -> None:
    error = refusal("jbc4000090304qcb76836300")
    assert error.code == SWAPPED_HALVES
    assert error.suggestions == (EVE,)
    assert names(error, 4)
    assert EVE in str(error)


@pytest.mark.parametrize(
    ("scan", "code"),
    [
        (EVE[14:] + EVE[:14], EVE),
        (EVE[14:] + "\n" + EVE[:14], EVE),
        (EVE[9:] + "\n" + EVE[:9], EVE),  # the line break tells where, wherever it is
        (CASCADE[7:] + CASCADE[:7], CASCADE),
        (CASCADE[10:] + "\r\n" + CASCADE[:10], CASCADE),
    ],
)
def test_swapped_halves_are_suggested_in_order(scan: str, code: str) -> None:
    error = refusal(scan)
    assert error.code == SWAPPED_HALVES
    assert code in error.suggestions


@given(any_fields)
def test_halves_are_never_swapped_without_notice(fields: dict[str, Any]) -> None:
    code = encode(**fields)
    cut = 14 if len(code) == 24 else 7
    swapped = code[cut:] + code[:cut]
    answer = attempt(swapped)
    assert answer.text == swapped
    if isinstance(answer, BatteryCodeError):
        assert answer.code == SWAPPED_HALVES
        assert code in answer.suggestions


def test_all_faults_are_reported_at_once_with_position_character_and_reason() -> None:
    error = refusal("04!XH76836300JBD4000O903")
    assert error.code == INVALID
    assert [(f.position, f.characters) for f in error.faults] == [
        (3, "!"),
        (4, "X"),
        (5, "H"),
        (16, "D"),
        (21, "O"),
    ]
    assert "position 16: month 'D' is not 1-9, A, B or C" in str(error)
    assert "position 21: serial 'O' is not a digit" in str(error)


@pytest.mark.parametrize("letter", "IOQUZ")
@pytest.mark.parametrize("position", [15, 16, 17])
def test_letters_like_digits_never_stand_in_a_date(letter: str, position: int) -> None:
    error = refusal(EVE[: position - 1] + letter + EVE[position:])
    assert [f.position for f in error.faults] == [position]


@pytest.mark.parametrize(
    ("symbols", "named"),
    [("B2Y", "2021-02-30"), ("B2X", "2021-02-29"), ("B40", "2021-04-31"), ("BB0", "2021-11-31")],
)
def test_a_date_that_does_not_exist_is_named(symbols: str, named: str) -> None:
    error = refusal(EVE[:14] + symbols + EVE[17:])
    assert [(f.position, f.characters) for f in error.faults] == [(15, symbols)]
    assert named in str(error)
    assert "positions 15-17" in str(error)


def test_the_29th_of_february_exists_in_leap_years_only() -> None:
    assert decode(EVE[:14] + "E2X" + EVE[17:]).made_on == date(2024, 2, 29)
    assert "2025-02-29" in str(refusal(EVE[:14] + "F2X" + EVE[17:]))


@pytest.mark.parametrize(("day", "symbol"), [(9, "9"), (10, "A"), (18, "J"), (30, "Y"), (31, "0")])
def test_days_have_their_symbols(day: int, symbol: str) -> None:
    assert encode_date(date(2026, 1, day)) == f"G1{symbol}"


@pytest.mark.parametrize(("year", "symbol"), [(2011, "1"), (2026, "G"), (2037, "V"), (2040, "Y")])
def test_years_have_their_symbols(year: int, symbol: str) -> None:
    assert encode_date(date(year, 10, 1)) == f"{symbol}A1"


@pytest.mark.parametrize("code", [EVE, CASCADE])
def test_serial_zero_is_refused(code: str) -> None:
    first = 18 if code == EVE else 11
    error = refusal(code[: first - 1] + "0000000" + code[first + 6 :])
    assert [(f.position, f.characters) for f in error.faults] == [(first, "0000000")]


@pytest.mark.parametrize("length", [1, 17, 18, 20, 23, 27, 5000])
def test_a_wrong_length_names_the_right_ones(length: int) -> None:
    error = refusal("7" * length)
    assert error.code == WRONG_LENGTH
    assert str(error) == f"{length} characters, expected 24 (new) or 19 (cascade)"


def test_nothing_at_all_is_a_wrong_length() -> None:
    assert refusal(" \n ").code == WRONG_LENGTH


@pytest.mark.parametrize("length", [25, 26])
def test_lengths_seen_in_the_wild_can_be_told_apart_and_kept(length: int) -> None:
    error = refusal(("04qcb76836300jbc40000903" * 2)[:length])
    assert error.code == UNRECOGNISED
    assert error.text == (EVE * 2)[:length]
    assert error.suggestions == ()


def test_a_hyphen_makes_no_unrecognised_code() -> None:
    error = refusal(EVE[:14] + "-" + EVE[14:])
    assert error.code == WRONG_LENGTH
    assert [f.position for f in error.faults] == [None, 15]


def test_a_huge_text_gets_a_short_answer() -> None:
    assert len(refusal("?" * 1_000_000).faults) == 1


@given(any_fields)
@example(NEW_PACK | {"manufacturer": "IOQ", "specification": "UZ", "serial": 9_999_999})
def test_what_is_written_reads_back(fields: dict[str, Any]) -> None:
    text = encode(**fields)
    code = decode(text)
    read = msgspec.structs.asdict(code)
    assert {name: read[name] for name in fields} == fields
    assert code.text == text
    assert code.form is (Form.NEW if "traceability" in fields else Form.CASCADE)
    assert len(text) == (24 if code.form is Form.NEW else 19)


def test_every_day_from_2011_to_2040_has_its_own_symbols() -> None:
    days = [FIRST_DATE + timedelta(days=n) for n in range((LAST_DATE - FIRST_DATE).days + 1)]
    assert (days[0], days[-1], len(days)) == (date(2011, 1, 1), date(2040, 12, 31), 10_958)
    seen = set()
    for day in days:
        symbols = encode_date(day)
        assert not set(symbols) & set("IOQUZ")
        assert decode(EVE[:14] + symbols + EVE[17:]).made_on == day
        assert decode(CASCADE[:7] + symbols + CASCADE[10:]).made_on == day
        seen.add(symbols)
    assert len(seen) == len(days)


def test_every_other_triple_is_refused_at_its_position() -> None:
    good = 0
    for year in DIGITS_AND_CAPITALS:
        for month in DIGITS_AND_CAPITALS:
            for day in DIGITS_AND_CAPITALS:
                text = EVE[:14] + year + month + day + EVE[17:]
                answer = attempt(text)
                if isinstance(answer, BatteryCode):
                    assert encode_date(answer.made_on) == year + month + day
                    good += 1
                    continue
                assert all(names(answer, p) for p in (15, 16, 17) if not _in_table(p, text))
                assert all(15 <= (f.position or 0) <= 17 for f in answer.faults)
    assert good == 10_958


def _in_table(position: int, text: str) -> bool:
    tables = {15: "IOQUZ0", 16: "0DEFGHIJKLMNOPQRSTUVWXYZ", 17: "IOQUZ"}
    return text[position - 1] not in tables[position]


PRINTABLE = [c for c in string.printable if not c.isspace()] + ["中", "é", "\u200b", "\x00", "😀"]


@pytest.mark.parametrize("code", [EVE, CASCADE, PUBLISHED[3][0], PUBLISHED[-1][0]])
def test_one_wrong_character_is_named_or_makes_another_code(code: str) -> None:
    for position in range(1, len(code) + 1):
        for character in PRINTABLE:
            corrupted = code[: position - 1] + character + code[position:]
            answer = attempt(corrupted)
            assert answer.text == normalise(corrupted)
            if isinstance(answer, BatteryCodeError):
                assert names(answer, position), (corrupted, str(answer))


@given(st.text() | st.text(DIGITS_AND_CAPITALS + string.ascii_lowercase + " \n-", max_size=30))
@example("\ud800" * 24)
@example("\n" + "A" * 24)
def test_any_text_is_a_code_or_a_reasoned_refusal(text: str) -> None:
    answer = attempt(text)
    assert answer.text == normalise(text)
    if isinstance(answer, BatteryCodeError):
        assert answer.faults
        assert str(answer)
        assert all(decode(suggestion).text == suggestion for suggestion in answer.suggestions)


rules = {"P": "PMC", "B": "ABCDEFGZ", "Y": "19AGY", "M": "129AC", "D": "01X", "R": "R"}


def shaped(pattern: str) -> st.SearchStrategy[str]:
    return st.tuples(
        *(
            st.sampled_from(rules.get(c, DIGITS_AND_CAPITALS if c == "x" else "0123"))
            for c in pattern
        )
    ).map("".join)


@given(shaped("xxxPBxxxxxxxxxYMD0000000") | shaped("xxxPBxxYMD0000000RP"))
def test_a_code_shaped_text_is_read_exactly_or_refused_for_its_date(text: str) -> None:
    answer = attempt(text)
    if isinstance(answer, BatteryCodeError):
        assert all(len(f.characters) > 1 for f in answer.faults)  # no such day, or serial zero
        return
    fields = msgspec.structs.asdict(answer)
    assert encode(**{k: v for k, v in fields.items() if k not in {"form", "text"}}) == text


@pytest.mark.parametrize(
    ("change", "position"),
    [
        ({"manufacturer": "9Z"}, 1),
        ({"manufacturer": "9Zz"}, 3),
        ({"product_type": "X"}, 4),
        ({"product_type": ""}, 4),
        ({"chemistry": "H"}, 5),
        ({"specification": "511"}, 6),
        ({"specification": "5-"}, 7),
        ({"traceability": "000000"}, 8),
        ({"made_on": date(2010, 12, 31)}, 15),
        ({"made_on": date(2041, 1, 1)}, 15),
        ({"serial": 0}, 18),
        ({"serial": 10_000_000}, 18),
    ],
)
def test_what_does_not_fit_is_not_written(change: dict[str, Any], position: int) -> None:
    with pytest.raises(BatteryCodeError) as caught:
        encode(**(NEW_PACK | change))
    assert [f.position for f in caught.value.faults] == [position]


def test_widths_that_make_up_for_one_another_are_not_written() -> None:
    with pytest.raises(BatteryCodeError) as caught:
        encode(**(NEW_PACK | {"manufacturer": "9Z", "specification": "Z51"}))
    assert [f.position for f in caught.value.faults] == [1, 6]


@pytest.mark.parametrize("change", [{"cascade_source": P}, {"traceability": None}])
def test_a_code_is_of_one_form(change: dict[str, Any]) -> None:
    with pytest.raises(BatteryCodeError, match="none both"):
        encode(**(NEW_PACK | change))
    with pytest.raises(BatteryCodeError) as caught:
        encode(**(NEW_PACK | {"traceability": None, "cascade_source": "X"}))
    assert [f.position for f in caught.value.faults] == [19]


def test_a_year_without_a_symbol_has_no_date_code() -> None:
    with pytest.raises(ValueError, match="2041-01-01"):
        encode_date(date(2041, 1, 1))
