"""What a contract allows: pure decisions about days, states and capacities."""

from datetime import date
from fractions import Fraction

from leasing.contracts.model import (
    NEXT_STATES,
    BelowGuarantee,
    IllegalTransition,
    Line,
    LineEnded,
    OutsideTerm,
)
from schemas.contracts import ContractState


def refuse_unless_next(current: ContractState, wanted: ContractState) -> None:
    """Raise `IllegalTransition` unless a contract may go from one state to the other."""
    if wanted not in NEXT_STATES[current]:
        raise IllegalTransition(
            f"a contract that is {current} cannot become {wanted}", state=current, wanted=wanted
        )


def guaranteed_capacity_mah(line: Line) -> int:
    """The capacity below which the lessor owes a replacement, rounded up to whole mAh: a
    guarantee is not lowered by rounding."""
    exact = Fraction(line.guarantee_percent) * line.rated_capacity_mah / 100
    return -int(-exact // 1)


def refuse_acceptance(line: Line, on: date, tested_capacity_mah: int) -> None:
    """Raise unless a pack may be handed over into a line on a day."""
    if line.contract_state is not ContractState.ACTIVE:
        raise IllegalTransition(
            f"a pack is handed over under an active contract, this one is {line.contract_state}"
        )
    if line.ended_on is not None:
        raise LineEnded(f"the line ended on {line.ended_on}")
    if not line.term_from <= on < line.term_to:
        raise OutsideTerm(f"{on} is not in the term from {line.term_from} to before {line.term_to}")
    guaranteed = guaranteed_capacity_mah(line)
    if tested_capacity_mah < guaranteed:
        raise BelowGuarantee(
            f"{tested_capacity_mah} mAh tested, {guaranteed} mAh guaranteed", guaranteed=guaranteed
        )
