"""Documents as pages of HTML that load nothing and print."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leasing.documents.model import Named
from leasing.documents.words import Words, words_of
from schemas.documents import DocumentLanguage

FOLDER = Path(__file__).parent / "templates"
STYLE = (FOLDER / "document.css").read_text("utf-8")
PAGES = Environment(
    loader=FileSystemLoader(FOLDER),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

STYLE_SHA256 = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "content-security-policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_SHA256}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
}


def write(named: Named, language: DocumentLanguage) -> bytes:
    return page("document.html", named.document, named.sha256, words_of(named.document, language))


def page(template: str, document: object, sha256: str, words: Words, **more: object) -> bytes:
    made = PAGES.get_template(template).render(
        document=document, sha256=sha256, language=words.language, words=words, style=STYLE, **more
    )
    return made.encode()
