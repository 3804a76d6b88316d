"""Submissions as JSON and as XML, in a form of our own, and answers to them.

The national platform's interface is not public. These forms carry what the rules ask for, and
`schemas/submission.schema.json` and `schemas/submission.xsd` say what they look like; whoever runs
an interface to the platform, or to a carmaker, reads one of them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import msgspec

from leasing.kit.errors import Invalid
from leasing.obligations.model import Answer, AnswerFile, Dispatch, Report

FORMAT = "leasing-traceability/1"
NAMESPACE = "urn:leasing:traceability:1"
FOLDER = Path(__file__).parent / "schemas"


class UnreadableAnswer(Invalid):
    code = "unreadable_submission_answer"
    title = "An answer to a submission cannot be read"


def as_json(dispatch: Dispatch) -> bytes:
    return msgspec.json.encode(
        {
            "format": FORMAT,
            "submission": dispatch.id,
            "recipient": dispatch.recipient,
            "made_at": dispatch.made_at,
            "reports": dispatch.reports,
        }
    )


def as_xml(dispatch: Dispatch) -> bytes:
    """The same as XML. What is null is left out; values of `data` are JSON, in ASCII, for a remark
    may hold characters that XML forbids."""
    root = Element(
        "submission",
        {
            "xmlns": NAMESPACE,
            "format": FORMAT,
            "id": str(dispatch.id),
            "recipient": dispatch.recipient,
            "made_at": dispatch.made_at,
        },
    )
    for report in dispatch.reports:
        add_report(root, report)
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def add_report(root: Element, report: Report) -> None:
    element = SubElement(root, "report", {"obligation": str(report.obligation)})
    SubElement(element, "rule", {"code": report.rule.code, "article": report.rule.article})
    for name, text in plain_fields(report):
        SubElement(element, name).text = text
    if report.counterparty is not None:
        firm = SubElement(element, "counterparty")
        SubElement(firm, "name").text = report.counterparty.name
        if report.counterparty.credit_code is not None:
            SubElement(firm, "credit_code").text = report.counterparty.credit_code
    data = SubElement(element, "data")
    for name, value in sorted(report.data.items()):
        SubElement(data, "value", {"name": name}).text = json.dumps(value)


def plain_fields(report: Report) -> Iterator[tuple[str, str]]:
    names = ("role", "reports", "event", "event_on", "due_on", "code", "chemistry", "mass_kg")
    for name in (*names, "adcode"):
        value = getattr(report, name)
        if value is not None:
            yield name, str(value)


def read_answer(file: AnswerFile) -> Answer:
    """Raises `UnreadableAnswer`."""
    try:
        return msgspec.json.decode(file.content, type=Answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableAnswer(f"{file.name}: {error}") from error
