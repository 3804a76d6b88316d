"""XML from the field, read without what makes XML dangerous: no document type, hence no entities of
the sender's, and nothing fetched from anywhere; bounded in size, depth and number of elements."""

from __future__ import annotations

from typing import NoReturn
from xml.parsers import expat

from leasing.telemetry.decoders.frames import FrameError

MAX_BYTES = 4_000_000
MAX_DEPTH = 32
MAX_ELEMENTS = 100_000


class Element:
    """An element without its namespace. Children and attributes are looked up without regard to
    case: the specification of the B-interface itself writes both FsuId and FSUID."""

    __slots__ = ("attributes", "children", "name", "position", "text")

    def __init__(self, name: str, attributes: dict[str, str], position: int) -> None:
        self.name = local(name)
        self.attributes = {local(key).lower(): value for key, value in attributes.items()}
        self.position = position
        self.children: list[Element] = []
        self.text = ""

    def all(self, name: str) -> list[Element]:
        return [child for child in self.children if child.name.lower() == name.lower()]

    def first(self, *names: str) -> Element | None:
        return next((found for name in names for found in self.all(name)), None)

    def said(self, *names: str) -> str | None:
        """The text of the first child of one of these names; None when there is none, or it is
        empty."""
        found = self.first(*names)
        return (found.text.strip() or None) if found is not None else None

    def descendants(self, name: str) -> list[Element]:
        found, waiting = [], [self]
        while waiting:
            one = waiting.pop()
            found += one.all(name)
            waiting += reversed(one.children)
        return found


def local(name: str) -> str:
    return name.rpartition(":")[2]


class Builder:
    def __init__(self, parser: expat.XMLParserType) -> None:
        self.parser = parser
        self.open: list[Element] = []
        self.texts: list[list[str]] = []
        self.root: Element | None = None
        self.count = 0

    def refuse(self, reason: str) -> NoReturn:
        raise FrameError(self.parser.CurrentByteIndex, reason)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.count += 1
        if len(self.open) == MAX_DEPTH:
            self.refuse(f"elements lie more than {MAX_DEPTH} deep")
        if self.count > MAX_ELEMENTS:
            self.refuse(f"more than {MAX_ELEMENTS} elements")
        element = Element(name, attributes, self.parser.CurrentByteIndex)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)
        self.texts.append([])

    def end(self, _: str) -> None:
        self.open.pop().text = "".join(self.texts.pop())

    def characters(self, text: str) -> None:
        self.texts[-1].append(text)


def read(data: bytes | str) -> Element:
    """The root of a document. Text that was decoded already is read as such, whatever encoding its
    declaration names."""
    encoded = data.encode("utf-8", "replace") if isinstance(data, str) else data
    if len(encoded) > MAX_BYTES:
        raise FrameError(MAX_BYTES, f"more than {MAX_BYTES} bytes of XML")
    parser = expat.ParserCreate("utf-8" if isinstance(data, str) else None)
    builder = Builder(parser)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    parser.StartDoctypeDeclHandler = lambda *_: builder.refuse("a document type is not allowed")
    parser.EntityDeclHandler = lambda *_: builder.refuse("an entity is not allowed")
    parser.ExternalEntityRefHandler = lambda *_: builder.refuse("nothing is fetched")
    parser.buffer_text = True
    try:
        parser.Parse(encoded, True)
    except expat.ExpatError as error:
        at = max(parser.ErrorByteIndex, 0)
        raise FrameError(at, f"no XML: {expat.ErrorString(error.code)}") from None
    except (LookupError, ValueError) as error:
        raise FrameError(0, f"no XML: its encoding is not known ({error})") from None
    assert builder.root is not None
    return builder.root
