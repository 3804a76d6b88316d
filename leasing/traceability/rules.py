"""What a record's hash is taken over, what a head is, and what is wrong with a chain of records.

docs/traceability.md says the same for people who check it with other tools.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from uuid import UUID

from leasing.traceability.model import BadHead, Fault, Finding, Head, Newest, Written


def canonical(record: Written) -> str:
    """The text that is hashed: a line for each field that has a value, in this order."""
    lines = [f"previous {record.previous_hash.hex()}\n"] if record.previous_hash else []
    lines.append(
        f"id {record.id}\npack {record.pack_id}\nsequence {record.sequence}\n"
        f"kind {record.kind}\nhappened_on {record.happened_on}\n"
    )
    if record.adcode is not None:
        lines.append(f"adcode {record.adcode}\n")
    if record.party_id is not None:
        lines.append(f"party {record.party_id}\n")
    if record.corrects_id is not None:
        lines.append(f"corrects {record.corrects_id}\n")
    lines.append(
        f"actor {record.actor}\nrecorded_at {instant(record.recorded_at)}\ndata {record.data}\n"
    )
    return "".join(lines)


def instant(at: datetime) -> str:
    """UTC to the microsecond: 2026-06-15T04:30:01.000250Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def digest(record: Written) -> bytes:
    return hashlib.sha256(canonical(record).encode()).digest()


def faults(before: Written | None, record: Written) -> Iterator[Finding]:
    """What is wrong with a record, seen beside the one before it of the same pack."""
    sequence = record.sequence
    last, last_hash = (before.sequence, before.hash) if before is not None else (0, None)
    if sequence > last + 1:
        numbers = f"{last + 1}" if sequence == last + 2 else f"{last + 1} to {sequence - 1}"
        yield finding(Fault.MISSING, record, f"record {numbers} is not there")
    elif sequence <= last:
        yield finding(Fault.NUMBERED_TWICE, record, f"a record follows {last} as {sequence}")
    elif record.previous_hash != last_hash:
        named = record.previous_hash.hex() if record.previous_hash is not None else "none"
        is_there = last_hash.hex() if last_hash is not None else "none"
        reason = f"it follows {named}, and before it stands {is_there}"
        yield finding(Fault.UNLINKED, record, reason)
    reckoned = digest(record)
    if reckoned != record.hash:
        reason = f"{record.kind} carries the hash {record.hash.hex()}, and says {reckoned.hex()}"
        yield finding(Fault.CHANGED, record, reason)


def finding(fault: Fault, record: Written, detail: str) -> Finding:
    return Finding(fault, detail, record.pack_id, record.sequence)


# --- Heads ------------------------------------------------------------------------------------

TITLE = "leasing trace head 1"


class HeadWriter:
    """The text of a head, line by line, and its hash: the SHA-256 of the whole text."""

    def __init__(self, as_of: date) -> None:
        self.as_of = as_of
        self.packs = self.records = 0
        self.taken = hashlib.sha256()

    def begin(self) -> str:
        return self.take(f"{TITLE}\nas_of {self.as_of}\n")

    def line(self, newest: Newest) -> str:
        """One pack; they come in the order of their ids."""
        self.packs += 1
        self.records += newest.sequence
        return self.take(f"{newest.pack_id} {newest.sequence} {newest.hash.hex()}\n")

    def end(self) -> str:
        return self.take(f"packs {self.packs} records {self.records}\n")

    def take(self, text: str) -> str:
        self.taken.update(text.encode())
        return text

    @property
    def head(self) -> Head:
        return Head(self.as_of, self.packs, self.records, self.taken.digest())


def read_head(lines: Iterable[str]) -> Iterator[Newest]:
    """The packs of a head's text. Raises `BadHead` with the number of the line, also for a text
    that was cut off or whose packs are not in order."""
    given = iter(lines)
    if next(given, "") != f"{TITLE}\n" or not next(given, "").startswith("as_of "):
        raise BadHead(f"it does not begin with {TITLE!r} and the day")
    number, packs, last = 2, 0, None
    for number, line in enumerate(given, start=3):
        if line.startswith("packs "):
            if line.split()[1] != str(packs) or next(given, None) is not None:
                raise BadHead(f"line {number}: {packs} packs stand before it")
            return
        newest = read_line(line, number)
        if last is not None and newest.pack_id <= last:
            raise BadHead(f"line {number}: pack {newest.pack_id} is out of order")
        packs, last = packs + 1, newest.pack_id
        yield newest
    raise BadHead(f"line {number} is the last, and tells no number of packs")


def read_line(line: str, number: int) -> Newest:
    try:
        pack_id, sequence, digits = line.split()
        newest = Newest(UUID(pack_id), int(sequence), bytes.fromhex(digits))
    except ValueError as error:
        raise BadHead(f"line {number}: {error}") from error
    if len(newest.hash) != hashlib.sha256().digest_size:
        raise BadHead(f"line {number}: a hash has 64 digits")
    return newest


class Published:
    """A head's packs beside the chains of a walk, both in order of packs' ids.

    `all_packs` False when only some packs are walked along: those in between are passed over.
    """

    def __init__(self, newest: Iterator[Newest], all_packs: bool) -> None:
        self.newest = newest
        self.all_packs = all_packs
        self.waiting = next(newest, None)

    def passed(self, until: UUID | None) -> Iterator[Finding]:
        """Packs of the head before another one, or all that are left: they have no records."""
        while self.waiting is not None and (until is None or self.waiting.pack_id < until):
            if self.all_packs:
                yield cut_short(self.waiting, 0)
            self.waiting = next(self.newest, None)

    def seen(self, record: Written) -> Iterator[Finding]:
        one = self.waiting
        if one is None or one.pack_id != record.pack_id or one.sequence != record.sequence:
            return
        if one.hash != record.hash:
            reason = f"it was published as {one.hash.hex()}, and is {record.hash.hex()}"
            yield finding(Fault.REWRITTEN, record, reason)

    def ended(self, pack_id: UUID, sequence: int) -> Iterator[Finding]:
        """The chain of a pack ended at a record."""
        if self.waiting is not None and self.waiting.pack_id == pack_id:
            if sequence < self.waiting.sequence:
                yield cut_short(self.waiting, sequence)
            self.waiting = next(self.newest, None)


def cut_short(published: Newest, sequence: int) -> Finding:
    reason = f"{published.sequence} records were published, {sequence} are there"
    return Finding(Fault.CUT_SHORT, reason, published.pack_id, sequence)
