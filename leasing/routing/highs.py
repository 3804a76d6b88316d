"""HiGHS without a word on standard output, which belongs to what commands answer."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from highspy import Highs, HighsLp


def solver(model: "HighsLp") -> "Highs":
    """A solver that holds this model."""
    import highspy

    class Quiet(highspy.Highs):
        """HiGHS greets when callbacks are enabled, which its constructor does."""

        def enableCallbacks(self) -> None:  # noqa: N802
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()  # type: ignore[no-untyped-call]

    highs = Quiet()  # type: ignore[no-untyped-call]
    highs.passModel(model)
    return highs
