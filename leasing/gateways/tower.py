"""The B-interface over HTTP: what a supervision unit's message is answered with."""

from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from leasing.telemetry.decoders import binterface, safe_xml
from leasing.telemetry.decoders.binterface import Alarms, Login, Logout, Message
from leasing.telemetry.service import Taken


class Heard(NamedTuple):
    message: Message
    in_soap: bool


def read(body: bytes) -> Heard:
    """A message, bare or within SOAP. Raises `FrameError` with the position and the reason."""
    root = safe_xml.read(body)
    return Heard(binterface.message_of(binterface.unwrapped(root)), root.name == "Envelope")


def answer(heard: Heard, taken: Taken, address: str) -> bytes:
    """The answer that the message asks for. To what is an answer itself, there is none in the
    protocol: whoever fetched it is told what became of it."""
    match heard.message:
        case Login():
            text = binterface.login_answer(address)
        case Logout():
            text = binterface.result_answer("LOGOUT", True)
        case Alarms():
            text = binterface.result_answer("SEND_ALARM", True)
        case _:
            return taken_as_xml(taken)
    return binterface.in_soap(text, is_answer=True) if heard.in_soap else text.encode()


def taken_as_xml(taken: Taken) -> bytes:
    counts = {
        "stored": taken.stored,
        "repeated": taken.repeated,
        "unmatched": taken.unmatched,
        "refused": taken.refused,
    }
    said = " ".join(f"{name}={quoteattr(str(count))}" for name, count in counts.items())
    return f'<?xml version="1.0" encoding="UTF-8"?><Taken {said}/>'.encode()
