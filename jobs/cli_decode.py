"""Commands that show what a frame of a device, or a battery's code, says. They need no database."""

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from schemas.codes import DecodedCode


@click.group()
def decode() -> None:
    """Show what a device's frame, or a battery's code, says."""


@decode.command()
@click.argument("hexadecimal", metavar="HEX")
def frame(hexadecimal: str) -> None:
    """Show a GB/T 32960.3 frame (2016 or 2025), or several in a row, as JSON.

    HEX may hold blanks; `-` reads it from standard input. One frame is shown as an object, several
    as a list.
    """
    import msgspec

    from leasing.telemetry.decoders.frames import FrameError
    from leasing.telemetry.decoders.gbt32960 import read_frames
    from leasing.telemetry.decoders.gbt32960_json import decoded

    given = sys.stdin.read() if hexadecimal == "-" else hexadecimal
    try:
        data = bytes.fromhex(given)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="HEX") from error
    try:
        shown = [decoded(one) for one in read_frames(data)]
    except FrameError as error:
        raise click.ClickException(f"{error.title}: {error.detail}") from error
    line = msgspec.json.encode(shown[0] if len(shown) == 1 else shown)
    click.echo(msgspec.json.format(line, indent=2))


@decode.command()
@click.argument("texts", metavar="CODE...", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Each code as a line of JSON.")
def code(texts: tuple[str, ...], as_json: bool) -> None:
    """Show what GB/T 34014 codes (24 or 19 characters) and GB/T 45565 identifiers say.

    Blanks, lower case and two lines are accepted; `-` reads codes from standard input, one a line.
    What is wrong is told with its position. Ends with 1 when one of them cannot be read.
    """
    import msgspec

    from leasing.batteries.decoding import decoded
    from leasing.batteries.model import BadPackCode
    from leasing.kit.time import civil_date, system_now

    given = [line for line in sys.stdin.read().splitlines() if line] if texts == ("-",) else texts
    today, bad = civil_date(system_now()), 0
    for text in given:
        try:
            found = decoded(text, today)
        except BadPackCode as error:
            bad += 1
            click.echo(f"{text}: {error.detail}", err=True)
            continue
        click.echo(msgspec.json.encode(found) if as_json else told(found))
    sys.exit(1 if bad else 0)


def told(found: "DecodedCode") -> str:
    """One code as lines of text."""
    life = "second life" if found.is_second_life else "new"
    lines = [f"{found.code}  {found.scheme}, {found.level}, {life}"]
    for one in found.fields:
        place = f"{one.first}" if one.first == one.last else f"{one.first}-{one.last}"
        lines.append(f"  {place:>6}  {one.name:<22} {one.text:<26} {one.meaning or ''}".rstrip())
    lines += [f"  doubt: {doubt}" for doubt in found.doubts]
    return "\n".join(lines)
