"""The note that goes with a lot."""

import pytest

from leasing.access.model import Role
from leasing.db.pool import Database
from tests import build
from tests.consignments import lots
from tests.consignments.lots import TODAY


def test_a_note_says_what_goes_how_packed_and_by_whom_in_either_language(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await world.staff.post("/v1/parties", {"kind": "lessor", "name": "示例租赁<公司>"})
            routings, _, firm = await lots.ways(world, 2, ("damaged",))
            lot = await lots.pack_lot(world, routings)
            path = f"/v1/consignments/{lot['id']}/note"
            before = await world.staff.ask("GET", path)
            assert before.headers["content-type"].startswith("text/html")
            assert "承运人</h2>" not in before.text
            await lots.send(world, lot)
            its_own = await world.login(Role.RECYCLER, firm["id"])
            chinese = (await its_own.ask("GET", path)).text
            english = (await its_own.ask("GET", path, params={"language": "en"})).text
            for page in (chinese, english):
                assert "TY-1" in page
                assert "UN 3480, LITHIUM ION BATTERIES, 9" in page
                assert "P908 / LP904" in page
                assert "DAMAGED/DEFECTIVE LITHIUM ION BATTERIES" in page
                assert "豫A·D1234" in page
                assert "Dangerous goods carrier" in page
                assert "道路运输许可证 1" in page
                assert "示例租赁&lt;公司&gt;" in page
                assert firm["name"] in page
                for one in (await world.staff.get(f"/v1/consignments/{lot['id']}"))["packs"]:
                    assert one["code"] in page
            assert "危险货物托运单" in chinese
            assert "Consignment note" in english
            stranger = await world.login(Role.RECYCLER, (await build.recycler(world))["id"])
            await stranger.refused("GET", path, 404)
            customer = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            await customer.refused("GET", path, 403)

    database(scenario)


def test_a_note_is_named_by_its_content_which_grows_on_the_way(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            routings, _, _ = await lots.ways(world, 1)
            lot = await lots.pack_lot(world, routings)
            path = f"/v1/consignments/{lot['id']}"
            tags = [(await world.staff.ask("GET", f"{path}/note")).headers["etag"]]
            english = await world.staff.ask("GET", f"{path}/note", params={"language": "en"})
            assert english.headers["etag"] == tags[0]
            await lots.send(world, lot)
            tags.append((await world.staff.ask("GET", f"{path}/note")).headers["etag"])
            await world.staff.post(f"{path}/weigh-in", {"weighed_on": TODAY, "weighed_kg": "46"})
            tags.append((await world.staff.ask("GET", f"{path}/note")).headers["etag"])
            assert len(set(tags)) == 3

    database(scenario)


def test_a_note_prints_as_pdf(database):
    pytest.importorskip("typst", reason="PDFs need battery-leasing[pdf]")

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            await world.staff.post("/v1/parties", {"kind": "lessor", "name": "示例租赁"})
            routings, _, _ = await lots.ways(world, 2)
            lot = await lots.pack_lot(world, routings)
            await lots.send(world, lot)
            path = f"/v1/consignments/{lot['id']}/note"
            for language in ("zh", "en"):
                asked = {"format": "pdf", "language": language}
                printed = await world.staff.ask("GET", path, params=asked)
                assert printed.status_code == 200, printed.text
                assert printed.content.startswith(b"%PDF-")

    database(scenario)
