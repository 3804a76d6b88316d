"""The generated network has the announced size, keeps the limits and never changes by itself."""

import json
from collections import Counter
from datetime import date, timedelta
from hashlib import sha256

import msgspec
import pytest

from leasing.batteries.codes import Chemistry
from leasing.outlets.generator import (
    DEFAULT_SEED,
    LAPSES,
    OTHER_CAPITALS,
    SUB_PROVINCIAL,
    WITHOUT_OUTLETS,
    Network,
    covered_units,
    generate,
)
from leasing.parties.credit_code import validate
from leasing.regions.model import distance_km, prefecture, prefectures

AS_OF = date(2026, 8, 1)
DIGEST = "5366a2738357ca641c2034af91e2d7d3059912e0d8218582b66130bcdeaf5b66"


@pytest.fixture(scope="module")
def network() -> Network:
    return generate(AS_OF)


@pytest.fixture(scope="module", params=[DEFAULT_SEED, 0, 1, 73], ids=lambda seed: f"seed-{seed}")
def any_network(request: pytest.FixtureRequest) -> Network:
    return generate(AS_OF, request.param)


def digest(network: Network) -> str:
    return sha256(json.dumps(msgspec.to_builtins(network), sort_keys=True).encode()).hexdigest()


def test_the_network_reconciles_with_the_announcement(any_network: Network) -> None:
    units = {o.adcode for o in any_network.outlets}
    assert len(any_network.outlets) == 10_235
    assert len(units) == 326
    assert len({prefecture(adcode).province_adcode for adcode in units}) == 31
    assert len(any_network.recyclers) == 45
    kinds = Counter(o.kind for o in any_network.outlets)
    assert kinds == {"collecting": 8_904, "concentrated": 1_331}


def test_the_eleven_units_without_outlets_are_real_and_have_none(any_network: Network) -> None:
    left_out = {prefecture(adcode).adcode for adcode in WITHOUT_OUTLETS}
    assert len(left_out) == 11
    assert left_out == {p.adcode for p in prefectures()} - {o.adcode for o in any_network.outlets}
    assert not any(prefecture(adcode).kind == "municipality" for adcode in left_out)


def test_an_outlet_keeps_the_limits_of_its_kind(any_network: Network) -> None:
    for o in any_network.outlets:
        if o.kind == "collecting":
            assert 3_000 <= o.store_limit_kg <= 5_000
            assert o.hazard_classes == ("intact",)
        else:
            assert 30_000 <= o.store_limit_kg <= 120_000
            assert "intact" in o.hazard_classes
        assert set(o.hazard_classes) <= {"intact", "damaged", "critical"}


def test_some_concentrated_outlets_take_damaged_packs_and_few_critical_ones(
    any_network: Network,
) -> None:
    large = [o for o in any_network.outlets if o.kind == "concentrated"]
    damaged = sum("damaged" in o.hazard_classes for o in large)
    critical = sum("critical" in o.hazard_classes for o in large)
    assert len(large) / 2 < damaged < len(large)
    assert 0 < critical < damaged / 3


def test_most_outlets_take_lfp_and_ternary(any_network: Network) -> None:
    letters = {c.value for c in Chemistry}
    takes = Counter(letter for o in any_network.outlets for letter in o.chemistries)
    assert takes["B"] > 9_000
    assert takes["E"] > 8_500
    assert set(takes) > {"B", "E"}
    for o in any_network.outlets:
        assert o.chemistries
        assert list(o.chemistries) == sorted(set(o.chemistries) & letters)


def test_codes_and_names_are_unique_and_say_what_they_are(any_network: Network) -> None:
    outlets = any_network.outlets
    for field in ("code", "name_zh", "name_en"):
        assert len({getattr(o, field) for o in outlets}) == len(outlets)
    running: Counter[str] = Counter()
    for o in outlets:
        running[o.adcode] += 1
        assert o.code == f"{o.adcode[:4]}-{running[o.adcode]:04d}"
        assert o.name_zh.startswith("示例")
        assert o.name_en.startswith("Generated")


def test_an_outlet_lies_near_its_own_centre_and_no_other(network: Network) -> None:
    centres = prefectures()
    for o in network.outlets:
        home = prefecture(o.adcode)
        km = distance_km(o.longitude, o.latitude, home.longitude, home.latitude)
        assert km <= 40.1
        assert (round(o.longitude, 5), round(o.latitude, 5)) == (o.longitude, o.latitude)
    for o in network.outlets[::20]:
        nearest = min(
            centres, key=lambda p: distance_km(o.longitude, o.latitude, p.longitude, p.latitude)
        )
        assert nearest.adcode == o.adcode


def test_big_cities_have_more_outlets_than_remote_ones(any_network: Network) -> None:
    count = Counter(o.adcode for o in any_network.outlets)
    kinds: dict[str, list[int]] = {}
    for unit in covered_units():
        kinds.setdefault(unit.kind, []).append(count[unit.adcode])
    assert min(kinds["municipality"]) > 90
    assert min(count[adcode] for adcode in SUB_PROVINCIAL) > 50
    assert max(kinds["autonomous_prefecture"]) < 20
    assert min(count.values()) >= 1


def test_the_capitals_are_those_of_the_27_provinces() -> None:
    capitals = {a[:2] for a in OTHER_CAPITALS} | {a[:2] for a in SUB_PROVINCIAL}
    assert len(OTHER_CAPITALS) == 17
    assert len(set(SUB_PROVINCIAL)) == 15
    assert capitals == {p.adcode[:2] for p in prefectures() if p.kind != "municipality"}
    assert all(prefecture(a) for a in OTHER_CAPITALS + SUB_PROVINCIAL)


def test_every_recycler_is_used_and_mostly_by_its_neighbours(any_network: Network) -> None:
    used = Counter(o.recycler for o in any_network.outlets)
    assert sorted(used) == list(range(45))
    assert min(used.values()) > 10
    homes = [prefecture(r.home_adcode) for r in any_network.recyclers]
    assert len({home.adcode for home in homes}) == 45
    assert len({home.province_adcode for home in homes}) == 31
    nearest = 0
    for o in any_network.outlets[::10]:
        unit = prefecture(o.adcode)
        km = [distance_km(unit.longitude, unit.latitude, h.longitude, h.latitude) for h in homes]
        rank = sorted(km).index(km[o.recycler])
        assert rank < 3
        nearest += rank == 0
    assert nearest > 700


def test_a_recycler_is_marked_and_has_a_valid_credit_code(any_network: Network) -> None:
    assert any_network.note.startswith("generated")
    assert len({r.credit_code for r in any_network.recyclers}) == 45
    for number, r in enumerate(any_network.recyclers, start=1):
        validate(r.credit_code)
        assert r.credit_code[2:8] == r.home_adcode
        assert r.credit_code[8:16] == f"EXAMPL{number:02d}"
        assert r.name_zh == f"示例再生利用企业 {number:02d}"
        assert r.name_en == f"Generated recycler {number:02d}"


def test_papers_come_in_order_and_are_in_force_but_for_the_chosen_lapses(
    any_network: Network,
) -> None:
    for index, r in enumerate(any_network.recyclers):
        papers = {q.kind: q for q in r.qualifications}
        assert list(papers) == ["filing", "eia", "discharge_permit", "listing"]
        starts = [q.valid_from for q in r.qualifications]
        assert starts == sorted(starts)
        assert papers["discharge_permit"].valid_to is not None
        for q in r.qualifications:
            assert q.document.startswith("GENERATED-")
            assert q.valid_to is None or q.valid_from < q.valid_to
            assert q.valid_from < AS_OF
        ending = {
            q.kind: (q.valid_to - AS_OF).days
            for q in r.qualifications
            if q.valid_to is not None and q.valid_to < AS_OF + timedelta(days=90)
        }
        assert ending == (dict([LAPSES[index]]) if index in LAPSES else {})


def test_papers_lapse_both_before_and_after_the_day() -> None:
    days = [days for _, days in LAPSES.values()]
    assert min(days) < 0 < max(days)


def test_the_network_is_the_same_on_every_python(network: Network) -> None:
    assert digest(network) == DIGEST


def test_the_same_arguments_give_the_same_network(network: Network) -> None:
    assert generate(AS_OF, DEFAULT_SEED) == network


def test_another_seed_gives_other_outlets(network: Network) -> None:
    other = generate(AS_OF, 1)
    assert digest(other) != DIGEST
    assert Counter(o.adcode for o in other.outlets) != Counter(o.adcode for o in network.outlets)
    assert [r.home_adcode for r in other.recyclers] != [r.home_adcode for r in network.recyclers]


def test_another_day_moves_the_papers_and_nothing_else(network: Network) -> None:
    later = generate(AS_OF + timedelta(days=1))
    assert later.outlets == network.outlets
    for before, after in zip(network.recyclers, later.recyclers, strict=True):
        moved = after.qualifications[0].valid_from - before.qualifications[0].valid_from
        assert moved == timedelta(days=1)
