"""Damage frames and see that every decoder either reads or refuses them.

python -m tests.telemetry.fuzz --seconds 120 gbt32960

Ends with 1 and the offending input, in hexadecimal, when a decoder raised anything but
`FrameError`, or read what it must not.
"""

import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import click

from leasing.telemetry.decoders.frames import FrameError


@dataclass(frozen=True)
class Target:
    corpus: list[bytes]
    read: Callable[[bytes], object]
    """Reads, or raises `FrameError`; an AssertionError tells of a wrong value."""
    mend: Callable[[bytes], bytes] = bytes
    """Make lengths and checks right again, so that damage reaches what they guard."""


def damaged(data: bytes, chance: random.Random, corpus: list[bytes]) -> bytes:
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(8):
            case 0 | 1 if found:
                found[at % len(found)] = chance.choice((0, 0xFF, 0xFE, chance.randrange(256)))
            case 2 if found:
                found[at % len(found)] ^= 1 << chance.randrange(8)
            case 3:
                del found[at : at + chance.choice((1, 2, 9, 200))]
            case 4:
                found[at:at] = chance.randbytes(chance.choice((1, 2, 7)))
            case 5:
                found[at:at] = found[at : at + chance.randrange(1, 40)]
            case 6:
                other = chance.choice(corpus)
                cut = chance.randrange(len(other) + 1)
                found[at:] = other[cut:]
            case 7:
                del found[at:]
    return bytes(found)


def fuzz(target: Target, seconds: float, seed: int) -> tuple[int, int, bytes | None]:
    """How many inputs were tried and how many of them were read, and the one that broke it."""
    chance = random.Random(seed)
    tried = read = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = damaged(chance.choice(target.corpus), chance, target.corpus)
        if chance.random() < 0.7:
            data = target.mend(data)
        tried += 1
        try:
            target.read(data)
            read += 1
        except FrameError:
            pass
        except Exception:
            traceback.print_exc()
            return tried, read, data
    return tried, read, None


def targets() -> dict[str, Callable[[], Target]]:
    from tests.telemetry import fuzz_targets

    return fuzz_targets.TARGETS


@click.command()
@click.argument("decoder")
@click.option("--seconds", type=float, default=10.0, show_default=True)
@click.option("--seed", type=int, help="Repeats a run; the clock chooses it without one.")
def main(decoder: str, seconds: float, seed: int | None) -> None:
    """Damage the reference frames of DECODER for so long."""
    known = targets()
    if decoder not in known:
        raise click.BadParameter(f"one of {', '.join(known)}", param_hint="DECODER")
    seed = time.time_ns() if seed is None else seed
    tried, read, broke = fuzz(known[decoder](), seconds, seed)
    click.echo(f"{decoder}: {tried:,} inputs in {seconds:g} s, {read:,} read, seed {seed}")
    if broke is not None:
        click.echo(f"broken by {broke.hex()}")
        sys.exit(1)


if __name__ == "__main__":
    main()
