"""What docs/traceability.md tells a stranger holds, word for word."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from leasing.db.pool import Database
from leasing.traceability import rules
from leasing.traceability.model import Newest
from tests import build

PAGE = (Path(__file__).parents[2] / "docs" / "traceability.md").read_text("utf-8")


def example(name: str) -> tuple[str, str]:
    """A text of the worked example, and the hash that the page gives for it."""
    found = re.search(rf"```text {name}\n(.*?)```", PAGE, re.DOTALL)
    told = re.search(rf"^    ([0-9a-f]{{64}})  {name}\.txt$", PAGE, re.MULTILINE)
    assert found is not None
    assert told is not None
    return found[1], told[1]


def test_the_worked_example_hashes_to_what_is_printed_and_is_a_chain():
    (first, first_hash), (second, second_hash) = example("first"), example("second")
    assert hashlib.sha256(first.encode()).hexdigest() == first_hash
    assert hashlib.sha256(second.encode()).hexdigest() == second_hash
    assert second.startswith(f"previous {first_hash}\n")
    assert f" 2 {second_hash}\n" in PAGE


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not installed")
def test_sha256sum_says_the_same(tmp_path):
    for name in ("first", "second"):
        text, told = example(name)
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
        shown = subprocess.run(
            ["sha256sum", f"{name}.txt"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert shown.stdout == f"{told}  {name}.txt\n"


def test_the_query_of_the_page_gives_texts_that_hash_to_what_is_stored(database):
    query = re.search(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert query is not None

    async def scenario(db: Database) -> None:
        async with build.world(db) as world:
            pack = await build.pack(world)
            path = f"/v1/packs/{pack['id']}/life"
            (first,) = (await world.staff.get(path))["records"]
            wrong = {"reason": "旧", "facts": {"a": 1}}
            await world.staff.post(f"{path}/{first['id']}/correction", wrong)
            life = await world.staff.get(path)
        sql = re.sub(r"WHERE pack_id = '[0-9a-f-]+'", f"WHERE pack_id = '{pack['id']}'", query[1])
        async with db.transaction(read_only=True) as tx:
            texts = [row[0] for row in await tx.fetch(sql)]
        assert [hashlib.sha256(text.encode()).hexdigest() for text in texts] == [
            record["hash"] for record in life["records"]
        ]
        assert len(texts) == 2

    database(scenario)


def test_the_head_of_the_page_is_a_head():
    found = re.search(rf"```text\n({rules.TITLE}\n.*?)```", PAGE, re.DOTALL)
    assert found is not None
    (newest,) = rules.read_head(found[1].splitlines(keepends=True))
    assert newest == Newest(
        UUID("01977c2e-5d00-7a31-9b1e-3f6f0c2d4a10"), 2, bytes.fromhex(example("second")[1])
    )
