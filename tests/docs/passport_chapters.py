"""Battery passports, a pack's whole life in a file, registers and mass balances."""

from leasing.access.model import Role
from tests.docs.teller import Teller, Voice
from tests.passports.states import MODEL, OPERATOR, READOUT, declaration


async def a_passport(teller: Teller, staff: Voice, pack_id: str) -> None:
    """Somebody else declares what the lessor does not hold; then a passport is issued."""
    path = f"/v1/packs/{pack_id}/passport"
    await staff.refused("values are missing, and each is named", 409, "POST", path, {})
    for title, scope, data, pack in (
        ("the lessor, for every passport", "operator", OPERATOR, None),
        ("a maker, for all packs alike", "model", MODEL, pack_id),
        ("what was read from one pack", "pack", READOUT, pack_id),
    ):
        posted = declaration(scope, data, pack, declared_on=str(teller.on))
        await staff.post(title, "/v1/passport-declarations", posted)
    await staff.get("what makers declared", "/v1/passport-declarations", scope="model", limit=1)
    await staff.post("nothing is missing now", path, {})
    regulator = await teller.login(Role.REGULATOR, "inspector")
    await regulator.get("as authorities see it", path, view="authority")
    await regulator.get("how each of 93 attributes is filled", "/v1/passports/coverage")
    pack = await staff.client.get(f"/v1/packs/{pack_id}")
    await teller.anybody().get("as the public sees it", f"/passports/{pack['code']}")


async def a_whole_life(teller: Teller, staff: Voice, pack_id: str) -> None:
    """A recycled pack in one file, signed; and what became of all packs."""
    regulator = await teller.login(Role.REGULATOR, "province")
    pack = await staff.client.get(f"/v1/packs/{pack_id}")
    await stand_in_for_hashes(teller, pack["code"])
    await regulator.get("from purchase to recycling", f"/v1/life-files/{pack['code']}")
    plain = await teller.world.staff.post("/v1/signing-keys")
    key = await staff.post("a key to sign with", "/v1/signing-keys")
    for number, one in enumerate((plain, key)):
        teller.known[one["public_pem"]] = (
            f"-----BEGIN PUBLIC KEY-----\n{number:060}\n-----END PUBLIC KEY-----\n"
        )
    title = "signed, to be checked with standard tools"
    await regulator.get(title, f"/v1/life-files/{pack['code']}", format="zip")
    anybody = teller.anybody()
    await anybody.get("public keys", "/signing-keys")
    await anybody.get("one of them, as openssl reads it", f"/signing-keys/{key['id']}")
    period = {"from_on": "2026-01-01", "to_on": str(teller.on)}
    title = "what became of the packs of a province"
    await regulator.get(title, "/v1/mass-balance", adcode="410000", **period)
    routings = await teller.world.staff.get("/v1/routings", pack_id=pack_id, state="recycled")
    path = f"/v1/outlets/{routings['items'][0]['outlet_id']}/register"
    await regulator.get("what came in and went out", path, **period)


async def stand_in_for_hashes(teller: Teller, code: str) -> None:
    """A hash is taken over ids, which are others each time the story is told."""
    life = await teller.world.staff.get(f"/v1/life-files/{code}")
    for one in life["records"]:
        teller.known[one["sha256"]] = f"{one['sequence']:064x}"
