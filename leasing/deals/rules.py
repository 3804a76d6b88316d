"""What scrap brings in raw material: pure arithmetic, in grams and fen.

    material = scrap × content × recovery × coefficient × factor

The factor turns a metal into the salt that is traded: the mass of the salt over the mass of the
metal in it, from the standard atomic masses (IUPAC 2021, abridged). So a kilogram of lithium is

    (2 × 6.94 + 12.011 + 3 × 15.999) / (2 × 6.94) = 73.888 / 13.88 = 5.3233 kg of Li2CO3,

a kilogram of nickel 4.4782 kg of NiSO4·6H2O, and one of cobalt 4.7697 kg of CoSO4·7H2O.

LFP has neither nickel nor cobalt and is counted by its lithium. Ternary scrap is counted by nickel
and cobalt; its lithium is part of the coefficient (折价系数), which was below 80 % in the middle of
2021 and at 200 % in November 2022. That scrap is quoted so, and in what range, is told by SMM.

Worked: a tonne of LFP scrap with 2.5 % of lithium, all of it recovered, at a coefficient of 76 % is
25 kg × 0.76 × 5.3233 = 101.144 kg of Li2CO3; at 75,000 yuan a tonne that is 7,585.80 yuan, which is
near the 7,620 yuan a tonne paid for prismatic LFP cells in September 2025.

Masses are whole grams and money whole fen; each is rounded once, a half away from nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from leasing.deals.model import BadDeal, Open, Owed, Term
from leasing.kit.money import half_up
from schemas.deals import DealMetal, Material, ScrapAssay

MASSES = {
    "H": Decimal("1.008"),
    "Li": Decimal("6.94"),
    "C": Decimal("12.011"),
    "O": Decimal("15.999"),
    "S": Decimal("32.06"),
    "Co": Decimal("58.933"),
    "Ni": Decimal("58.693"),
}
"""Standard atomic masses (IUPAC 2021, abridged), in g/mol."""

ATOMS: dict[Material, dict[str, int]] = {
    Material.LITHIUM_CARBONATE: {"Li": 2, "C": 1, "O": 3},
    Material.LITHIUM_HYDROXIDE: {"Li": 1, "O": 2, "H": 3},
    Material.NICKEL_SULPHATE: {"Ni": 1, "S": 1, "O": 10, "H": 12},
    Material.NICKEL: {"Ni": 1},
    Material.COBALT_SULPHATE: {"Co": 1, "S": 1, "O": 11, "H": 14},
    Material.COBALT: {"Co": 1},
}
"""Atoms of a formula, crystal water included."""

COUNTED = {
    "B": frozenset({DealMetal.LI}),
    "C": frozenset({DealMetal.LI}),
    "D": frozenset({DealMetal.CO}),
    "E": frozenset({DealMetal.NI, DealMetal.CO}),
    "G": frozenset({DealMetal.LI}),
}
"""What scrap of a chemistry is counted by: LFP, LMO and LTO by lithium, LCO by cobalt, ternary by
nickel and cobalt. Others have no market of this kind."""

GRAM, FACTOR = Decimal(1), Decimal("0.000001")
GRAMS_PER_TONNE = 1_000_000
PRECISION = 50
"""Digits in between: the largest product of inputs is exact in them, but for the factor."""


def factor(material: Material, metal: DealMetal) -> Decimal:
    """Kilograms of a material that hold a kilogram of a metal. Raises `ValueError` when it holds
    none.

    >>> factor(Material.LITHIUM_CARBONATE, DealMetal.LI)
    Decimal('5.323343')
    """
    atoms = ATOMS[material]
    if metal not in atoms:
        raise ValueError(f"{material} holds no {metal}")
    whole = sum((MASSES[element] * count for element, count in atoms.items()), Decimal(0))
    return (whole / (MASSES[metal] * atoms[metal])).quantize(FACTOR, ROUND_HALF_UP)


def refuse_terms(chemistry: str, terms: Sequence[Term]) -> None:
    """Raise `BadDeal` unless the terms count what scrap of the chemistry is counted by, each into a
    material that holds it."""
    counted = COUNTED.get(chemistry)
    if counted is None:
        message = f"scrap of chemistry {chemistry} is not counted by its metals"
        raise BadDeal("/chemistry", "not_counted", message)
    for place, term in enumerate(terms):
        if term.metal not in ATOMS[term.material]:
            message = f"{term.material} holds no {term.metal}"
            raise BadDeal(f"/terms/{place}/material", "other_metal", message)
        if min(term.content_percent, term.recovery_percent, term.coefficient_percent) == 0:
            raise BadDeal(f"/terms/{place}", "nothing", "a share of nothing is no term")
    metals = [term.metal for term in terms]
    if len(set(metals)) < len(metals) or set(metals) != counted:
        message = f"chemistry {chemistry} is counted by {' and '.join(sorted(counted))}"
        raise BadDeal("/terms", "counted_otherwise", message)


def refuse_prices(
    materials: Iterable[Material], priced: Sequence[Material], pointer: str = ""
) -> None:
    """Raise `BadDeal` unless exactly the materials of the deal have a price, each one."""
    wanted = sorted(materials)
    if sorted(priced) != wanted:
        message = f"give one price for each of {', '.join(wanted)}"
        raise BadDeal(f"{pointer}/prices", "other_materials", message)


def assayed(terms: Sequence[Term], assay: Sequence[ScrapAssay]) -> dict[DealMetal, Decimal]:
    """What scrap holds, in percent: as measured, else as agreed. Raises `BadDeal`."""
    contents = {term.metal: term.content_percent for term in terms}
    measured: set[DealMetal] = set()
    for place, one in enumerate(assay):
        if one.metal not in contents or one.metal in measured:
            message = "the deal counts each of its metals once"
            raise BadDeal(f"/assay/{place}/metal", "not_counted", message)
        measured.add(one.metal)
        contents[one.metal] = Decimal(one.content_percent)
    if sum(contents.values()) > 100:
        raise BadDeal("/assay", "more_than_all", "there is more metal than scrap")
    return contents


def contained_g(scrap_g: int, content_percent: Decimal) -> Decimal:
    """Grams of a metal in scrap, exactly."""
    with localcontext(prec=PRECISION):
        return scrap_g * content_percent / 100


def owed_g(scrap_g: int, term: Term, content_percent: Decimal) -> int:
    """Grams of material that scrap brings.

    >>> lfp = Term(DealMetal.LI, Material.LITHIUM_CARBONATE, Decimal("2.5"), Decimal(100),
    Decimal(76)) >>> owed_g(1_000_000, lfp, Decimal("2.5"))
    101144
    """
    with localcontext(prec=PRECISION):
        metal = contained_g(scrap_g, content_percent)
        counted = metal * term.recovery_percent * term.coefficient_percent / 10_000
        return int((counted * factor(term.material, term.metal)).quantize(GRAM, ROUND_HALF_UP))


def value(grams: int, amount_per_tonne: int) -> int:
    """Fen that grams of a material are worth; as much below nothing as above it.

    >>> value(101_144, 7_500_000), value(-101_144, 7_500_000)
    (758580, -758580)
    """
    return half_up(Fraction(grams * amount_per_tonne, GRAMS_PER_TONNE))


def appraise(
    scrap_g: int,
    terms: Sequence[Term],
    contents: Mapping[DealMetal, Decimal],
    prices: Mapping[Material, int],
) -> list[Owed]:
    """What scrap brings, material by material. Contents in percent, prices in fen a tonne."""
    found = []
    for term in terms:
        content, price = contents[term.metal], prices[term.material]
        grams = owed_g(scrap_g, term, content)
        held = contained_g(scrap_g, content)
        found.append(Owed(term, held, grams, price, value(grams, price)))
    return found


def moved(open_: Open, grams: int, amount_per_tonne: int) -> Open:
    """The entry by which so many grams come on or off what is open. The last of it takes what fen
    are left, so that nothing is open in money of what is not open in mass.

    >>> moved(Open(3, 1), -3, 500_000)
    Open(grams=-3, amount=-1)
    """
    if open_.grams + grams == 0:
        return Open(grams, -open_.amount)
    return Open(grams, value(grams, amount_per_tonne))


def per_tonne(amount: int, scrap_g: int) -> int:
    """Fen a tonne of scrap, of an amount for so many grams."""
    return half_up(Fraction(amount * GRAMS_PER_TONNE, scrap_g))
