"""The documentation page: complete, and free of anything that is not ours."""

import re
from html import unescape

from leasing.db.pool import Database
from leasing.http import examples
from tests import build


def test_the_page_shows_every_operation_and_loads_nothing_from_elsewhere(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            response = await world.staff.http.get("/schema")
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/html")
            page = response.text
            assert "<script" not in page
            assert re.findall(r'(?:src|href)="(?!#|/status\.css|/schema)([^"]*)"', page) == []
            for methods in world.openapi["paths"].values():
                for operation in methods.values():
                    assert f'id="{operation["operationId"]}"' in page
            for name in world.openapi["components"]["schemas"]:
                assert f'id="{name}"' in page
            for target in re.findall(r'href="#([^"]+)"', page):
                assert f'id="{target}"' in page
            assert "integer (≥ 1, ≤ 200)" in page
            assert "page of SiteView" in page

    database(scenario)


def test_the_page_shows_every_example_as_a_command_and_its_answer(database) -> None:
    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            page = (await world.staff.http.get("/schema")).text
            for operation, methods in examples.load().items():
                method, route = operation.split(" ")
                name = world.openapi["paths"][route][method.lower()]["operationId"]
                article = page.partition(f'id="{name}"')[2].partition("</article>")[0]
                folded = re.findall(r"<details>(.*?)</details>", article, re.S)
                assert len(folded) == len(methods)
                for shown, example in zip(folded, methods, strict=True):
                    text = unescape(shown)
                    assert example.title in text
                    assert f"<code>{examples.curl(operation, example)}</code>" in text
                    answer = examples.readable(example.answer, example.answer_type)
                    assert f"\n\n{answer or example.answer_type}</code>" in text

    database(scenario)
