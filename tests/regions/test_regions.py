"""The table of prefecture-level divisions, and distances."""

from collections import Counter
from math import asin, cos, dist, radians, sin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from leasing.regions.model import (
    SUPERSEDED,
    UnknownPrefectureError,
    distance_km,
    prefecture,
    prefectures,
)

MUNICIPALITIES = {"110000": "Beijing", "120000": "Tianjin", "310000": "Shanghai",
                  "500000": "Chongqing"}  # fmt: skip
longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)


def test_there_are_333_prefectures_and_4_municipalities_in_31_provinces() -> None:
    kinds = Counter(p.kind for p in prefectures())
    assert kinds == {
        "city": 293,
        "autonomous_prefecture": 30,
        "prefecture": 7,
        "league": 3,
        "municipality": 4,
    }
    assert len(prefectures()) == 337
    assert len({p.province_adcode for p in prefectures()}) == 31


def test_a_kind_is_what_the_chinese_name_ends_with() -> None:
    endings = {"市": "city", "州": "autonomous_prefecture", "区": "prefecture", "盟": "league"}
    for p in prefectures():
        assert p.kind == ("municipality" if p.adcode in MUNICIPALITIES else endings[p.name_zh[-1]])


def test_codes_are_unique_sorted_and_inside_their_province() -> None:
    codes = [p.adcode for p in prefectures()]
    assert codes == sorted(set(codes))
    for p in prefectures():
        assert len(p.adcode) == 6
        assert p.adcode.isascii()
        assert p.adcode.isdigit()
        assert p.adcode.endswith("00")
        assert p.province_adcode == p.adcode[:2] + "0000"
    assert {p.adcode: p.name_en for p in prefectures() if p.adcode[2:] == "0000"} == MUNICIPALITIES


def test_names_are_unique_within_a_province() -> None:
    for language in ("name_zh", "name_en"):
        names = Counter((p.province_adcode, getattr(p, language)) for p in prefectures())
        assert max(names.values()) == 1


def test_a_province_has_one_name_in_each_language() -> None:
    provinces = {(p.province_adcode, p.province_zh, p.province_en) for p in prefectures()}
    assert len(provinces) == 31
    assert len({english for _, _, english in provinces}) == 31


def test_english_names_are_latin_and_chinese_names_are_not() -> None:
    for p in prefectures():
        for name in (p.name_en, p.province_en):
            assert name
            assert name == name.strip()
            assert name[0].isupper()
            assert all(c.isascii() or c in "üê" for c in name), name
            assert all(c.isalpha() or c in " '" for c in name), name
        assert all("\u4e00" <= c <= "\u9fff" for c in p.name_zh + p.province_zh)


def test_coordinates_are_in_china() -> None:
    for p in prefectures():
        assert 73.5 < p.longitude < 135.1, p
        assert 18 < p.latitude < 53.6 or p.name_zh == "三沙市", p
    assert prefecture("460300").latitude == pytest.approx(16.83, abs=0.01)


def test_no_two_centres_are_the_same_point() -> None:
    assert len({(p.longitude, p.latitude) for p in prefectures()}) == 337


@pytest.mark.parametrize(
    ("adcode", "name"),
    [
        ("140400", "Changzhi"),
        ("150100", "Hohhot"),
        ("152500", "Xilingol League"),
        ("211300", "Chaoyang"),
        ("220100", "Changchun"),
        ("220200", "Jilin City"),
        ("230100", "Harbin"),
        ("331000", "Taizhou"),
        ("340300", "Bengbu"),
        ("341500", "Lu'an"),
        ("341600", "Bozhou"),
        ("350200", "Xiamen"),
        ("411100", "Luohe"),
        ("500000", "Chongqing"),
        ("513400", "Liangshan Yi Autonomous Prefecture"),
        ("530800", "Pu'er"),
        ("540100", "Lhasa"),
        ("610100", "Xi'an"),
        ("650100", "Urumqi"),
    ],
)
def test_names_that_a_machine_gets_wrong_are_right(adcode: str, name: str) -> None:
    assert prefecture(adcode).name_en == name


def test_laiwu_is_gone_and_nagqu_is_a_city() -> None:
    assert "莱芜市" not in {p.name_zh for p in prefectures()}
    nagqu = prefecture("540600")
    assert (nagqu.name_zh, nagqu.name_en, nagqu.kind) == ("那曲市", "Nagqu", "city")
    assert (nagqu.longitude, nagqu.latitude) == (92.052064, 31.476479)


@pytest.mark.parametrize("adcode", ["371200", "542400"])
def test_a_superseded_code_names_its_successor(adcode: str) -> None:
    successor, _ = SUPERSEDED[adcode]
    with pytest.raises(UnknownPrefectureError, match=f"use {successor}") as caught:
        prefecture(adcode)
    assert caught.value.code == "unknown_prefecture"
    assert prefecture(successor)


@pytest.mark.parametrize("adcode", ["", "999999", "110100", "419001", "1101", "北京"])
def test_an_unknown_code_is_named_in_the_error(adcode: str) -> None:
    with pytest.raises(UnknownPrefectureError, match="is not the code of a prefecture-level"):
        prefecture(adcode)


def test_the_table_is_read_once() -> None:
    assert prefectures() is prefectures()


def test_beijing_is_1067_km_from_shanghai() -> None:
    a, b = prefecture("110000"), prefecture("310000")
    km = distance_km(a.longitude, a.latitude, b.longitude, b.latitude)
    assert km == pytest.approx(1067, rel=0.01)


def test_a_quarter_and_a_half_of_the_earth() -> None:
    assert distance_km(0, 0, 0, 90) == pytest.approx(10_007.557, abs=0.001)
    assert distance_km(0, 0, 180, 0) == pytest.approx(20_015.115, abs=0.001)
    assert distance_km(179.5, 0, -179.5, 0) == pytest.approx(111.195, abs=0.001)


def on_sphere(lon: float, lat: float) -> tuple[float, float, float]:
    phi, lam = radians(lat), radians(lon)
    return cos(phi) * cos(lam), cos(phi) * sin(lam), sin(phi)


@given(longitudes, latitudes, longitudes, latitudes)
def test_distance_is_the_arc_over_the_chord(
    lon1: float, lat1: float, lon2: float, lat2: float
) -> None:
    chord = dist(on_sphere(lon1, lat1), on_sphere(lon2, lat2))
    arc = 2 * 6371.0088 * asin(min(1.0, chord / 2))
    # Near the antipodes both formulas lose digits: a hundred metres in twenty thousand km.
    assert distance_km(lon1, lat1, lon2, lat2) == pytest.approx(arc, abs=0.5)
    assert distance_km(lon2, lat2, lon1, lat1) == pytest.approx(arc, abs=0.5)
    assert distance_km(lon1, lat1, lon1, lat1) == 0


@given(longitudes, latitudes)
@example(0, 87.5)  # here the haversine comes out as a hair over 1
def test_no_distance_is_undefined_not_even_to_the_antipodes(lon: float, lat: float) -> None:
    assert distance_km(lon, lat, lon + 180, -lat) == pytest.approx(20_015.115, abs=0.5)
