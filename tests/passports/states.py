"""Packs of every state, and what a maker, an operator and a readout declare for passports."""

from typing import Any

from tests import build
from tests.api import stories
from tests.build import Json, World

FOR_SALE = {
    "kind": "declining",
    "amount": 300_000,
    "monthly_percent": "1.5",
    "floor_amount": 60_000,
}
ON = stories.RETURNED_ON
LINK = [{"header": "Datasheet", "contentType": "URL", "content": "https://maker.example/a"}]
NOW = {"time": "2026-06-01T08:00:00Z"}

NO_CONTENT = {"location": "none", "recycled": 0.0, "critical": True}
NO_HAZARD = {
    "location": "none",
    "concentration": 0.0,
    "materialUnit": "unit:percent",
    "critical": False,
}

OPERATOR: Json = {
    "identification": {
        "identification": {
            "dataCarrier": {"carrierType": "QR", "carrierLayout": "front, lower left"}
        }
    },
    "metadata": {
        "economicOperatorId": "BPNL00000000LESR",
        "backupReference": "https://backup.example/passports",
    },
    "commercial": {"purpose": ["energy storage", "automotive"]},
}

MODEL: Json = {
    "identification": {
        "category": "industrial",
        "identification": {
            "type": {"manufacturerPartId": "LFP-51-100", "nameAtManufacturer": "51.2 V 100 Ah"}
        },
    },
    "operation": {
        "manufacturer": {
            "manufacturer": "BPNL00000000MAKR",
            "facility": [{"facility": "BPNA00000000PLNT"}],
        }
    },
    "characteristics": {"warranty": {"lifeValue": 60, "lifeUnit": "unit:month"}},
    "sustainability": {"documents": {"wastePrevention": LINK}},
    "materials": {
        "active": {
            "lithium": {
                "location": "cathode",
                "recycled": 0.0,
                "documentation": LINK,
                "critical": True,
            },
            "nickel": NO_CONTENT,
            "cobalt": NO_CONTENT,
            "lead": NO_HAZARD | {"recycled": 0.0},
        },
        "hazardous": {
            "cadmium": NO_HAZARD,
            "mercury": NO_HAZARD,
            "lead": NO_HAZARD | {"recycled": 0.0},
        },
        "composition": [
            {
                "id": [{"id": "15365-14-7", "type": "CAS", "name": "lithium iron phosphate"}],
                "concentration": 31.5,
                "unit": "unit:percent",
                "critical": True,
                "documentation": LINK,
                "recycled": 0.0,
                "location": "cathode",
                "renewable": 0.0,
            }
        ],
    },
    "performance": {
        "rated": {
            "voltage": {"min": 40.0, "max": 58.4},
            "roundTripEfficiency": {
                "depthOfDischarge": 80.0,
                "initial": 95.0,
                "50PercentLife": 92.0,
            },
            "resistance": {"cell": 0.0005, "pack": 0.01},
            "power": {"value": 5120.0, "at20SoC": 4000.0, "at80SoC": 5120.0},
            "capacity": {"thresholdExhaustion": 60.0},
            "temperature": {"lower": -20.0, "upper": 55.0},
            "selfDischargingRate": 2.5,
            "testReport": LINK,
            "lifetime": {
                "expectedYears": 12.0,
                "report": LINK,
                "cycleLifeTesting": {
                    "temperature": 25.0,
                    "cycles": 4000,
                    "depthOfDischarge": 80.0,
                    "appliedChargeRate": 0.5,
                    "appliedDischargeRate": 0.5,
                },
            },
        }
    },
    "conformity": {"resultOfTestReport": LINK, "declarationOfConformity": LINK},
    "safety": {
        "usableExtinguishAgent": [{"media": "water", "fireClass": "D"}],
        "dismantling": LINK,
    },
    "metadata": {"expirationDate": "2036-01-01"},
    "handling": {"applicable": True, "content": {"producer": [], "sparePart": []}},
}

READOUT: Json = {
    "performance": {
        "dynamic": {
            "stateOfCharge": {"value": 48.0, **NOW},
            "fullCycles": {"value": 812, **NOW},
            "selfDischargingRate": 2.9,
            "power": {
                "fade": {"value": 11.0, **NOW},
                "remaining": {"value": 4556.0, **NOW},
            },
            "capacity": {
                "throughput": {"value": 78_000.0, **NOW},
                "fade": {"value": 9.5, **NOW},
                "capacity": {"value": 90.5, **NOW},
            },
            "roundTripEfficiency": {
                "fade": {"value": 1.5, **NOW},
                "remaining": {"value": 93.5, **NOW},
            },
            "resistance": {
                "increase": {"pack": {"value": 20.0, **NOW}, "cell": {"value": 18.0, **NOW}},
                "remaining": {"pack": {"value": 0.012, **NOW}, "cell": {"value": 0.0006, **NOW}},
            },
            "energy": {
                "soce": {"value": 88.0, **NOW},
                "remaining": {"value": 4.5, **NOW},
                "throughput": {"value": 4000.0, **NOW},
            },
        }
    }
}


def declaration(scope: str, data: Json, pack_id: str | None = None, **changes: Any) -> Json:
    return {
        "scope": scope,
        "pack_id": pack_id,
        "declared_by": "Maker 9ZZ",
        "document": "DoC 2026-17",
        "declared_on": "2026-06-01",
        "data": data,
        **changes,
    }


async def declare(world: World, scope: str, data: Json, pack_id: str | None = None) -> Json:
    made: Json = await world.staff.post(
        "/v1/passport-declarations", declaration(scope, data, pack_id)
    )
    return made


async def declare_all(world: World, pack_id: str) -> None:
    """Everything that the schema demands and the system does not hold."""
    await declare(world, "operator", OPERATOR)
    await declare(world, "model", MODEL, pack_id)
    await declare(world, "pack", READOUT, pack_id)


async def issue(world: World, pack_id: str, **given: str) -> Json:
    made: Json = await world.staff.post(f"/v1/packs/{pack_id}/passport", given)
    return made


async def every_state(world: World) -> dict[str, Json]:
    """One pack of each state, by state; each was leased from 2026-01-11, but the one in stock."""
    firm = await build.recycler(world)
    await build.outlet(world, firm["id"])
    found: dict[str, Json] = {"in_stock": await build.pack(world)}
    lessee = await build.customer(world)
    place = await build.site(world, lessee["id"])
    names = ("leased", *WAY, "sold", "lost", "burnt")
    terms = [build.line_terms(place["id"], slot=slot) for slot in range(1, len(names) + 1)]
    _, lines = await build.active_contract(world, lessee["id"], terms, buy_out=FOR_SALE)
    for name, line in zip(names, lines, strict=True):
        pack = await build.pack(world)
        path = f"/v1/lines/{line['id']}"
        await world.staff.post(f"{path}/acceptances", build.acceptance(pack["id"], "2026-01-11"))
        await befall(world, name, path, pack["id"])
        found[name] = pack
    for name, pack in found.items():
        assert (await world.staff.get(f"/v1/packs/{pack['id']}"))["state"] == name
    return found


WAY = ("returned", "condemned", "routed", "handed_over", "recycled")


async def befall(world: World, state: str, line: str, pack_id: str) -> None:
    """What leads a pack in a line to a state."""
    staff = world.staff
    if state == "sold":
        await staff.post(f"{line}/buy-out", {"bought_on": ON})
    elif state == "lost":
        stolen = {"kind": "stolen", "happened_on": ON, "description": "door forced"}
        await staff.post(f"{line}/incidents", stolen)
    elif state == "burnt":
        fire = {"kind": "burnt", "happened_on": ON, "description": "lightning"}
        await staff.post(f"{line}/incidents", fire)
    elif state in WAY:
        await go(world, WAY.index(state), line, pack_id)


async def go(world: World, steps: int, line: str, pack_id: str) -> None:
    """So many steps on the way to a recycler."""
    staff = world.staff
    await staff.post(f"{line}/returns", build.returned(ON))
    if steps >= 1:
        await stories.condemn(world, pack_id, ON)
    if steps >= 2:
        path = f"/v1/packs/{pack_id}/routings"
        routing = await staff.post(path, {"hand_over_on": "2026-06-15"})
        way = f"/v1/routings/{routing['id']}"
    if steps >= 3:
        await staff.post(f"{way}/hand-over", {"handed_over_on": "2026-06-15"})
    if steps >= 4:
        certified = {
            "number": f"CERT-{next(build.NUMBERS)}",
            "recycled_on": "2026-06-15",
            "lithium_percent": "91.2",
        }
        await staff.post(f"{way}/certificate", certified)
