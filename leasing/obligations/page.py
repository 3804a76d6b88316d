"""A month of obligations as a page for people: a calendar sheet, weeks from Monday to Sunday."""

from datetime import date
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from schemas.obligations import CalendarDay, CalendarView

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


def weeks(days: list[CalendarDay]) -> list[list[CalendarDay | None]]:
    """The days of a month in weeks; None before its first and after its last."""
    before = [None] * days[0].day.weekday()
    cells: list[CalendarDay | None] = [*before, *days]
    cells += [None] * (-len(cells) % 7)
    return [cells[n : n + 7] for n in range(0, len(cells), 7)]


def render(view: CalendarView, whose: str, published_until: date | None) -> str:
    return PAGES.get_template("calendar.html").render(
        view=view, weeks=weeks(view.days), whose=whose, published_until=published_until
    )
