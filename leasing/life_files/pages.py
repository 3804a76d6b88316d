"""A life file as a page that loads nothing and prints."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leasing.documents import pages
from leasing.life_files.words import Words
from schemas.documents import DocumentLanguage
from schemas.life_files import LifeFile

PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

HEADERS = pages.HEADERS


def write(life: LifeFile, language: DocumentLanguage) -> bytes:
    template = PAGES.get_template("life.html")
    made = template.render(life=life, words=Words(language), language=language, style=pages.STYLE)
    return made.encode()
