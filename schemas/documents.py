"""Invoices and statements as documents: in which forms and languages they are given."""

from enum import StrEnum


class DocumentKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class DocumentFormat(StrEnum):
    JSON = "json"
    HTML = "html"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"
    UBL = "ubl"
    """UBL 2.1 after EN 16931."""


class LabelFormat(StrEnum):
    SVG = "svg"
    PDF = "pdf"


class StatementFormat(StrEnum):
    JSON = "json"
    HTML = "html"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


class DocumentLanguage(StrEnum):
    EN = "en"
    ZH = "zh"
