"""A moment of fuzzing, of each decoder; `python -m tests.telemetry.fuzz` does it for long."""

import pytest

from leasing.telemetry.decoders.frames import FrameError
from tests.telemetry.fuzz import Target, fuzz
from tests.telemetry.fuzz_targets import TARGETS


@pytest.mark.parametrize("decoder", TARGETS)
def test_what_is_damaged_is_read_or_refused(decoder):
    if decoder == "parquet":
        pytest.importorskip("pyarrow", reason="needs the extra parquet")
    tried, read, broke = fuzz(TARGETS[decoder](), seconds=0.3, seed=1)
    assert broke is None
    assert tried > read >= 0


def test_a_decoder_that_breaks_is_found_out(capsys):
    def broken(data: bytes) -> None:
        if not data:
            raise FrameError(0, "empty")
        raise IndexError

    _, _, broke = fuzz(Target([b"abc"], broken), seconds=5, seed=1)
    assert broke
    assert "IndexError" in capsys.readouterr().err
