"""Joint inspections: sheets, the transport check, what travels as the worst, and what is burnt."""

import asyncpg
import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.api import stories
from tests.returns import steps


def test_one_yes_of_the_transport_check_keeps_a_pack_until_both_accept_a_treatment(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.returned_pack(world)
            pack = lease["pack"]
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            found = await steps.inspect(world, pack, sheet=steps.sheet("opened"))
            assert found["transport_passed"] is False
            assert (found["form_id"], found["form_version"]) == (None, 1)
            await steps.decide(world, pack, "recycle")
            way = f"/v1/packs/{pack['id']}/routings"
            planned = {"hand_over_on": steps.TODAY}
            problem = await world.staff.refused("POST", way, 409, planned)
            assert problem["code"] == "transport_check_failed"
            assert await steps.state_of(world, pack) == "condemned"

            treatment = {
                "treated_on": "2026-06-12",
                "measures": "opened, inspected and insulated",
                "shipper_signatory": "王工",
                "consignee_signatory": "赵工",
            }
            path = f"/v1/inspections/{found['id']}/treatment"
            early = {**treatment, "treated_on": "2026-06-09"}
            assert (await world.staff.refused("POST", path, 409, early))["code"] == (
                "nothing_to_treat"
            )
            unsigned = {**treatment, "consignee_signatory": " "}
            assert (await world.staff.refused("POST", path, 400, unsigned))["errors"][0][
                "pointer"
            ] == "/consignee_signatory"
            treated = await world.staff.post(path, treatment)
            assert treated["treatment"]["consignee_signatory"] == "赵工"
            again = await world.staff.refused("POST", path, 409, treatment)
            assert again["code"] == "treated_already"
            assert (await world.staff.post(way, planned))["state"] == "reserved"

    database(scenario)


def test_a_check_that_fails_after_the_choice_stops_the_hand_over(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.returned_pack(world)
            firm = await build.recycler(world)
            await build.outlet(world, firm["id"])
            await steps.inspect(world, lease["pack"], sheet=steps.sheet())
            await steps.decide(world, lease["pack"], "recycle")
            way = f"/v1/packs/{lease['pack']['id']}/routings"
            routing = await world.staff.post(way, {"hand_over_on": steps.TODAY})
            async with world.db.transaction() as tx:  # a later sheet, by whatever way it came
                await tx.execute(LATER_SHEET)
            path = f"/v1/routings/{routing['id']}"
            today = {"handed_over_on": steps.TODAY}
            problem = await world.staff.refused("POST", f"{path}/hand-over", 409, today)
            assert problem["code"] == "transport_check_failed"
            given_up = {"released_on": steps.TODAY, "reason": "failed its check"}
            assert (await world.staff.post(f"{path}/release", given_up))["state"] == "released"

    database(scenario)


LATER_SHEET = """
INSERT INTO inspection (pack_id, line_id, lessee_id, inspected_on, grade, hazard, hazard_found,
                        remarks, lessor_signatory, lessee_signatory, form_version, transport_passed)
SELECT pack_id, line_id, lessee_id, inspected_on + 1, grade, hazard, hazard_found, remarks,
       lessor_signatory, lessee_signatory, 1, false
  FROM inspection
"""


def test_the_database_itself_refuses_to_route_what_failed_its_check(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            (pack,) = await stories.condemned_packs(world, 1)
            firm = await build.recycler(world)
            outlet = await build.outlet(world, firm["id"])
            async with world.db.transaction() as tx:
                await tx.execute(LATER_SHEET)
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                async with world.db.transaction() as tx:
                    await tx.execute(ROUTE, pack["id"], outlet, firm["id"])
            assert refused.value.constraint_name == "transport_check_failed"

    database(scenario)


ROUTE = """
INSERT INTO routing (pack_id, disposition_id, outlet_id, recycler_id, mass_kg, distance_m,
                     hand_over_on, explanation, chosen_at)
SELECT pack_id, id, $2, $3, 46, 0, decided_on, '{}', now()
  FROM disposition
 WHERE pack_id = $1
"""


def test_a_sheet_answers_every_item_of_its_form_once_and_nothing_else(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = (await steps.returned_pack(world))["pack"]
            path = f"/v1/packs/{pack['id']}/inspections"
            whole = steps.sheet()
            faulty = {
                "checks": whole["checks"][1:],
                "transport_checks": [
                    *whole["transport_checks"],
                    whole["transport_checks"][0],
                    {"code": "colour", "yes": False},
                ],
            }
            problem = await world.staff.refused("POST", path, 400, steps.inspection(sheet=faulty))
            assert [(fault["pointer"], fault["code"]) for fault in problem["errors"]] == [
                ("/sheet/checks", "missing"),
                ("/sheet/transport_checks/0/code", "twice"),
                ("/sheet/transport_checks/9/code", "twice"),
                ("/sheet/transport_checks/10/code", "not_asked"),
            ]
            assert (await world.staff.get("/v1/inspections"))["items"] == []

    database(scenario)


def test_the_form_of_a_model_takes_the_place_of_the_default_from_its_day_on(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await steps.returned_pack(world)
            pack = lease["pack"]
            items = {
                "name": "9ZZ 51",
                "source": "compared with the standard by 王工",
                "checks": [{"code": "seal", "zh": "封条完好", "en": "The seal is whole"}],
                "transport_checks": [{"code": "leaks", "zh": "泄漏?", "en": "Does it leak?"}],
            }
            form = {**items, "maker": "9ZZ", "model": "51", "valid_from": "2026-06-11"}
            made = await world.staff.post("/v1/inspection-forms", form)
            assert made["version"] == 2
            overlapping = {**form, "valid_from": "2026-06-01"}
            problem = await world.staff.refused("POST", "/v1/inspection-forms", 409, overlapping)
            assert problem["code"] == "form_version_taken"
            half = {**form, "model": ""}
            await world.staff.refused("POST", "/v1/inspection-forms", 400, half)
            for_all = {**items, "valid_from": "2026-06-01", "valid_to": "2026-06-10"}
            everywhere = await world.staff.post("/v1/inspection-forms", for_all)

            path = f"/v1/packs/{pack['id']}/inspection-form"
            ids = [
                (await world.staff.get(path, on=day))["form_id"]
                for day in ("2026-05-31", "2026-06-09", "2026-06-10", "2026-06-11")
            ]
            assert ids == [None, everywhere["id"], None, made["id"]]
            default = await world.staff.get(path, on="2026-06-10")
            assert [item["code"] for item in default["transport_checks"]] == steps.TRANSPORT
            assert "compared by a person with GB/T 38698.1-2020" in default["source"]

            answers = {
                "checks": [{"code": "seal", "passed": False, "note": "cut"}],
                "transport_checks": [{"code": "leaks", "yes": False}],
            }
            inspections = f"/v1/packs/{pack['id']}/inspections"
            unnamed = steps.inspection("2026-06-12", sheet=answers)
            problem = await world.staff.refused("POST", inspections, 400, unnamed)
            assert problem["errors"][0]["code"] == "other_form"
            named = steps.inspection("2026-06-12", sheet={**answers, "form_id": made["id"]})
            found = await world.staff.post(inspections, named)
            assert (found["form_version"], found["transport_passed"]) == (2, True)
            customer = await world.login(Role.CUSTOMER, lease["customer"]["id"])
            (seen,) = (await customer.get("/v1/inspection-forms"))["items"]
            assert seen["id"] == made["id"]  # the one that was filled in, not the other
            assert found["answers"] == [
                {"code": "seal", "passed": False, "value": None, "note": "cut"}
            ]

    database(scenario)


def test_what_nobody_could_judge_travels_as_the_worst(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = (await steps.returned_pack(world))["pack"]
            unjudged = steps.inspection()
            del unjudged["hazard"]
            path = f"/v1/packs/{pack['id']}/inspections"
            found = await world.staff.post(path, unjudged)
            assert (found["hazard_found"], found["hazard"]) == ("unknown", "critical")
            firm = await build.recycler(world)
            mild, worst = [
                await build.outlet(
                    world, firm["id"], kind="concentrated", hazards=hazards, latitude=latitude
                )
                for hazards, latitude in ((("intact", "damaged"), 34.8), (("critical",), 35.2))
            ]
            await steps.decide(world, pack, "recycle")
            way = f"/v1/packs/{pack['id']}/routings"
            routing = await world.staff.post(way, {"hand_over_on": steps.TODAY})
            assert mild != worst
            assert routing["outlet_id"] == worst

    database(scenario)


def test_a_burnt_pack_leaves_its_line_and_its_remains_are_the_lessors_to_be_recycled(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            lease = await build.leased_pack(world)
            line, pack = lease["line"], lease["pack"]
            burnt = steps.gone("burnt", liable="lessee", compensation_amount=50_000)
            told = await world.staff.post(f"/v1/lines/{line['id']}/incidents", burnt)
            assert told["kind"] == "burnt"
            assert await steps.state_of(world, pack) == "burnt"
            assert (await steps.life_of(world, pack))[-1] == "pack.burnt"
            held = await world.staff.get(f"/v1/packs/{pack['id']}/custody")
            last = held["history"][-1]
            assert (last["state"], last["held_by"], last["from_on"]) == (
                "burnt",
                "lessor",
                steps.RETURNED_ON,
            )
            assert (await world.staff.get("/v1/fees"))["items"][0]["component"] == "loss"
            found = {"found_on": steps.TODAY}
            path = f"/v1/incidents/{told['id']}/found"
            assert (await world.staff.refused("POST", path, 409, found))["code"] == "not_lost"

            inspections = f"/v1/packs/{pack['id']}/inspections"
            problem = await world.staff.refused("POST", inspections, 400, steps.inspection())
            assert problem["code"] == "burnt_is_not_intact"
            await steps.inspect(world, pack, hazard="critical")
            options = await world.staff.get(f"/v1/packs/{pack['id']}/disposition-options")
            assert [one["decision"] for one in options["options"] if one["admissible"]] == [
                "dismantle",
                "recycle",
            ]
            await steps.decide(world, pack, "recycle")
            assert await steps.state_of(world, pack) == "condemned"

    database(scenario)


def test_a_customer_reads_its_own_inspections_and_a_recycler_none(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            mine, other = [await steps.returned_pack(world) for _ in range(2)]
            made = await steps.inspect(world, mine["pack"], sheet=steps.sheet())
            await steps.inspect(world, other["pack"])
            customer = await world.login(Role.CUSTOMER, mine["customer"]["id"])
            (seen,) = (await customer.get("/v1/inspections"))["items"]
            assert seen == made
            stranger = await world.login(Role.CUSTOMER, other["customer"]["id"])
            await stranger.refused("GET", f"/v1/inspections/{made['id']}", 404)
            auditor = await world.login(Role.AUDITOR)
            assert len((await auditor.get("/v1/inspections"))["items"]) == 2
            firm = await build.recycler(world)
            recycler = await world.login(Role.RECYCLER, firm["id"])
            await recycler.refused("GET", "/v1/inspections", 403)

    database(scenario)
