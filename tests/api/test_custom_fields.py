"""Fields of the lessor's own on packs, sites and contracts."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leasing.db.pool import Database
from schemas.annotations import SubjectKind
from tests import build
from tests.annotations.asking import (
    defined,
    events_of,
    path_of,
    refused_by,
    rows,
    set_values,
    site_path,
    values_of,
)
from tests.build import Json, World

SIX: dict[str, tuple[str, Json, Any]] = {
    "door": ("text", {}, "北门 2"),
    "floor": ("integer", {"minimum": "-3", "maximum": "60"}, -1),
    "load": ("decimal", {"unit": "kW", "minimum": "0"}, "12.50"),
    "fenced": ("boolean", {}, False),
    "checked": ("date", {}, "2026-02-28"),
    "access": ("choice", {"choices": ["钥匙", "code"]}, "钥匙"),
}


async def six_fields(world: World) -> dict[str, Json]:
    return {
        key: await defined(world, "site", key, type_, **terms)
        for key, (type_, terms, _) in SIX.items()
    }


def test_values_are_kept_and_told_by_their_type(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            fields = await six_fields(world)
            path = await site_path(world)
            assert await values_of(world.staff, path) == dict.fromkeys(SIX)
            given_ = {key: value for key, (_, _, value) in SIX.items()}
            changed = build.expect(await set_values(world.staff, path, given_), 200)
            assert await values_of(world.staff, path) == given_
            assert [one["field"] for one in changed["fields"]] == list(fields.values())
            cleared = build.expect(await set_values(world.staff, path, {"floor": None}), 200)
            assert cleared["version"] == changed["version"] + 1 == 3
            assert await values_of(world.staff, path) == {**given_, "floor": None}
            build.expect(await set_values(world.staff, path, {"fenced": True}), 200)
            assert await values_of(world.staff, path) == {
                **given_,
                "floor": None,
                "fenced": True,
            }
            told = await events_of(world, "custom_fields")
            assert {(one["aggregate"], one["aggregate_id"]) for one in told} == {
                ("site", path.rpartition("/")[2])
            }
            assert [one["data"] for one in told] == [given_, {"floor": None}, {"fenced": True}]
            # A site's fields are no pack's.
            pack = f"/v1/packs/{(await build.pack(world))['id']}"
            assert await values_of(world.staff, pack) == {}
            answer = await set_values(world.staff, pack, {"door": "x"})
            assert answer.json()["errors"][0]["code"] == "unknown_field"

    database(scenario)


def test_all_that_is_wrong_with_values_is_said_at_once_and_nothing_is_kept(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await six_fields(world)
            await defined(world, "site", "owner", required=True)
            path = await site_path(world)
            wrong = {
                "door": 1,
                "floor": 61,
                "load": 12.5,
                "fenced": "no",
                "checked": "2026-02-30",
                "access": "window",
                "absent": "x",
            }
            answer = await set_values(world.staff, path, wrong)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (400, "bad_custom_values")
            assert {error["pointer"]: error["code"] for error in problem["errors"]} == {
                "/door": "wrong_type",
                "/floor": "out_of_range",
                "/load": "wrong_type",
                "/fenced": "wrong_type",
                "/checked": "invalid_date",
                "/access": "unknown_value",
                "/absent": "unknown_field",
                "/owner": "missing",
            }
            assert set((await values_of(world.staff, path)).values()) == {None}
            build.expect(await set_values(world.staff, path, {"owner": "x", "floor": 1}), 200)
            answer = await set_values(world.staff, path, {"owner": None})
            assert answer.json()["errors"][0]["pointer"] == "/owner"
            for body in ([], {"Bad Key": 1}, {"door": {}}, {"door": []}):
                answer = await set_values(world.staff, path, body)  # type: ignore[arg-type]
                assert answer.json()["code"] == "invalid_payload", body

    database(scenario)


def test_of_two_who_edit_the_fields_of_one_thing_the_second_learns_of_the_first(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await six_fields(world)
            path = await site_path(world)
            both = await asyncio.gather(
                set_values(world.staff, path, {"floor": 1}, '"v1"'),
                set_values(world.staff, path, {"floor": 2}, '"v1"'),
            )
            assert sorted(answer.status_code for answer in both) == [200, 412]
            answer = await world.staff.ask("PATCH", f"{path}/custom-fields", json={"floor": 3})
            assert (answer.status_code, answer.json()["code"]) == (428, "if_match_required")

    database(scenario)


# Values of one type in the column of another, and of a kind of thing that the field is not for.
FORGE = """
INSERT INTO custom_value (field_id, subject_id, kind, type, text_value, integer_value,
                          decimal_value, boolean_value, date_value, choice_value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


def test_the_database_refuses_a_value_of_another_type(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            fields = await six_fields(world)
            lease = await build.leased_pack(world)
            site, pack = UUID(lease["site"]["id"]), UUID(lease["pack"]["id"])
            for kind in (SubjectKind.SITE, SubjectKind.PACK):
                note = {"text": "so that there is a subject"}
                await world.staff.post(f"{path_of(lease, kind)}/notes", note)

            async def forged(key: str, *columns: Any, **other: Any) -> str | None:
                terms: Json = {"subject": site, "kind": "site", "type": SIX[key][0], **other}
                values = [*columns, *[None] * (6 - len(columns))]
                field = UUID(fields[key]["id"])
                return await refused_by(
                    db, FORGE, field, terms["subject"], terms["kind"], terms["type"], *values
                )

            its_type = "custom_value_of_its_type"
            columns = ["x", 1, Decimal(1), True, date(2026, 1, 1), "code"]
            for own, key in enumerate(SIX):
                assert await forged(key) == its_type
                for wrong in set(range(6)) - {own}:
                    alone = [value if n == wrong else None for n, value in enumerate(columns)]
                    beside = [
                        value if n in (own, wrong) else None for n, value in enumerate(columns)
                    ]
                    assert await forged(key, *alone) == its_type, (key, wrong)
                    assert await forged(key, *beside) == its_type, (key, wrong)
            its_field = "custom_value_of_its_field"
            assert await forged("floor", "text", type="text") == its_field
            assert await forged("floor", None, 1, subject=pack, kind="pack") == its_field
            its_subject = "custom_value_of_its_subject"
            assert await forged("floor", None, 1, subject=pack) == its_subject
            assert await forged("floor", None, 1, subject=uuid4()) == its_subject
            assert await forged("access", *[None] * 5, "window") == "custom_value_of_its_choices"
            assert await forged("door", "") == "custom_value_text"
            assert await rows(db, "custom_value") == 0
            answer = await set_values(world.staff, path_of(lease, SubjectKind.SITE), {"floor": 1})
            build.expect(answer, 200)
            retype = "UPDATE custom_value SET type = 'text', text_value = 'x', integer_value = NULL"
            assert await refused_by(db, retype) == its_field
            nan = "UPDATE custom_value SET type = 'decimal', integer_value = NULL, decimal_value = "
            for number in ("'NaN'", "'Infinity'"):
                assert await refused_by(db, nan + number) == "custom_value_decimal_is_a_number"

    database(scenario)


def test_a_definition_is_edited_but_not_under_the_values_it_has(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            fields = await six_fields(world)
            path = await site_path(world)

            async def edit(key: str, change: Json) -> httpx.Response:
                place = f"/v1/custom-fields/{fields[key]['id']}"
                version = (await world.staff.ask("GET", place)).headers["etag"]
                headers = {"if-match": version}
                return await world.staff.ask("PATCH", place, json=change, headers=headers)

            changed = build.expect(await edit("floor", {"label_en": "Storey", "unit": "F"}), 200)
            assert changed == {
                **fields["floor"], "label_en": "Storey", "unit": "F", "version": 2,
            }  # fmt: skip
            # Without values the type may change, and what belongs to the type with it.
            free = {"type": "text", "minimum": None, "maximum": None, "unit": None}
            assert build.expect(await edit("floor", free), 200)["type"] == "text"
            back = {"type": "integer", "minimum": "0"}
            assert build.expect(await edit("floor", back), 200)["minimum"] == "0"
            build.expect(await set_values(world.staff, path, {"floor": 5, "access": "code"}), 200)
            answer = await edit("floor", free)
            assert (answer.status_code, answer.json()["code"]) == (409, "custom_field_in_use")
            # Limits hold for what comes later.
            build.expect(await edit("floor", {"maximum": "3"}), 200)
            assert (await values_of(world.staff, path))["floor"] == 5
            assert (await set_values(world.staff, path, {"floor": 4})).status_code == 400

            more = ["门禁卡", "code", "钥匙"]
            assert build.expect(await edit("access", {"choices": more}), 200)["choices"] == more
            answer = await edit("access", {"choices": ["钥匙"]})
            assert (answer.status_code, answer.json()["code"]) == (409, "custom_choice_in_use")
            fewer = build.expect(await edit("access", {"choices": ["code"]}), 200)
            assert fewer["choices"] == ["code"]
            answer = await edit("access", {"choices": []})
            assert answer.json()["code"] == "bad_custom_field"
            problem = await world.staff.ask(
                "PATCH",
                f"/v1/custom-fields/{fields['door']['id']}",
                json={"label_en": "x"},
                headers={"if-match": '"v2"'},
            )
            assert problem.status_code == 412
            kinds = {event["kind"] for event in await events_of(world, "custom_field")}
            assert kinds == {"custom_field.created", "custom_field.changed"}

    database(scenario)


def test_a_definition_that_cannot_be_is_refused(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await defined(world, "site", "door")
            terms = {"subject_kind": "site", "label_zh": "字段", "label_en": "Field"}
            body = {**terms, "key": "door", "type": "date"}
            problem = await world.staff.refused("POST", "/v1/custom-fields", 409, body)
            assert problem["code"] == "custom_field_key_taken"
            await defined(world, "pack", "door")
            for change, place in (
                ({"type": "choice"}, "/choices"),
                ({"type": "text", "minimum": "1"}, "/minimum"),
                ({"type": "decimal", "minimum": "2", "maximum": "1"}, "/minimum"),
                ({"type": "decimal", "minimum": 2}, "/minimum"),
                ({"type": "money"}, "/type"),
                ({"type": "text", "key": "Door"}, "/key"),
                ({"type": "text", "key": "a" * 41}, "/key"),
                ({"type": "text", "key": "1a"}, "/key"),
                ({"type": "text", "subject_kind": "party"}, "/subject_kind"),
            ):
                body = {**terms, "key": "k", **change}
                problem = await world.staff.refused("POST", "/v1/custom-fields", 400, body)
                assert [error["pointer"] for error in problem["errors"]] == [place], change
            unknown = f"/v1/custom-fields/{uuid4()}"
            for method, path in (
                ("GET", unknown),
                ("GET", f"{unknown}/subjects"),
                ("POST", f"{unknown}/retirement"),
            ):
                problem = await world.staff.refused(method, path, 404)
                assert problem["code"] == "custom_field_not_found"

    database(scenario)


def test_a_retired_field_keeps_its_values_and_takes_no_more(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            field = await defined(world, "site", "door", required=True)
            one, other = await site_path(world), await site_path(world)
            build.expect(await set_values(world.staff, one, {"door": "北门"}), 200)
            retirement = f"/v1/custom-fields/{field['id']}/retirement"
            retired = await world.staff.post(retirement)
            assert retired["retired_at"] is not None
            assert await values_of(world.staff, one) == {"door": "北门"}
            assert await values_of(world.staff, other) == {}
            for path, value in ((one, "南门"), (one, None), (other, "x")):
                answer = await set_values(world.staff, path, {"door": value})
                codes = [error["code"] for error in answer.json()["errors"]]
                assert codes == ["retired_field"], value
            problem = await world.staff.refused("POST", retirement, 409)
            assert problem["code"] == "custom_field_retired"
            # It is not required any more either.
            build.expect(await set_values(world.staff, other, {}), 200)

    database(scenario)


def test_a_value_finds_what_has_it(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            fields = await six_fields(world)
            owner = await build.customer(world)
            sites = [(await build.site(world, owner["id"]))["id"] for _ in range(3)]
            given_ = {key: value for key, (_, _, value) in SIX.items()}
            for site in sites[:2]:
                build.expect(await set_values(world.staff, f"/v1/sites/{site}", given_), 200)
            other = {
                "door": "x",
                "floor": 0,
                "load": "1",
                "fenced": True,
                "checked": "2026-01-01",
                "access": "code",
            }
            build.expect(await set_values(world.staff, f"/v1/sites/{sites[2]}", other), 200)
            for key, (_, _, value) in SIX.items():
                place = f"/v1/custom-fields/{fields[key]['id']}/subjects"
                for text, expected in (
                    (str(value).lower() if isinstance(value, bool) else str(value), sites[:2]),
                    (str(other[key]).lower(), sites[2:]),
                    (None, sites),
                ):
                    query = {} if text is None else {"value": text}
                    page = await world.staff.get(place, **query)
                    assert [one["id"] for one in page["items"]] == expected, (key, text)
                    assert {one["kind"] for one in page["items"]} == {"site"}
            load = f"/v1/custom-fields/{fields['load']['id']}/subjects"
            same = await world.staff.get(load, value="12.5")
            assert [one["id"] for one in same["items"]] == sites[:2]
            first = await world.staff.get(load, limit=2)
            rest = await world.staff.get(load, limit=2, cursor=first["next_cursor"])
            assert [one["id"] for one in first["items"] + rest["items"]] == sites
            for key, text in (("floor", "x"), ("fenced", "yes"), ("checked", "x"), ("load", "")):
                place = f"/v1/custom-fields/{fields[key]['id']}/subjects"
                answer = await world.staff.ask("GET", place, params={"value": text})
                assert [error["pointer"] for error in answer.json()["errors"]] == ["?value"]

    database(scenario)


digits = st.integers(-(10**18) + 1, 10**18 - 1)
decimal_texts = st.builds(
    lambda whole, part: f"{whole}.{part}" if part else f"{whole}",
    digits,
    st.text("0123456789", max_size=9),
).filter(lambda text: not text.startswith("-0"))
any_values = st.fixed_dictionaries(
    {},
    optional={
        "door": st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).filter(
            lambda text: bool(text.strip())
        ),
        "floor": st.integers(-(2**53) + 1, 2**53 - 1),
        "load": decimal_texts,
        "fenced": st.booleans(),
        "checked": st.dates().map(str),
        "access": st.sampled_from(["钥匙", "code"]),
    },
)


@pytest.fixture(scope="module")
def batches() -> list[Json]:
    """Values to send through the database, found by Hypothesis before it opens."""
    found: list[Json] = []

    @settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)
    @given(any_values)
    def collect(values: Json) -> None:
        found.append(values)

    collect()
    extremes = ("0", "0.000000000", "0.000000001", "9" * 18 + "." + "9" * 9, "-0.000000001")
    return [*found, *({"load": extreme} for extreme in extremes)]


def test_any_value_comes_back_from_the_database_as_it_was_sent(database, batches):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            for key, (type_, terms, _) in SIX.items():
                free = {name: terms[name] for name in ("choices",) if name in terms}
                await defined(world, "site", key, type_, **free)
            path = await site_path(world)
            for values in batches:
                everything = {**dict.fromkeys(SIX), **values}
                build.expect(await set_values(world.staff, path, everything), 200)
                assert await values_of(world.staff, path) == everything

    database(scenario)
