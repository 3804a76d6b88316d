"""Invoices as documents over HTTP."""

from typing import Annotated
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from leasing.documents import service, store
from leasing.documents.answers import GivesInvoice, answer, provide_press
from leasing.http.edge import CUSTOMERS, Tx
from leasing.http.problems import when_reading
from schemas.documents import DocumentFormat, DocumentLanguage


@get(
    "/invoices/{invoice_id:uuid}/document",
    opt={"access": CUSTOMERS},
    dependencies={"press": Provide(provide_press, sync_to_thread=False)},
    responses=when_reading(404, 409),
    operation_class=GivesInvoice,
)
async def get_document(
    tx: Tx,
    press: NamedDependency[service.Press],
    invoice_id: FromPath[UUID],
    file_format: Annotated[DocumentFormat, QueryParameter(name="format")] = DocumentFormat.JSON,
    language: FromQuery[DocumentLanguage] = DocumentLanguage.EN,
) -> Response[bytes]:
    """A final invoice as a document, its lines by operator, province, city and site. JSON and UBL
    are the same in either language."""
    named = await store.load(tx, invoice_id)
    if file_format is DocumentFormat.PDF:
        content = await press.pdf(tx, named, language)
    else:
        content = await service.render(named, file_format, language)
    return answer(named.document.number, named.sha256, file_format, content)


HANDLERS = [get_document]
