"""Notes, attachments and tags: each write is told among the events of its subject."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from leasing.annotations import media, rules, store
from leasing.annotations.model import (
    NO_SUCH,
    AttachmentRemoved,
    AttachmentTypeRefused,
    BadTag,
    ContentGone,
    HashDiffers,
    NoSuchAttachment,
    NoSuchNote,
    NoteStruck,
    NothingAttached,
    TooManyTags,
)
from leasing.db.pool import Connection
from leasing.events import store as events
from leasing.events.store import Event
from leasing.kit.errors import FieldError
from leasing.kit.rows import convert
from schemas.annotations import (
    AttachmentView,
    MediaType,
    NoteCreate,
    NoteView,
    SubjectKind,
    TagsChange,
)

# --- Subjects ---------------------------------------------------------------------------------


async def refuse_unseen(tx: Connection, kind: SubjectKind, subject_id: UUID) -> None:
    """Raise that there is no such pack, site or contract, as far as the caller may know."""
    if not await store.is_seen(tx, kind, subject_id):
        raise NO_SUCH[kind]


async def lock(tx: Connection, kind: SubjectKind, subject_id: UUID) -> None:
    """Lock a thing in order to write on it. Raises that there is none."""
    if not await store.lock(tx, kind, subject_id):
        raise NO_SUCH[kind]


# --- Notes ------------------------------------------------------------------------------------


async def write_note(
    tx: Connection, kind: SubjectKind, subject_id: UUID, data: NoteCreate, *, by: str, now: datetime
) -> NoteView:
    await lock(tx, kind, subject_id)
    note_id = await store.add_note(tx, subject_id, data, by, now)
    # The text stays in one place; the event says where.
    told: dict[str, object] = {"note_id": note_id, "visible_to_customer": data.visible_to_customer}
    await events.append(tx, [Event(kind, subject_id, "note.added", told)], actor=by, now=now)
    return await get_note(tx, note_id)


async def get_note(tx: Connection, note_id: UUID) -> NoteView:
    row = await store.get_note(tx, note_id)
    if row is None:
        raise NoSuchNote
    return convert(row, NoteView)


async def strike_note(
    tx: Connection, note_id: UUID, reason: str, *, by: str, now: datetime
) -> NoteView:
    subject = await store.subject_of_note(tx, note_id)
    if subject is None:
        raise NoSuchNote
    await lock(tx, SubjectKind(subject["kind"]), subject["id"])
    if not await store.strike(tx, note_id, reason, by, now):
        raise NoteStruck
    told: dict[str, object] = {"note_id": note_id, "reason": reason}
    struck = Event(subject["kind"], subject["id"], "note.struck", told)
    await events.append(tx, [struck], actor=by, now=now)
    return await get_note(tx, note_id)


# --- Attachments ------------------------------------------------------------------------------


async def attach(
    tx: Connection,
    kind: SubjectKind,
    subject_id: UUID,
    content: bytes,
    *,
    declared: str,
    filename: str,
    visible_to_customer: bool,
    expected_sha256: str | None,
    by: str,
    now: datetime,
) -> AttachmentView:
    """Keep content that is what it is declared to be. Raises `AttachmentTypeRefused` naming
    both types when they differ, and `HashDiffers` when it is not what the caller hashed."""
    if not content:
        raise NothingAttached("send the file itself as the body")
    digest = hashlib.sha256(content)
    refuse_other_content(digest.hexdigest(), expected_sha256)
    media_type = agreed_type(content, declared)
    await lock(tx, kind, subject_id)
    attachment_id = await store.attach(
        tx,
        subject_id,
        content,
        digest.digest(),
        media_type=media_type,
        filename=filename,
        visible_to_customer=visible_to_customer,
        by=by,
        now=now,
    )
    told: dict[str, object] = {
        "attachment_id": attachment_id,
        "filename": filename,
        "media_type": media_type,
        "size_bytes": len(content),
        "sha256": digest.hexdigest(),
        "visible_to_customer": visible_to_customer,
    }
    await events.append(tx, [Event(kind, subject_id, "attachment.added", told)], actor=by, now=now)
    return await get_attachment(tx, attachment_id)


def refuse_other_content(found: str, expected: str | None) -> None:
    if expected is not None and found != expected:
        fault = FieldError("?sha256", "hash_differs", f"what arrived has the hash {found}")
        raise HashDiffers(fault.message, fields=[fault])


def agreed_type(content: bytes, declared: str) -> MediaType:
    """The type on which declaration and content agree. Raises `AttachmentTypeRefused`."""
    detected = media.detect(content)
    for media_type in detected:
        if media_type == declared:
            return media_type
    raise AttachmentTypeRefused(
        f"declared as {declared or 'nothing'}, by its content {media.in_words(detected)}",
        declared=declared,
        detected=sorted(detected),
        accepted=list(MediaType),
    )


async def get_attachment(tx: Connection, attachment_id: UUID) -> AttachmentView:
    row = await store.get_attachment(tx, attachment_id)
    if row is None:
        raise NoSuchAttachment
    return convert(row, AttachmentView)


async def get_content(tx: Connection, attachment_id: UUID) -> bytes:
    content = await store.get_content(tx, attachment_id)
    if content is None:
        raise ContentGone
    return content


async def remove_attachment(
    tx: Connection, attachment_id: UUID, reason: str, *, by: str, now: datetime
) -> AttachmentView:
    subject = await store.subject_of_attachment(tx, attachment_id)
    if subject is None:
        raise NoSuchAttachment
    await lock(tx, SubjectKind(subject["kind"]), subject["id"])
    sha256 = await store.remove(tx, attachment_id, reason, by, now)
    if sha256 is None:
        raise AttachmentRemoved
    told: dict[str, object] = {
        "attachment_id": attachment_id,
        "sha256": sha256.hex(),
        "reason": reason,
    }
    removed = Event(subject["kind"], subject["id"], "attachment.removed", told)
    await events.append(tx, [removed], actor=by, now=now)
    return await get_attachment(tx, attachment_id)


# --- Tags -------------------------------------------------------------------------------------


async def change_tags(
    tx: Connection, kind: SubjectKind, subject_id: UUID, data: TagsChange, *, by: str, now: datetime
) -> list[str]:
    """Add and take away; what is in both is taken away. Returns the tags there are then."""
    added, removed = read_tags({"/add/{}": data.add, "/remove/{}": data.remove})
    await lock(tx, kind, subject_id)
    came = await store.add_tags(tx, subject_id, [tag for tag in added if tag not in removed])
    went = await store.remove_tags(tx, subject_id, removed)
    present = await store.tags(tx, subject_id)
    if came and len(present) > rules.MAX_TAGS:
        raise TooManyTags(f"{len(present)} tags, {rules.MAX_TAGS} at most")
    if came or went:
        told: dict[str, object] = {"added": came, "removed": went}
        changed = Event(kind, subject_id, "tags.changed", told)
        await events.append(tx, [changed], actor=by, now=now)
    return present


def read_tags(given: dict[str, Sequence[str]]) -> list[list[str]]:
    """Tags in the form in which they are kept, each list by the pattern of its pointers.
    Raises `BadTag` with all that are none."""
    faults = []
    found: list[list[str]] = []
    for pointer, texts in given.items():
        found.append([])
        for index, text in enumerate(texts):
            try:
                found[-1].append(rules.tag(text))
            except rules.BadTagText as error:
                faults.append(FieldError(pointer.format(index), "bad_tag", str(error)))
    if faults:
        raise BadTag(faults[0].message, fields=faults)
    # The same word in two spellings is one tag.
    return [list(dict.fromkeys(tags)) for tags in found]
