"""Why a line of an invoice comes to what it comes to: its formula, and what it rests on."""

from uuid import UUID

from asyncpg import Record

from leasing.billing.model import NoSuchInvoiceLine
from leasing.db.pool import Connection
from leasing.kit.rows import convert
from leasing.pricing.currencies import minor_units, to_major
from schemas.billing import ChargeView, Component, Evidence, Explanation

EXPLAINED = """
SELECT charge.id, charge.invoice_id, charge.line_id, charge.contract_id, charge.site_id,
       charge.pack_id, charge.component, charge.kind, charge.fee_id, charge.reverses_id,
       lower(charge.during) AS from_on, upper(charge.during) AS to_on,
       upper(charge.during) - lower(charge.during) AS days, charge.period_days,
       charge.price_amount, charge.quantity, charge.unit_price, charge.amount, charge.vat_mode,
       charge.vat_percent, charge.revision,
       charge.detail,
       invoice.id IS NOT NULL AS invoice_shown,
       coalesce(invoice.number, face.number) AS invoice_number,
       coalesce(invoice.currency, face.currency) AS currency,
       original.invoice_id AS original_invoice_id,
       fee.reason AS fee_reason,
       fee.charge_id AS adjusts_id,
       contract.number AS contract_number,
       terms.number AS contract_revision,
       terms.proration,
       position.number AS line_revision,
       position.price_plan_version_id,
       acceptance.id AS acceptance_id
  FROM charge
  -- A lessee does not see an invoice that another party gets, but its number.
  LEFT JOIN invoice ON invoice.id = charge.invoice_id
  LEFT JOIN LATERAL (
         SELECT number, currency
           FROM invoice_lessee
          WHERE invoice_id = charge.invoice_id
          LIMIT 1) AS face ON true
  LEFT JOIN charge AS original ON original.id = charge.reverses_id
  LEFT JOIN fee ON fee.id = charge.fee_id
  LEFT JOIN contract ON contract.id = charge.contract_id
  LEFT JOIN contract_revision AS terms
    ON terms.contract_id = charge.contract_id
   AND terms.during @> lower(charge.during)
  LEFT JOIN line_revision AS position
    ON position.line_id = charge.line_id
   AND position.during @> lower(charge.during)
  LEFT JOIN placement
    ON placement.line_id = charge.line_id
   AND placement.during @> lower(charge.during)
  LEFT JOIN acceptance ON acceptance.id = placement.acceptance_id
 WHERE charge.id = $1
"""


async def explain(tx: Connection, charge_id: UUID) -> Explanation:
    """What a line rests on, as far as the caller may see it. Raises `NoSuchInvoiceLine`."""
    row = await tx.fetchrow(EXPLAINED, charge_id)
    if row is None:
        raise NoSuchInvoiceLine(f"there is no invoice line {charge_id}")
    return Explanation(
        line=convert(row, ChargeView),
        invoice_number=row["invoice_number"],
        currency=row["currency"],
        formula=formula(row),
        proration=row["proration"] if row["fee_id"] is None else None,
        detail=row["detail"],
        evidence=list(evidence(row)),
    )


def formula(row: Record) -> str:
    """The arithmetic in one line, in whole units of the currency."""
    digits = minor_units(row["currency"])

    def money(amount: int) -> str:
        return f"{to_major(amount, digits):,}"

    amount = money(row["amount"])
    if row["reverses_id"] is not None:
        return f"takes back {money(-row['amount'])} = {amount}"
    if row["fee_id"] is not None:
        return f"{row['kind']} as agreed = {amount}"
    if row["kind"] == Component.RENT:
        days = row["quantity"] if row["quantity"] is not None else row["days"]
        price = money(row["price_amount"])
        if days == row["period_days"]:
            return f"{price} for a whole period = {amount}"
        return f"{price} × {days} ÷ {row['period_days']} days = {amount}"
    if row["quantity"] is not None and row["unit_price"] is not None:
        return f"{row['quantity']:f} × {row['unit_price']:f} (smallest units) = {amount}"
    return f"{row['component']} as in `detail` = {amount}"


def evidence(row: Record) -> list[Evidence]:
    """Links to what was agreed, tested and recorded; and from there back to the line."""
    found = []
    if row["invoice_shown"]:
        found.append(("invoice", row["invoice_id"], f"/v1/invoices/{row['invoice_id']}"))
    found += [
        ("contract", row["contract_id"], f"/v1/contracts/{row['contract_id']}/revisions"),
        ("line", row["line_id"], f"/v1/lines/{row['line_id']}/revisions"),
    ]
    if row["pack_id"] is not None:
        life = f"/v1/packs/{row['pack_id']}/life"
        found.append(("traceability", row["pack_id"], life))
    if row["acceptance_id"] is not None:
        stays = f"/v1/lines/{row['line_id']}/placements"
        found.append(("joint_test", row["acceptance_id"], stays))
    if row["price_plan_version_id"] is not None:
        version = row["price_plan_version_id"]
        found.append(("price_plan", version, f"/v1/price-plan-versions/{version}"))
    for outage in (row["detail"] or {}).get("outages", ()):
        path = f"/v1/outages/{outage['id']}/explanation"
        found.append(("outage", UUID(outage["id"]), path))
    if "test_id" in (row["detail"] or {}):
        tests = f"/v1/packs/{row['pack_id']}/capacity-tests"
        found.append(("capacity_test", UUID(row["detail"]["test_id"]), tests))
    if row["reverses_id"] is not None:
        path = f"/v1/invoice-lines/{row['reverses_id']}/explanation"
        found.append(("taken_back", row["reverses_id"], path))
    if row["adjusts_id"] is not None:
        path = f"/v1/invoice-lines/{row['adjusts_id']}/explanation"
        found.append(("adjusted", row["adjusts_id"], path))
    return [Evidence(kind=kind, id=id_, path=path) for kind, id_, path in found]
