"""What has to be reported, how it goes out and comes back, and by which rules."""

import json
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs import obligations as job
from leasing.db import clock
from leasing.obligations.gateway import FileDrop
from schemas.obligations import Recipient
from tests.docs.teller import Teller, Voice

PLATFORM = Recipient.PLATFORM


async def obligations(teller: Teller, staff: Voice) -> None:
    with TemporaryDirectory() as folder:
        await what_is_reported(teller, staff, Path(folder))
    await submissions(teller, staff)
    await rules(staff)


async def what_is_reported(teller: Teller, staff: Voice, folder: Path) -> None:
    """Lists and sheets, then one report that is rejected and put right."""
    await staff.get("what is still to be reported", "/v1/obligations", own=True, limit=1)
    month = f"{teller.on:%Y-%m}"
    await staff.get("what ends on which day", "/v1/obligations/calendar", month=month)
    await staff.get("the same as a sheet", f"/v1/obligations/calendar/{teller.on}/page")
    span = {"from_on": str(date(2026, 1, 1)), "to_on": str(teller.on + timedelta(days=60))}
    await staff.get("how much was in time", "/v1/obligations/counts", **span, limit=1)
    obligation = await one_rejected(teller, folder)
    path = f"/v1/obligations/{obligation['id']}"
    await staff.get("what was wrong with it", path)
    await staff.get(
        "all that a pack brought about", f"/v1/packs/{obligation['pack_id']}/obligations", limit=2
    )
    await staff.post("the mass is put right", f"{path}/correction", {"values": {"/mass_kg": 47}})
    # The recycler's, which are not sent by the lessor.
    page = await teller.world.staff.get("/v1/obligations", role="recycler", limit=200)
    first, last = page["items"][0], page["items"][-1]
    given = {"reported_on": str(teller.on), "receipt": "SY-2026-0001"}
    await staff.post("its party reported itself", f"/v1/obligations/{first['id']}/report", given)
    path = f"/v1/obligations/{last['id']}/void"
    await staff.post("it never happened", path, {"reason": "同一批次重复录入"})


async def one_rejected(teller: Teller, folder: Path) -> dict[str, Any]:
    """Everything is sent as files, and the answer rejects the first report."""
    db, gateway = teller.world.db, FileDrop(folder)
    await job.prepare(db, by="story")
    await job.send_all(db, PLATFORM, gateway, by="story")
    sent = min((folder / "out").glob("*.json"))
    batch = json.loads(sent.read_bytes())
    fault = {"field": "/mass_kg", "code": "implausible", "message": "与编码备案规格不符"}
    first, *others = [report["obligation"] for report in batch["reports"]]
    results: list[dict[str, Any]] = [
        {"obligation": one, "result": "accepted", "receipt": "SY-2026-0000"} for one in others
    ]
    results.append({"obligation": first, "result": "rejected", "faults": [fault]})
    (folder / "in").mkdir()
    answer = {"submission": batch["submission"], "results": results}
    (folder / "in" / "1.json").write_text(json.dumps(answer))
    await job.read_all(db, PLATFORM, gateway, by="story")
    found = await teller.world.staff.get(f"/v1/obligations/{first}")
    obligation: dict[str, Any] = found["obligation"]
    return obligation


async def submissions(teller: Teller, staff: Voice) -> None:
    """What went out, and one that was refused as a whole."""
    await staff.get("what was sent", "/v1/submissions", limit=1)
    async with teller.world.db.transaction() as tx:
        parked = await tx.fetchval(
            "INSERT INTO submission (recipient, state, attempts, failure, made_at) "
            "VALUES ('carmaker', 'parked', 5, '503', $1) RETURNING id",
            await clock.now(tx),
        )
    await staff.post("one that failed goes out again", f"/v1/submissions/{parked}/retry")


async def rules(staff: Voice) -> None:
    """A rule that is not known well, switched on; and one of the lessor's own."""
    await staff.get(
        "what a cascade enterprise reports", "/v1/obligation-rules",
        as_of="2026-06-01", role="repurposer", limit=1,
    )  # fmt: skip
    rule = {
        "code": "own.repaired",
        "event_kind": "pack.repaired",
        "reporter": "lessor",
        "role": "repurposer",
        "reports": "repair",
        "deadline_number": 10,
        "deadline_unit": "working_days",
        "valid_from": "2027-01-01",
        "article": "内部规定 3.2",
        "source": "质量手册",
    }
    made = await staff.post("a rule of the lessor's own", "/v1/obligation-rules", rule)
    path = f"/v1/obligation-rules/{made['id']}"
    await staff.get("as it stands", path)
    await staff.patch("it ends", path, {"valid_to": "2028-01-01"}, version=1)
    await staff.get("by which days deadlines are counted", "/v1/working-years")
    # Rules stay when the rest of a test's database goes.
    async with staff.teller.world.db.transaction() as tx:
        await tx.execute("DELETE FROM obligation_rule WHERE code = 'own.repaired'")
