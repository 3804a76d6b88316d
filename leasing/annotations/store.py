"""Notes, attachments and tags in the database."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record

from leasing.db.pool import Connection
from schemas.annotations import MediaType, NoteCreate, SubjectKind

# --- Subjects ---------------------------------------------------------------------------------

SEE_PACK = "SELECT true FROM pack WHERE id = $1"
SEE_SITE = "SELECT true FROM site WHERE id = $1"
SEE_CONTRACT = "SELECT true FROM contract WHERE id = $1"

SEE = {
    SubjectKind.PACK: SEE_PACK,
    SubjectKind.SITE: SEE_SITE,
    SubjectKind.CONTRACT: SEE_CONTRACT,
}


async def is_seen(tx: Connection, kind: SubjectKind, subject_id: UUID) -> bool:
    """Whether there is such a thing, as far as the caller may know."""
    return await tx.fetchval(SEE[kind], subject_id) is True


# Its events are numbered one after the other, so whoever writes them holds the thing's own row.
LOCK_PACK = "SELECT true FROM pack WHERE id = $1 FOR NO KEY UPDATE"
LOCK_SITE = "SELECT true FROM site WHERE id = $1 FOR NO KEY UPDATE"
LOCK_CONTRACT = "SELECT true FROM contract WHERE id = $1 FOR NO KEY UPDATE"

LOCK = {
    SubjectKind.PACK: LOCK_PACK,
    SubjectKind.SITE: LOCK_SITE,
    SubjectKind.CONTRACT: LOCK_CONTRACT,
}

ENTER = """
INSERT INTO subject (id, kind)
VALUES ($1, $2)
    ON CONFLICT (id) DO NOTHING
"""


async def lock(tx: Connection, kind: SubjectKind, subject_id: UUID) -> bool:
    """Lock a thing for the rest of the transaction and let it be written on; False when there
    is none."""
    found = await tx.fetchval(LOCK[kind], subject_id) is True
    if found:
        await tx.execute(ENTER, subject_id, kind)
    return found


# --- Notes ------------------------------------------------------------------------------------

ADD_NOTE = """
INSERT INTO note (subject_id, text, visible_to_customer, author, written_at)
VALUES ($1, $2, $3, $4, $5)
RETURNING id
"""


async def add_note(
    tx: Connection, subject_id: UUID, data: NoteCreate, by: str, now: datetime
) -> UUID:
    made: UUID = await tx.fetchval(
        ADD_NOTE, subject_id, data.text, data.visible_to_customer, by, now
    )
    return made


NOTE_COLUMNS = (
    "id, text, visible_to_customer, author, written_at, struck_at, struck_by, strike_reason"
)

GET_NOTE = f"""
SELECT {NOTE_COLUMNS}
  FROM note
 WHERE id = $1
"""


async def get_note(tx: Connection, note_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_NOTE, note_id)


LIST_NOTES = f"""
SELECT {NOTE_COLUMNS}
  FROM note
 WHERE subject_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def notes_after(tx: Connection, subject_id: UUID, note_id: UUID, limit: int) -> list[Record]:
    return await tx.fetch(LIST_NOTES, subject_id, note_id, limit)


SUBJECT_OF_NOTE = """
SELECT subject.id, subject.kind
  FROM note
  JOIN subject ON subject.id = note.subject_id
 WHERE note.id = $1
"""


async def subject_of_note(tx: Connection, note_id: UUID) -> Record | None:
    return await tx.fetchrow(SUBJECT_OF_NOTE, note_id)


STRIKE = """
UPDATE note
   SET struck_at = $2,
       struck_by = $3,
       strike_reason = $4
 WHERE id = $1
   AND struck_at IS NULL
RETURNING true
"""


async def strike(tx: Connection, note_id: UUID, reason: str, by: str, now: datetime) -> bool:
    """Strike a note out; False when it was before."""
    return await tx.fetchval(STRIKE, note_id, now, by, reason) is True


# --- Attachments ------------------------------------------------------------------------------

# The update changes nothing, but locks the row, and waits for whoever is letting it go.
KEEP_CONTENT = """
INSERT INTO attachment_content (sha256, bytes)
VALUES ($1, $2)
    ON CONFLICT (sha256) DO UPDATE SET sha256 = EXCLUDED.sha256
"""

ATTACH = """
INSERT INTO attachment (subject_id, sha256, media_type, size_bytes, filename,
                        visible_to_customer, added_by, added_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING id
"""


async def attach(
    tx: Connection,
    subject_id: UUID,
    content: bytes,
    sha256: bytes,
    *,
    media_type: MediaType,
    filename: str,
    visible_to_customer: bool,
    by: str,
    now: datetime,
) -> UUID:
    """Keep the content, once, and note that it is attached."""
    await tx.execute(KEEP_CONTENT, sha256, content)
    made: UUID = await tx.fetchval(
        ATTACH,
        subject_id,
        sha256,
        media_type,
        len(content),
        filename,
        visible_to_customer,
        by,
        now,
    )
    return made


ATTACHMENT_COLUMNS = """id, filename, media_type, size_bytes, encode(sha256, 'hex') AS sha256,
       visible_to_customer, added_by, added_at, removed_at, removed_by, removal_reason"""

GET_ATTACHMENT = f"""
SELECT {ATTACHMENT_COLUMNS}
  FROM attachment
 WHERE id = $1
"""


async def get_attachment(tx: Connection, attachment_id: UUID) -> Record | None:
    return await tx.fetchrow(GET_ATTACHMENT, attachment_id)


LIST_ATTACHMENTS = f"""
SELECT {ATTACHMENT_COLUMNS}
  FROM attachment
 WHERE subject_id = $1
   AND id > $2
 ORDER BY id
 LIMIT $3
"""


async def attachments_after(
    tx: Connection, subject_id: UUID, attachment_id: UUID, limit: int
) -> list[Record]:
    return await tx.fetch(LIST_ATTACHMENTS, subject_id, attachment_id, limit)


GET_CONTENT = """
SELECT bytes
  FROM attachment_content
  JOIN attachment ON attachment.held_sha256 = attachment_content.sha256
 WHERE attachment.id = $1
"""


async def get_content(tx: Connection, attachment_id: UUID) -> bytes | None:
    found: bytes | None = await tx.fetchval(GET_CONTENT, attachment_id)
    return found


SUBJECT_OF_ATTACHMENT = """
SELECT subject.id, subject.kind
  FROM attachment
  JOIN subject ON subject.id = attachment.subject_id
 WHERE attachment.id = $1
"""


async def subject_of_attachment(tx: Connection, attachment_id: UUID) -> Record | None:
    return await tx.fetchrow(SUBJECT_OF_ATTACHMENT, attachment_id)


REMOVE = """
UPDATE attachment
   SET removed_at = $2,
       removed_by = $3,
       removal_reason = $4
 WHERE id = $1
   AND removed_at IS NULL
RETURNING sha256
"""

LOCK_CONTENT = """
SELECT true
  FROM attachment_content
 WHERE sha256 = $1
   FOR UPDATE
"""

LET_GO = """
DELETE FROM attachment_content
 WHERE sha256 = $1
   AND NOT EXISTS (SELECT FROM attachment WHERE held_sha256 = $1)
"""


async def remove(
    tx: Connection, attachment_id: UUID, reason: str, by: str, now: datetime
) -> bytes | None:
    """Remove an attachment, and its content unless it is attached elsewhere. Returns its hash,
    or None when it was removed before."""
    sha256: bytes | None = await tx.fetchval(REMOVE, attachment_id, now, by, reason)
    if sha256 is not None:
        # First the lock, then the look: whoever attaches the same bytes now is seen then.
        await tx.execute(LOCK_CONTENT, sha256)
        await tx.execute(LET_GO, sha256)
    return sha256


# --- Tags -------------------------------------------------------------------------------------

TAGS = """
SELECT tag
  FROM subject_tag
 WHERE subject_id = $1
 ORDER BY tag
"""


async def tags(tx: Connection, subject_id: UUID) -> list[str]:
    return [row["tag"] for row in await tx.fetch(TAGS, subject_id)]


ADD_TAGS = """
INSERT INTO subject_tag (subject_id, tag)
SELECT $1, tag
  FROM unnest($2::text[]) AS given (tag)
    ON CONFLICT (subject_id, tag) DO NOTHING
RETURNING tag
"""


async def add_tags(tx: Connection, subject_id: UUID, added: Sequence[str]) -> list[str]:
    """Add tags; returns those that were not there."""
    return sorted(row["tag"] for row in await tx.fetch(ADD_TAGS, subject_id, added))


REMOVE_TAGS = """
DELETE FROM subject_tag
 WHERE subject_id = $1
   AND tag = ANY ($2::text[])
RETURNING tag
"""


async def remove_tags(tx: Connection, subject_id: UUID, removed: Sequence[str]) -> list[str]:
    """Take tags away; returns those that were there."""
    return sorted(row["tag"] for row in await tx.fetch(REMOVE_TAGS, subject_id, removed))


COUNT_TAGS = """
SELECT tag,
       count(*) FILTER (WHERE kind = 'pack') AS packs,
       count(*) FILTER (WHERE kind = 'site') AS sites,
       count(*) FILTER (WHERE kind = 'contract') AS contracts
  FROM subject_tag
  JOIN subject ON subject.id = subject_tag.subject_id
 WHERE tag > $1
 GROUP BY tag
 ORDER BY tag
 LIMIT $2
"""


async def tags_after(tx: Connection, tag: str, limit: int) -> list[Record]:
    return await tx.fetch(COUNT_TAGS, tag, limit)


LIST_TAGGED = """
SELECT id, kind
  FROM subject
 WHERE id > $1
   AND ($2::text IS NULL OR kind = $2)
   AND EXISTS (SELECT FROM subject_tag WHERE subject_id = subject.id)
   AND NOT EXISTS (
     SELECT FROM unnest($3::text[]) AS wanted (tag)
      WHERE NOT EXISTS (
        SELECT FROM subject_tag
         WHERE subject_tag.subject_id = subject.id AND subject_tag.tag = wanted.tag))
 ORDER BY id
 LIMIT $4
"""


async def tagged_after(
    tx: Connection,
    subject_id: UUID,
    kind: SubjectKind | None,
    wanted: Sequence[str],
    limit: int,
) -> list[Record]:
    """Things that carry every tag of those wanted, and one at least."""
    return await tx.fetch(LIST_TAGGED, subject_id, kind, wanted, limit)
