"""Codes taken apart for people: by the command, over HTTP, and both ways."""

from datetime import date, timedelta

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli_decode import decode as command
from leasing.batteries import codes, gbt45565
from leasing.batteries.codes import Chemistry, ProductType
from leasing.batteries.decoding import decoded
from leasing.batteries.gbt45565 import IdentifierError
from leasing.batteries.model import BadPackCode
from leasing.db.pool import Database
from tests import build
from tests.batteries.test_codes import PUBLISHED

AS_OF = date(2026, 8, 1)
FIRST, LAST = date(2011, 1, 1), date(2040, 12, 31)
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CAPITALS = st.text(ALPHABET, min_size=1, max_size=24)


@pytest.mark.parametrize("sample", PUBLISHED, ids=lambda sample: str(sample[0]))
def test_a_published_code_is_told_field_by_field(sample):
    text, maker, kind, chemistry, specification, traceability, made_on, serial = sample
    found = decoded(text.lower(), AS_OF)
    assert "".join(field.text for field in found.fields) == text == found.code
    assert [(field.first, field.last) for field in found.fields] == [
        (1, 3), (4, 4), (5, 5), (6, 7), (8, 14), (15, 17), (18, 24),
    ]  # fmt: skip
    texts = [field.text for field in found.fields]
    assert texts[:5] == [maker, kind, chemistry, specification, traceability]
    assert [field.meaning for field in found.fields[5:]] == [str(made_on), str(serial)]
    assert bool(found.doubts) == (made_on > AS_OF)


def test_every_day_of_thirty_years_is_written_and_read_in_both_forms():
    day = FIRST
    while day <= LAST:
        written = codes.encode(
            manufacturer="9ZZ",
            product_type=ProductType.PACK,
            chemistry=Chemistry.LFP,
            specification="51",
            made_on=day,
            serial=day.toordinal() % codes.MAX_SERIAL + 1,
            cascade_source=ProductType.MODULE,
        )
        found = decoded(written, LAST)
        assert len(written) == 19
        assert "".join(field.text for field in found.fields) == written
        assert {field.name: field.meaning for field in found.fields}["made on"] == str(day)
        new = f"{written[:7]}TRACE01{written[7:17]}"
        again = {field.name: field.meaning for field in decoded(new, LAST).fields}
        assert (len(new), again["made on"]) == (24, str(day))
        day += timedelta(days=1)


@given(
    enterprise=st.text("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ", min_size=4, max_size=4),
    product=st.sampled_from(sorted(gbt45565.PRODUCTS)),
    static=st.text(ALPHABET, max_size=24),
    variable=CAPITALS,
    again=st.booleans(),
)
def test_a_45565_identifier_is_written_and_read(enterprise, product, static, variable, again):
    text = gbt45565.encode(
        enterprise=enterprise,
        product=product,
        static=static,
        variable=variable,
        is_second_life=again,
    )
    found = decoded(text, AS_OF)
    fields = {field.name: field for field in found.fields}
    assert found.is_second_life is again is ("-R-" in text)
    assert fields["enterprise"].text == enterprise
    assert (fields["static part"].text if static else "") == static
    assert fields["variable identifier"].text == variable
    # Beside the hyphen before the identifier no character is left out.
    assert sum(len(field.text) for field in found.fields) == len(text) - 1
    for field in found.fields:
        assert text[field.first - 1 : field.last] == field.text


@pytest.mark.parametrize(
    "change",
    [
        {"enterprise": "ABI1"},
        {"enterprise": "AB1"},
        {"enterprise": "AB3DP"},
        {"product": "X"},
        {"product": ""},
        {"static": "a"},
        {"static": "1-R"},
        {"variable": ""},
        {"variable": "1-2"},
        {"variable": "R-1"},
    ],
)
def test_a_45565_identifier_that_would_be_read_otherwise_is_not_written(change):
    given = {"enterprise": "AB3D", "product": "P", "static": "51200", "variable": "25B0"}
    with pytest.raises(IdentifierError):
        gbt45565.encode(**(given | change))


def test_what_is_wrong_is_told_with_its_position():
    with pytest.raises(BadPackCode) as found:
        decoded("04QXB7683630OJBO40000903", AS_OF)
    told = [fault.message for fault in found.value.fields]
    assert [one.split(":")[0] for one in told] == ["position 4", "position 16"]
    with pytest.raises(BadPackCode, match="positions 1-4"):
        decoded("OOOOP-1", AS_OF)


def test_the_command_shows_codes_and_ends_with_one_for_a_bad_one():
    shown = CliRunner().invoke(command, ["code", "9zzpb51g1a 0000001rp", "AB3DP51200-R-25B0"])
    assert shown.exit_code == 0
    assert "9ZZPB51G1A0000001RP  gbt34014_cascade, pack, second life" in shown.output
    assert "    8-10  made on                G1A" in shown.output
    assert (
        "     5  product type           P                          large power pack" in shown.output
    )
    bad = CliRunner().invoke(command, ["code", "jbc4000090304qcb76836300", "x"])
    assert bad.exit_code == 1
    assert "did you mean 04QCB76836300JBC40000903" in bad.output
    assert "1 characters" in bad.output
    several = CliRunner().invoke(
        command, ["code", "--json", "-"], input="\n".join(str(one[0]) for one in PUBLISHED)
    )
    assert several.exit_code == 0
    read = [msgspec.json.decode(line) for line in several.output.splitlines()]
    assert [one["code"] for one in read] == [one[0] for one in PUBLISHED]
    assert sum(bool(one["doubts"]) for one in read) >= 7


def test_codes_are_decoded_over_http(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            found = await world.staff.get("/v1/codes/9zzpb51g1a%200000001rp")
            assert (found["scheme"], found["level"]) == ("gbt34014_cascade", "pack")
            assert [field["meaning"] for field in found["fields"]][4] == "2026-01-10"
            late = await world.staff.get("/v1/codes/X12MCPM27KLPCLX2M2382320")
            assert "2039-02-21" in late["doubts"][0]
            refused = await world.staff.refused("GET", "/v1/codes/04QXB76836300JBC40000903", 400)
            assert refused["code"] == "bad_pack_code"
            assert "position 4" in refused["errors"][0]["message"]

    database(scenario)
