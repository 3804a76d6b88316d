"""Messages of protocols over HTTP."""

from datetime import UTC, timedelta

from leasing.kit.time import midnight
from leasing.telemetry.decoders import binterface, bms48
from tests.docs.teller import Teller, Voice

B_INTERFACE = "/v1/messages/b-interface"
TELEMETRY = "000110" + "0CCC" * 16 + "04" + "0BA5" * 4 + "FB2E14832134" + "03" + "271003522AF8"


async def messages(teller: Teller, staff: Voice, pack_code: str) -> None:
    """A supervision unit logs in, one sends what nobody can read, and a pack of 48 V answers."""
    info = "<FsuId>10024</FsuId><FsuCode>41010043800001</FsuCode><DeviceList/>"
    login = binterface.message("LOGIN", info)
    await staff.send("a unit logs in", B_INTERFACE, login.encode(), "text/xml")
    strange = binterface.message("SEND_ALARM", "<Values/>").encode()
    headers = {"Content-Type": "text/xml"}
    title = "what cannot be read is refused, and kept"
    await staff.refused(title, 400, "POST", B_INTERFACE, content=strange, headers=headers)
    found = await staff.get("what nobody could read", "/v1/unread-messages")
    path = f"/v1/unread-messages/{found['items'][0]['id']}/content"
    await staff.get("as it came", path)
    frame = bms48.encode(bms48.Frame(0x20, 0, 0x46, 0, bytes.fromhex(TELEMETRY)))
    at = (midnight(teller.on).astimezone(UTC) + timedelta(hours=10)).isoformat()
    body = {
        "source": {"kind": "pack_code", "value": pack_code},
        "frames": [
            {
                "at": at.replace("+00:00", "Z"),
                "frame": frame.decode().removesuffix("\r"),
                "answers": "telemetry",
            }
        ],
    }
    await staff.post("a pack's answer to 42H", "/v1/messages/bms48", body)
