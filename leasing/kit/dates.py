"""Civil dates that callers send."""

from datetime import date

from leasing.kit.errors import FieldError, Invalid


class InTheFuture(Invalid):
    code = "in_the_future"
    title = "This is recorded on the day it happens, or later"


def refuse_future(on: date, today: date, field: str) -> None:
    """What happened is recorded when it has happened. Raises `InTheFuture`."""
    if on > today:
        fault = FieldError(f"/{field}", "in_the_future", f"{on} is after today, {today}")
        raise InTheFuture(fault.message, fields=[fault])
