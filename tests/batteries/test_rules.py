"""What an identifier says, what may have been meant by one, and tests that cannot be right."""

from datetime import date, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from leasing.batteries import codes, guesses, rules
from leasing.batteries.codes import FIRST_DATE, LAST_DATE, Chemistry, ProductType
from schemas.packs import CapacityMethod, CapacityTestCreate, CodeScheme

ALNUM = codes.DIGITS_AND_CAPITALS
EVERY_DATE = [FIRST_DATE + timedelta(n) for n in range((LAST_DATE - FIRST_DATE).days + 1)]


@st.composite
def battery_codes(draw: st.DrawFn) -> str:
    is_new = draw(st.booleans())
    return codes.encode(
        manufacturer=draw(st.text(alphabet=ALNUM, min_size=3, max_size=3)),
        product_type=draw(st.sampled_from(ProductType)),
        chemistry=draw(st.sampled_from(Chemistry)),
        specification=draw(st.text(alphabet=ALNUM, min_size=2, max_size=2)),
        made_on=draw(st.dates(FIRST_DATE, LAST_DATE)),
        serial=draw(st.integers(1, codes.MAX_SERIAL)),
        traceability=draw(st.text(alphabet=ALNUM, min_size=7, max_size=7)) if is_new else None,
        cascade_source=None if is_new else draw(st.sampled_from(ProductType)),
    )


@st.composite
def noisy(draw: st.DrawFn, text: str) -> str:
    """As a person types or a scanner reads it."""
    noise = st.sampled_from(["", "", "", " ", "\n", "\r\n", "\t", "\u3000"])
    made = ""
    for character in text:
        wide = character.isascii() and character.isalnum() and draw(st.booleans())
        written = chr(ord(character) + 0xFEE0) if wide else character
        made += draw(noise) + (written.lower() if draw(st.booleans()) else written)
    return made + draw(noise)


def test_every_date_a_code_can_say_is_written_and_read_back() -> None:
    for on in EVERY_DATE:
        for form in (
            {"traceability": "DATES01"},
            {"cascade_source": ProductType.MODULE},
        ):
            code = codes.encode(
                manufacturer="9ZZ",
                product_type=ProductType.PACK,
                chemistry=Chemistry.LFP,
                specification="51",
                made_on=on,
                serial=1,
                **form,
            )
            assert codes.decode(code).made_on == on


@given(st.data())
def test_a_code_is_read_the_same_however_it_is_written(data: st.DataObject) -> None:
    code = data.draw(battery_codes())
    read = rules.read(data.draw(noisy(code)), None, None, LAST_DATE)
    assert read.value == code
    assert read.faults == ()
    assert read.scheme == ("gbt34014" if len(code) == 24 else "gbt34014_cascade")
    assert rules.maker(read.scheme, read.value) == code[:3] == read.assigned_by


@given(st.text(max_size=60), st.sampled_from([None, *CodeScheme]))
def test_any_text_is_read_or_refused_and_what_says_no_scheme_is_kept(text, wanted) -> None:
    read = rules.read(text, wanted, "maker", date(2026, 6, 15))
    assert read.value == codes.normalise(text)
    if wanted is not None:
        assert read.scheme is wanted or read.faults
    if wanted is CodeScheme.UNRECOGNISED and read.value:
        assert not read.faults


@given(st.data())
def test_the_two_lines_of_a_label_in_the_wrong_order_are_guessed(data: st.DataObject) -> None:
    code = data.draw(battery_codes())
    at = 14 if len(code) == 24 else 7
    scanned = data.draw(noisy(code[at:])).strip() + "\n" + data.draw(noisy(code[:at])).strip()
    swapped = codes.normalise(scanned)
    if swapped == code:
        return
    # With its own line breaks among the noise only the joined form tells where to cut.
    try:
        codes.decode(swapped)
    except codes.BatteryCodeError:
        assert code in [guess.value for guess in guesses.guesses(swapped)]


@given(battery_codes(), st.data())
def test_one_or_two_letters_misread_are_guessed(code: str, data: st.DataObject) -> None:
    confused = {"1": "I", "0": "O", "2": "Z", "5": "S", "8": "B"}
    places = [place for place, character in enumerate(code) if character in confused]
    assume(places)
    chosen = data.draw(st.sets(st.sampled_from(places), min_size=1, max_size=2))
    scanned = "".join(confused[c] if n in chosen else c for n, c in enumerate(code))
    guess = next(one for one in guesses.guesses(scanned) if one.value == code)
    for place in chosen:
        assert f"position {place + 1} read {code[place]}, not {scanned[place]}" in guess.reason


@given(st.text(max_size=120))
def test_guesses_are_few_and_never_what_was_asked(text: str) -> None:
    found = [guess.value for guess in guesses.guesses(text)]
    assert len(found) == len(set(found)) <= guesses.MOST_GUESSES
    assert codes.normalise(text) not in found


def capacity_test(depth_percent: int, discharged_mah: int, **more: object) -> CapacityTestCreate:
    return CapacityTestCreate(
        tested_on=date(2026, 5, 1),
        method=CapacityMethod.OTHER,
        temperature_c=25,
        c_rate=0.3,
        depth_percent=depth_percent,
        discharged_mah=discharged_mah,
        laboratory="L",
        report_number="R",
        signatory="S",
        **more,  # type: ignore[arg-type]
    )


@given(st.integers(1, 100), st.integers(1, 400_000), st.integers(1_000, 200_000))
def test_a_capacity_beyond_130_percent_of_the_rated_is_refused_at_any_depth(
    depth: int, discharged: int, rated: int
) -> None:
    found = rules.capacity_faults(
        capacity_test(depth, discharged),
        rated_capacity_mah=rated,
        rated_voltage_mv=51_200,
        made_on=date(2021, 1, 1),
        today=date(2026, 6, 15),
    )
    refused = "impossible_capacity" in {fault.code for fault in found}
    assert refused == (discharged * 10_000 > rated * 130 * depth)
