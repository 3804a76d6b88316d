"""What people edit carries a version: a read gives it as `ETag`, a change must send it back as
`If-Match`, so that the second of two editors learns that the first was there.
"""

import re
from typing import Annotated

from litestar.params import HeaderParameter

from leasing.kit.errors import PreconditionRequired
from leasing.kit.versions import VersionChanged

IfMatch = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag of what you read.")
]

FORMAT = re.compile(r'"v(\d{1,9})"')


class VersionMissing(PreconditionRequired):
    code = "if_match_required"
    title = "A change needs the version it is based on"


def etag(version: int) -> str:
    return f'"v{version}"'


def expected_version(if_match: str | None) -> int:
    """The version named by an `If-Match` header. Raises `VersionMissing` without one and
    `VersionChanged` for one that cannot be ours."""
    if if_match is None:
        raise VersionMissing("send the ETag of what you read as If-Match")
    match = FORMAT.fullmatch(if_match.strip())
    if match is None:
        raise VersionChanged(f"{if_match} is no version of this; read it again")
    return int(match[1])
