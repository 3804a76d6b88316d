"""The gaps of a history, and a life as an archive that anyone can check.

An archive holds every record twice: as a line of JSON, and as the very text its hash was taken
over, a file each, so that `sha256sum` finds a change. `SHA256SUMS` names the hash of every file,
and its signature (Ed25519) is checked with `openssl`.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasing.balances import rules as balances
from leasing.balances.model import Stay, Step
from leasing.life_files.model import NoSigningKey
from leasing.traceability import rules as chains
from leasing.traceability.model import Written
from schemas.life_files import EvidenceView, GapKind, GapView, LifeFile

ALGORITHM = "Ed25519"

TOLD: dict[GapKind, tuple[str, str]] = {
    GapKind.NOT_ACQUIRED: (
        "The history begins with {said}, not with its acquisition",
        "档案以“{said}”开头,缺少购入记录",
    ),
    GapKind.FIRST_LIFE_UNKNOWN: (
        "Nothing says what it was before it was acquired: no vehicle, no original code",
        "购入前的历史不明:无车辆信息,无原编码",
    ),
    GapKind.DAYS_UNACCOUNTED: ("Nothing says who had it", "持有人不明"),
    GapKind.STATE_UNEXPLAINED: (
        "The records say: {said}; the table of custody says: {held}",
        "溯源记录为“{said}”,持有表为“{held}”",
    ),
    GapKind.NOT_COMMISSIONED: (
        "On lease without a record of commissioning",
        "在租期间缺少投运记录",
    ),
    GapKind.RETURN_NOT_TESTED: ("Returned without a joint test", "退还时未做联合测试"),
    GapKind.NOT_INSPECTED: (
        "Decided on after its return without an inspection",
        "退还后未经检验即作出处置",
    ),
    GapKind.NOT_RECEIVED: (
        "It left for a recycler, and nobody recorded that it arrived",
        "已出库,缺少接收记录",
    ),
    GapKind.NO_CERTIFICATE: ("Recycled without a certificate", "已再生利用,缺少证明"),
    GapKind.RECORD_AT_FAULT: ("Record {said}: {held}", "第 {said} 条记录:{held}"),
}


# --- Gaps -------------------------------------------------------------------------------------


def gap(kind: GapKind, from_on: date | None, to_on: date | None = None, **said: str) -> GapView:
    english, chinese = TOLD[kind]
    return GapView(
        kind=kind,
        from_on=from_on,
        to_on=to_on,
        detail_en=english.format(**said),
        detail_zh=chinese.format(**said),
    )


def gaps(
    records: Sequence[Written],
    steps: Sequence[Step],
    custody: Sequence[Stay],
    placed: Sequence[tuple[date, date | None]],
    returns: Mapping[date, bool],
    evidence: Sequence[EvidenceView],
    *,
    is_traced: bool,
    until: date,
) -> list[GapView]:
    """What is missing in a history up to a day, in order of days.

    `placed` are the days on which a pack stood at a lessee; `returns` says of each whether it was
    tested; `is_traced` that something is known of the time before it was acquired.
    """
    found = [
        *chain_gaps(records),
        *first_gaps(records, is_traced),
        *custody_gaps(steps, custody, until),
        *lease_gaps(records, placed, until),
        *[gap(GapKind.RETURN_NOT_TESTED, on) for on, tested in returns.items() if not tested],
        *step_gaps(records, evidence),
    ]
    return sorted(found, key=lambda one: (one.from_on or date.min, list(GapKind).index(one.kind)))


def chain_gaps(records: Sequence[Written]) -> Iterator[GapView]:
    """Records that are not what was hashed, or are not there."""
    for before, record in zip([None, *records], records, strict=False):
        for fault in chains.faults(before, record):
            yield gap(
                GapKind.RECORD_AT_FAULT,
                record.happened_on,
                said=str(record.sequence),
                held=fault.detail,
            )


def first_gaps(records: Sequence[Written], is_traced: bool) -> Iterator[GapView]:
    if records and records[0].kind != "pack.acquired":
        yield gap(GapKind.NOT_ACQUIRED, records[0].happened_on, said=records[0].kind)
    if not is_traced:
        yield gap(GapKind.FIRST_LIFE_UNKNOWN, None, records[0].happened_on if records else None)


def custody_gaps(steps: Sequence[Step], custody: Sequence[Stay], until: date) -> Iterator[GapView]:
    """Days of which the table of custody says nothing, or another thing than the records."""
    for from_on, to_on, said, held in balances.differences(balances.replay(steps), custody, until):
        if held is None:
            yield gap(GapKind.DAYS_UNACCOUNTED, from_on, to_on)
        else:
            yield gap(
                GapKind.STATE_UNEXPLAINED,
                from_on,
                to_on,
                said=balances.said(said),
                held=balances.said(held),
            )


def lease_gaps(
    records: Sequence[Written], placed: Sequence[tuple[date, date | None]], until: date
) -> Iterator[GapView]:
    """Days at a lessee that no record of commissioning explains. Stays that follow each other are
    one: a pack that moved, or whose lease another took over, was commissioned once."""
    begun = {
        one.happened_on for one in records if one.kind in ("pack.commissioned", "pack.swapped")
    }
    last: date | None = None
    for from_on, to_on in placed:
        if from_on not in begun and from_on != last and from_on < until:
            yield gap(GapKind.NOT_COMMISSIONED, from_on, to_on)
        last = to_on


def step_gaps(records: Sequence[Written], evidence: Sequence[EvidenceView]) -> Iterator[GapView]:
    inspected = certified = True
    left: Written | None = None
    numbers = {one.number for one in evidence if one.kind == "certificate"}
    for one in records:
        match one.kind:
            case "pack.returned" | "pack.found":
                inspected = False
            case "pack.inspected":
                inspected = True
            case "waste.declared" | "pack.reinstated":
                if not inspected:
                    yield gap(GapKind.NOT_INSPECTED, one.happened_on)
                inspected = True
            case "waste.outbound":
                left = one
            case "waste.inbound" | "recycle.received" | "route.released":
                left = None
            case "recycle.completed":
                certified = bool(numbers)
                if not certified:
                    yield gap(GapKind.NO_CERTIFICATE, one.happened_on)
    if left is not None:
        yield gap(GapKind.NOT_RECEIVED, left.happened_on)


# --- Keys -------------------------------------------------------------------------------------


def new_key(passphrase: str) -> tuple[str, str]:
    """A private key, encrypted, and its public half, as PEM."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def opened(private_pem: str, passphrase: str) -> Ed25519PrivateKey:
    """A private key, decrypted. Raises `NoSigningKey` for another passphrase."""
    try:
        key = serialization.load_pem_private_key(private_pem.encode(), passphrase.encode())
    except ValueError as error:
        raise NoSigningKey("LEASING_SIGNING_PASSPHRASE does not open the newest key") from error
    assert isinstance(key, Ed25519PrivateKey)
    return key


# --- The archive ------------------------------------------------------------------------------

README = (Path(__file__).parent / "templates" / "README.txt").read_text("utf-8")


def files_of(
    life: LifeFile,
    records: Sequence[Written],
    pages: Mapping[str, bytes],
    *,
    key_id: str,
) -> dict[str, bytes]:
    """The files of an archive, but for the list of hashes and its signature."""
    texts = {f"{one.sequence:04}.txt": chains.canonical(one).encode() for one in records}
    listed = "".join(
        f"{one.hash.hex()}  {name}\n" for one, name in zip(records, texts, strict=True)
    )
    papers = "".join(
        f"{digest}  {one.kind} {one.on or ''} {one.number}\n"
        for one in life.evidence
        for digest in one.sha256
    )
    readme = README.format(
        code=life.code,
        made_at=life.made_at.astimezone(UTC).isoformat(timespec="seconds"),
        key_id=key_id,
        head=life.head_sha256 or "",
    )
    lines = b"".join(canonical_json(one) + b"\n" for one in life.records)
    return {
        "README.txt": readme.encode(),
        "life.json": canonical_json(life) + b"\n",
        **pages,
        "records.jsonl": lines,
        **{f"records/{name}": text for name, text in texts.items()},
        "records/SHA256SUMS": listed.encode(),
        "documents.sha256": papers.encode(),
    }


def canonical_json(value: object) -> bytes:
    """JSON with its keys in order and no blanks, the same each time."""
    return msgspec.json.encode(value, order="sorted")


def sums(files: Mapping[str, bytes]) -> bytes:
    """What `sha256sum` would write of some files."""
    lines = [f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)]
    return "".join(lines).encode()


def archive(
    files: Mapping[str, bytes], key: Ed25519PrivateKey, public_pem: str, made_at: datetime
) -> bytes:
    """The files, the list of their hashes, and its signature, as one zip."""
    listed = sums(files)
    signed = {
        **files,
        "SHA256SUMS": listed,
        "SHA256SUMS.sig": key.sign(listed),
        "public-key.pem": public_pem.encode(),
    }
    return packed(signed.items(), made_at)


def packed(files: Iterable[tuple[str, bytes]], made_at: datetime) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as folder:
        for name, content in files:
            entry = zipfile.ZipInfo(name, made_at.astimezone(UTC).timetuple()[:6])
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            folder.writestr(entry, content)
    return out.getvalue()
