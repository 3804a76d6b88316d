"""A battery passport as a document: which packs need one, what goes in, who sees what.

The shape is BatteryPass 6.1.0 of Catena-X. What the database holds goes in as it is; what it does
not hold is declared by somebody who does, or is left out. Nothing is made up: a list that nobody
filled is empty, and a value that the schema demands and nobody declared stops the export. The one
placeholder is the schema's own: a battery without a predecessor names the nil UUID ("if there is
no preceding passport, input a dummy value").
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema_rs
import msgspec

from leasing.batteries.codes import Chemistry
from leasing.kit.errors import FieldError
from leasing.kit.time import civil_date
from leasing.passports.model import (
    Attribute,
    Covered,
    Declaration,
    Facts,
    Field,
    Issued,
    Json,
)
from schemas.packs import PackState
from schemas.passports import Access, Coverage, DeclarationScope, Level, Need

FOLDER = Path(__file__).parent
SPECIFICATION = "urn:io.catenax.battery.battery_pass:6.1.0"
SCHEMA: Json = msgspec.json.decode(
    (FOLDER / "battery_pass" / "BatteryPass-6.1.0-schema.json").read_bytes()
)

NO_PREDECESSOR = UUID(int=0)
LEAST_UWH = 2_000_000_000
"""2 kWh in microwatt-hours: millivolts times milliampere-hours (Art. 77(1), industrial)."""

SEES = {access: list(Access)[: place + 1] for place, access in enumerate(Access)}
"""Whoever may see more sees everything that others see."""

WASTE = {
    PackState.BURNT,
    PackState.CONDEMNED,
    PackState.ROUTED,
    PackState.HANDED_OVER,
    PackState.RECYCLED,
}

CHEMISTRIES = {
    Chemistry.NIMH: "Nickel Metal Hydride (NiMH)",
    Chemistry.LFP: "Lithium Iron Phosphate (LFP)",
    Chemistry.LMO: "Lithium Manganese Oxide (LMO)",
    Chemistry.LCO: "Lithium Cobalt Oxide (LCO)",
    Chemistry.TERNARY: "Lithium Nickel Manganese Cobalt Oxide or Nickel Cobalt Aluminium (ternary)",
    Chemistry.SUPERCAPACITOR: "Supercapacitor",
    Chemistry.LTO: "Lithium Titanate (LTO)",
    Chemistry.OTHER: "Other",
}


def read_attributes() -> list[Attribute]:
    with (FOLDER / "attributes.csv").open(encoding="utf-8", newline="") as file:
        return [
            Attribute(
                int(row["number"]),
                row["name"],
                Need(row["need"]),
                Access(row["access"]),
                row["dynamic"] == "dynamic",
                Level(row["level"]),
            )
            for row in csv.DictReader(file)
        ]


def read_fields() -> list[Field]:
    with (FOLDER / "fields.csv").open(encoding="utf-8", newline="") as file:
        return [
            Field(
                tuple(row["path"].split(".")),
                tuple(map(int, row["attributes"].split())),
                Access(row["access"]),
                "data" in row["sources"].split(),
                frozenset(DeclarationScope(one) for one in row["sources"].split() if one != "data"),
            )
            for row in csv.DictReader(file)
        ]


ATTRIBUTES = read_attributes()
FIELDS = {field.path: field for field in read_fields()}


def field_of(path: Sequence[str]) -> Field | None:
    """The field that a path belongs to: the longest that it begins with. None when it is above
    several, or nowhere."""
    for length in range(len(path), 0, -1):
        if field := FIELDS.get(tuple(path[:length])):
            return field
    return None


# --- Which packs, and what they are -----------------------------------------------------------


def in_scope(rated_voltage_mv: int, rated_capacity_mah: int) -> bool:
    """Whether a pack holds more than 2 kWh by its rating, which is voltage times capacity and not
    what a label says (51.2 V · 40 Ah = 2.048 kWh does, 48 V · 40 Ah = 1.92 kWh does not)."""
    return rated_voltage_mv * rated_capacity_mah > LEAST_UWH


def status(pack: Facts) -> str:
    """The battery's status (Annex XIII 4(c)). A repair makes no pack remanufactured: whether it
    holds 90 % again nobody here has to say."""
    if pack.state in WASTE:
        return "waste"
    if pack.is_cascade:
        return "repurposed"
    return "re-used" if pack.vin or pack.removed_on else "original"


# --- The document -----------------------------------------------------------------------------


def document(pack: Facts, issued: Issued, declared: Sequence[Declaration]) -> Json:
    """The whole passport of a pack, as far as its values are held: what was declared, the narrower
    scope above the wider, and above all what the database holds."""
    made: Json = {}
    order = list(DeclarationScope)
    for one in sorted(declared, key=lambda one: order.index(one.scope)):
        made = merged(made, one.data)
    made = merged(made, from_data(pack, issued, len(declared)))
    made = merged(made, worked_out(pack, made))
    return with_empty_lists(SCHEMA, made)


def from_data(pack: Facts, issued: Issued, revision: int) -> Json:
    made: Json = given(
        {
            "specVersion": SPECIFICATION,
            "identification": {
                "idDmc": pack.code,
                "chemistry": CHEMISTRIES[Chemistry(pack.chemistry)],
                "identification": {"serial": serials(pack)},
            },
            "operation": {
                "intoServiceDate": pack.into_service_on,
                "manufacturer": {"manufacturingDate": pack.made_on},
            },
            "characteristics": {
                "physicalDimension": {"weight": {"value": pack.mass_kg, "unit": "unit:kilogram"}}
            },
            "sustainability": {"status": status(pack)},
            "performance": {
                "rated": {
                    "voltage": {
                        "nominal": pack.rated_voltage_mv / 1000,
                        "min": thousandth(pack.min_voltage_mv),
                        "max": thousandth(pack.max_voltage_mv),
                    },
                    "energy": {"value": pack.rated_energy_wh / 1000},
                    "capacity": {"value": pack.rated_capacity_mah / 1000},
                },
                "dynamic": dynamic(pack),
            },
            "metadata": {
                "version": f"1.{revision}.0",
                "status": "expired" if pack.recycled_on else "approved",
                "issueDate": issued.issued_on,
                "expirationDate": pack.recycled_on,
                "passportIdentifier": f"urn:uuid:{issued.id}",
                "predecessor": f"urn:uuid:{issued.predecessor_id or NO_PREDECESSOR}",
                "lastModification": pack.last_recorded_at and civil_date(pack.last_recorded_at),
            },
        }
    )
    return made


def serials(pack: Facts) -> list[Json]:
    """What the pack is known by, and was: cascade products keep their original codes."""
    shown = [{"key": "partInstanceId", "value": pack.code}]
    if pack.maker:
        shown.append({"key": "customKey:makerCode", "value": pack.maker})
    shown += [{"key": "customKey:originalCode", "value": code} for code in pack.other_codes]
    return shown


def dynamic(pack: Facts) -> Json:
    """What was measured last: ampere-hours, percent, ohms, each with its instant."""
    held: Json = {}
    if pack.soc_percent is not None and pack.soc_at is not None:
        held["stateOfCharge"] = at(round(pack.soc_percent, 2), pack.soc_at)
    if pack.capacity_mah is not None and pack.capacity_at is not None:
        lost = 100 * (1 - pack.capacity_mah / pack.rated_capacity_mah)
        held["capacity"] = {
            "capacity": at(pack.capacity_mah / 1000, pack.capacity_at),
            "fade": at(round(lost, 2), pack.capacity_at),
        }
    if pack.resistance_uohm is not None and pack.resistance_at is not None:
        ohms = pack.resistance_uohm / 1_000_000
        held["resistance"] = {"remaining": {"pack": at(ohms, pack.resistance_at)}}
    if pack.accidents:
        held["negativeEvents"] = [
            {
                "header": f"{one['kind']} on {one['on']}",
                "contentType": "URL",
                "content": f"/v1/incidents?line_id={one['line_id']}",
            }
            for one in pack.accidents
        ]
    return held


def worked_out(pack: Facts, made: Json) -> Json:
    """What follows from a measured and a declared value together: how much the pack's resistance
    has risen."""
    rated = value_at(made, ("performance", "rated", "resistance", "pack"))
    if pack.resistance_uohm is None or pack.resistance_at is None or not rated:
        return {}
    risen = 100 * (pack.resistance_uohm / 1_000_000 / rated - 1)
    increase = {"pack": at(round(risen, 2), pack.resistance_at)}
    return {"performance": {"dynamic": {"resistance": {"increase": increase}}}}


def at(value: float, when: datetime) -> Json:
    return {"value": value, "time": when.isoformat(timespec="seconds").replace("+00:00", "Z")}


def thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def given(node: Any) -> Any:
    """Without what is null; days as text."""
    if isinstance(node, dict):
        kept = {key: given(value) for key, value in node.items() if value is not None}
        return {key: value for key, value in kept.items() if value != {}}
    if isinstance(node, list):
        return [given(one) for one in node]
    return node.isoformat() if isinstance(node, date) else node


def merged(below: Json, above: Json) -> Json:
    """Two documents as one; where both say something, the one above holds. Lists are not mixed."""
    made = dict(below)
    for key, value in above.items():
        mine = made.get(key)
        both = isinstance(mine, dict) and isinstance(value, dict)
        made[key] = merged(mine, value) if both else deepcopy(value)  # type: ignore[arg-type]
    return made


def value_at(node: Json, path: Iterable[str]) -> Any:
    found: Any = node
    for key in path:
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


# --- The schema -------------------------------------------------------------------------------


def resolved(node: Json) -> Json:
    """A node of the schema, its reference followed."""
    found: Json = node
    if "$ref" in node:
        found = SCHEMA["components"]["schemas"][node["$ref"].rpartition("/")[2]]
    return found


def inlined(node: Json) -> Json:
    """A node without references, so that each place can be changed by itself."""
    node = {**resolved(node)}
    if "properties" in node:
        node["properties"] = {key: inlined(one) for key, one in node["properties"].items()}
    if "items" in node:
        node["items"] = inlined(node["items"])
    return node


def with_empty_lists(schema: Json, made: Json) -> Json:
    """The document with an empty list wherever the schema demands one that nobody filled, and
    asks for no least number in it."""
    node = resolved(schema)
    filled = dict(made)
    for key in node.get("required", []):
        below = resolved(node["properties"][key])
        if may_be_empty(below):
            filled.setdefault(key, [])
        elif below.get("type") == "object" and (key in filled or only_lists(below)):
            filled[key] = with_empty_lists(below, filled.get(key, {}))
    for key, value in filled.items():
        if isinstance(value, dict) and key in node.get("properties", {}):
            filled[key] = with_empty_lists(node["properties"][key], value)
    return filled


def may_be_empty(node: Json) -> bool:
    return node.get("type") == "array" and not node.get("minItems")


def only_lists(node: Json) -> bool:
    """Whether an object demands nothing but lists that may be empty, all the way down."""
    below = [resolved(node["properties"][key]) for key in node.get("required", [])]
    return all(
        may_be_empty(one) or (one.get("type") == "object" and only_lists(one)) for one in below
    )


def leaves(schema: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of the schema down to values and lists."""
    node = resolved(schema)
    if node.get("type") != "object":
        yield path
        return
    for key, below in node["properties"].items():
        yield from leaves(below, (*path, key))


@cache
def validator(view: Access = Access.AUTHORITY) -> jsonschema_rs.Draft4Validator:
    """Judges a passport as one view shows it: the schema itself for authorities; for others the
    schema without the demand for what they do not see."""
    if view is Access.AUTHORITY:
        return jsonschema_rs.Draft4Validator(SCHEMA)
    return jsonschema_rs.Draft4Validator(undemanding(inlined(SCHEMA), (), withheld(view)))


@cache
def part_validator() -> jsonschema_rs.Draft4Validator:
    """Judges a part of a passport: nothing is demanded but inside of lists."""
    return jsonschema_rs.Draft4Validator(undemanding(inlined(SCHEMA), (), None))


def undemanding(node: Json, path: tuple[str, ...], hidden: set[tuple[str, ...]] | None) -> Json:
    """A schema that demands nothing hidden; nothing at all if `hidden` is None."""
    if "properties" not in node:
        return node
    made = {key: one for key, one in node.items() if key != "components"}
    made["properties"] = {
        key: undemanding(one, (*path, key), hidden) for key, one in node["properties"].items()
    }
    demanded = [
        key
        for key in node.get("required", [])
        if hidden is not None and not is_hidden((*path, key), node["properties"][key], hidden)
    ]
    made.pop("required", None)  # an empty one is refused by draft 4
    return made | ({"required": demanded} if demanded else {})


def is_hidden(path: tuple[str, ...], node: Json, hidden: set[tuple[str, ...]]) -> bool:
    return all(leaf in hidden for leaf in leaves(node, path))


def withheld(view: Access) -> set[tuple[str, ...]]:
    """Paths that a view does not show. One that no field names is shown to nobody but
    authorities."""
    seen = SEES[view]
    hidden = set()
    for leaf in leaves(SCHEMA):
        field = field_of(leaf)
        if (field.access if field else Access.AUTHORITY) not in seen:
            hidden.add(leaf)
    return hidden


def shown(made: Json, view: Access) -> Json:
    """The document as one view shows it: a path that is not known to be allowed is left out."""
    return pruned(made, (), SEES[view])


def pruned(node: Json, path: tuple[str, ...], seen: Sequence[Access]) -> Json:
    kept: Json = {}
    for key, value in node.items():
        here = (*path, key)
        if isinstance(value, dict) and here not in FIELDS:
            below = pruned(value, here, seen)
            if below:
                kept[key] = below
        elif (field := field_of(here)) is None or field.access not in seen:
            continue
        elif isinstance(value, dict):
            kept[key] = pruned(value, here, seen)
        else:
            kept[key] = value
    return kept


# --- What is missing --------------------------------------------------------------------------


def missing(made: Json) -> list[str]:
    """Values that the schema demands and the document lacks, as paths."""
    found = set(lacking(SCHEMA, made, ()))
    return [".".join(path) for path in leaves(SCHEMA) if path in found]


def lacking(schema: Json, made: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Any]:
    node = resolved(schema)
    demanded = set(node.get("required", []))
    for key, named in node.get("properties", {}).items():
        here, below = (*path, key), resolved(named)
        if below.get("type") == "object" and (key in demanded or key in made):
            yield from lacking(below, made.get(key, {}), here)
        elif key in demanded and key not in made and not may_be_empty(below):
            yield here


def faults(made: Json, view: Access = Access.AUTHORITY) -> list[str]:
    """What the schema has against a document; nothing when all is well."""
    return [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator(view).iter_errors(made)
    ]


def not_held(made: Json) -> list[str]:
    """Lists that the schema demands and nobody filled."""
    return [".".join(path) for path in leaves(SCHEMA) if value_at(made, path) == []]


def refusals(scope: DeclarationScope, data: Json) -> list[FieldError]:
    """Everything wrong with a declaration: values of another kind than the schema's, and what may
    not be declared for this scope."""
    found = [
        FieldError(
            "/data" + "".join(f"/{step}" for step in error.instance_path), "invalid", error.message
        )
        for error in part_validator().iter_errors(data)
    ]
    for path in given_paths(data):
        pointer = "/data/" + "/".join(path)
        field = field_of(path)
        if field is None or not in_schema(path):
            found.append(FieldError(pointer, "unknown", "the schema has no such field"))
        elif scope not in field.declared_for:
            others = ", ".join(sorted(field.declared_for)) or "nobody: it is filled from data"
            message = f"{'.'.join(field.path)} is not declared for {scope} but for {others}"
            found.append(FieldError(pointer, "not_declared_here", message))
    return found


def given_paths(node: Json, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in node.items():
        if isinstance(value, dict):
            yield from given_paths(value, (*path, key))
        else:
            yield (*path, key)


def in_schema(path: Sequence[str]) -> bool:
    node = SCHEMA
    for key in path:
        node = resolved(node)
        if node.get("type") != "object" or key not in node.get("properties", {}):
            return False
        node = node["properties"][key]
    return True


# --- Coverage ---------------------------------------------------------------------------------


def coverage() -> list[Covered]:
    """How each of the 93 attributes comes into a passport."""
    found = []
    for attribute in ATTRIBUTES:
        fields = [field for field in FIELDS.values() if attribute.number in field.attributes]
        declared = {scope for field in fields for scope in field.declared_for}
        if any(field.from_data for field in fields):
            how = Coverage.DATA
        else:
            how = Coverage.DECLARED if declared else Coverage.NOT_HELD
        paths = [".".join(field.path) for field in fields]
        found.append(Covered(attribute, how, sorted(declared), paths))
    return found


def is_given(made: Json, covered: Covered) -> bool:
    """Whether a document has anything for an attribute."""
    return any(value_at(made, path.split(".")) not in (None, []) for path in covered.paths)
