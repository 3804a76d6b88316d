"""Commands that show what a frame of a device says. They need no database."""

import sys

import click


@click.group()
def decode() -> None:
    """Show what a device's frame says."""


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
