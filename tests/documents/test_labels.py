"""Labels of packs: what is on them, and that the symbol is the code's."""

import io
import re
from datetime import date
from xml.etree import ElementTree

import msgspec
import pypdf
import segno

from leasing.access.model import Role
from leasing.db.pool import Database
from leasing.documents import labels
from tests import build

CASCADE = "9ZZPB51G1A0000001RP"
SVG = "{http://www.w3.org/2000/svg}"


def words(content: bytes) -> str:
    root = ElementTree.fromstring(content)
    return "\n".join(one.text or "" for one in root.iter(f"{SVG}text"))


def dark(content: bytes) -> set[tuple[int, int]]:
    """The dark modules of the symbol, as they are drawn."""
    root = ElementTree.fromstring(content)
    path = next(root.iter(f"{SVG}svg")).find(f".//{SVG}svg/{SVG}path")
    assert path is not None
    return {
        (int(x) + n, int(y))
        for x, y, length in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\d+z", path.attrib["d"])
        for n in range(int(length))
    }


def test_a_second_life_pack_has_a_label_with_its_codes_values_and_cautions(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            old = [build.battery_code(date(2019, 3, n + 1)) for n in range(6)]
            pack = await build.pack(world, code=CASCADE, original_codes=old)
            path = f"/v1/packs/{pack['id']}/label"
            answer = await world.staff.ask("GET", path)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/svg+xml"
            assert answer.headers["content-disposition"] == f'inline; filename="{CASCADE}.svg"'
            told = words(answer.content)
            for wanted in (
                CASCADE, "梯次利用产品", "second-life product", "51.2 V", "100 Ah", "5.12 kWh",
                "磷酸铁锂", "lithium iron phosphate", "9ZZ", "2026-01-10", "46 kg", "请勿短路",
                "do not short-circuit", "UN 3480", "第9类", "+2",
            ):  # fmt: skip
                assert wanted in told, wanted
            shown = [code for code in old if code in told]
            assert len(shown) == labels.MOST_ORIGINALS
            # The symbol holds the code and nothing else.
            matrix = segno.make_qr(CASCADE, error="q", boost_error=False).matrix
            assert dark(answer.content) == {
                (x + 4, y + 4) for y, row in enumerate(matrix) for x, on in enumerate(row) if on
            }
            again = await world.staff.ask("GET", path)
            assert again.content == answer.content

            paper = await world.staff.ask("GET", path, params={"format": "pdf"})
            assert paper.headers["content-type"] == "application/pdf"
            (page,) = pypdf.PdfReader(io.BytesIO(paper.content)).pages
            width, height = (float(one) / 72 * 25.4 for one in page.mediabox.upper_right)
            assert (round(width), round(height)) == (100, 60)
            printed = re.sub(r"\s+", " ", page.extract_text())
            for wanted in (CASCADE, "梯次利用产品", "51.2 V", "5.12 kWh", "请勿短路", "UN 3480"):
                assert wanted in printed, wanted

    database(scenario)


def test_a_new_pack_is_not_called_a_second_life_one_and_strangers_get_no_label(database):
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            answer = await world.staff.ask("GET", f"/v1/packs/{pack['id']}/label")
            told = words(answer.content)
            assert "梯次" not in told
            assert ("蓄电池包" in told, "原编码" in told) == (True, False)
            lessee = await world.login(Role.CUSTOMER, (await build.customer(world))["id"])
            await lessee.refused("GET", f"/v1/packs/{pack['id']}/label", 404)

    database(scenario)


def test_no_text_of_a_label_gets_out_of_its_place():
    label = labels.Label("A<&>\"'", ("<b>", "&"), [("<i>", "</svg><script>x</script>")], ["<o>"], 0)
    root = ElementTree.fromstring(labels.svg(label))
    assert {one.tag.removeprefix(SVG) for one in root.iter()} <= {
        "svg", "title", "rect", "path", "text", "line",
    }  # fmt: skip
    assert "</svg><script>x</script>" in words(labels.svg(label))
    assert msgspec.json.encode(label)


def test_runs_of_dark_modules_are_joined():
    row = [False, True, True, False, True]
    assert labels.runs(row) == [(1, 2), (4, 1)]
    assert labels.runs([False]) == []
