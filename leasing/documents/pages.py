"""An invoice as a page of HTML that loads nothing and prints."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leasing.documents.model import Named
from leasing.documents.words import Words
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
    page = PAGES.get_template("document.html").render(
        document=named.document,
        sha256=named.sha256,
        language=language,
        words=Words(named.document, language),
        style=STYLE,
    )
    return page.encode()
