"""At which voltages a cell shows itself full or empty, by chemistry.

The levels, and what the current adds to the voltage, are read off 153 retired LFP cells (5 s
pulses at 25 °C, doi 10.5281/zenodo.21008092) and 869 full charges of two 102 Ah LFP cells (doi
10.5281/zenodo.20132842). Chemistry letters: GB/T 34014.
"""

import msgspec

from leasing.health.model import Kind, PackType, State

TAPER_C = 0.05
"""A charge whose current has fallen to this rate has tapered off."""

# What the current adds to the voltage within seconds, per C of rate. Retired LFP cells, charge
# pulses at 1 C and 25 °C: median 0.09 to 0.16 V, by type. What we are wrong by grows with the
# current, and with the cold: under load we look only near where it was measured.
LOAD_V_PER_C = 0.1
LOAD_MAX_C = 1.1
LOAD_MIN_C_DEGREES = 10.0

# Sigma of a state of charge, in points. In 869 full charges a cell that had just come to look
# full under constant current took up to 5.7 % more at 1 C (one in two 1.4 %) and 0.6 % at C/2;
# one that only just still looked empty had 0.9 to 2.3 % in it.
TAPER_POINTS = 1.0
CUT_OFF_POINTS = 2.0
EMPTY_POINTS = 1.5


class Chemistry(msgspec.Struct, frozen=True):
    """Cell voltages without load, what a working sensor may show, and how far a BMS's state of
    charge is off (one sigma)."""

    sane_v: tuple[float, float]
    empty_v: float
    full_v: float | None
    full_under_load: bool
    soc_points: float


# LFP: the retired cells stood at 3.16 to 3.22 V with 5 % of charge in them, and never above
# 3.35 V short of full. Between these lies a slope of 1 mV per Ah, on which a BMS only counts:
# 5 to 8 points off, and we know nothing good of this one.
# Ternary: tapered to within 20 mV of the type's limit, and never full under load, where a fifth
# of the charge may be still to come. A BMS scatters by 0.5 points when one window is compared
# with itself, but capacities from two windows of one car differed by 15 %: 2 points a side.
CHEMISTRIES = {
    "B": Chemistry((2.0, 3.9), 3.0, 3.5, full_under_load=True, soc_points=8.0),
    "E": Chemistry((1.5, 4.5), 3.0, None, full_under_load=False, soc_points=2.0),
}
TERNARY_TAPER_V = 0.02


def seen(
    cell_v: float, current_a: float, temperature_c: float | None, pack_type: PackType
) -> State | None:
    """Whether a cell shows itself full or empty by its voltage, and by which rule."""
    chemistry = CHEMISTRIES.get(pack_type.chemistry)
    # A sensor that is gone reads nothing, and nothing looks empty.
    if chemistry is None or not chemistry.sane_v[0] <= cell_v <= chemistry.sane_v[1]:
        return None
    full_v = chemistry.full_v
    if full_v is None and pack_type.full_cell_v is not None:
        full_v = pack_type.full_cell_v - TERNARY_TAPER_V
    rate = pack_type.rate(current_a)
    tapered = abs(rate) <= TAPER_C
    if full_v is not None and tapered and cell_v >= full_v:
        return State(Kind.TAPER, 100.0, TAPER_POINTS)
    warm = temperature_c is not None and temperature_c >= LOAD_MIN_C_DEGREES
    if not tapered and not (warm and abs(rate) <= LOAD_MAX_C):
        return None
    unloaded_v = cell_v - LOAD_V_PER_C * rate
    # A charge cut off under constant current leaves out the taper that would still have come.
    # What it measures is the capacity at that rate, and the error term of the rate says so.
    if full_v is not None and chemistry.full_under_load and rate > 0 and unloaded_v >= full_v:
        return State(Kind.CUT_OFF, 100.0, CUT_OFF_POINTS)
    if unloaded_v <= chemistry.empty_v:
        return State(Kind.EMPTY, 0.0, EMPTY_POINTS)
    return None
