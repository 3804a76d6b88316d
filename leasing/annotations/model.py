"""Notes, attachments, tags and custom fields: what is refused."""

from leasing.batteries.model import NoSuchPack
from leasing.contracts.model import NoSuchContract
from leasing.kit.errors import Conflict, Invalid, NotFound, UnsupportedType
from leasing.sites.service import NoSuchSite
from schemas.annotations import SubjectKind

NO_SUCH: dict[SubjectKind, type[NotFound]] = {
    SubjectKind.PACK: NoSuchPack,
    SubjectKind.SITE: NoSuchSite,
    SubjectKind.CONTRACT: NoSuchContract,
}


class NoSuchNote(NotFound):
    code = "note_not_found"
    title = "There is no such note"


class NoteStruck(Conflict):
    code = "note_struck"
    title = "The note was struck out before"


class NoSuchAttachment(NotFound):
    code = "attachment_not_found"
    title = "There is no such attachment"


class AttachedAlready(Conflict):
    code = "attached_already"
    title = "The same content is attached here already"


class AttachmentRemoved(Conflict):
    code = "attachment_removed"
    title = "The attachment was removed"


class ContentGone(NotFound):
    code = "attachment_content_gone"
    title = "The attachment was removed; its content is no longer kept for it"


class AttachmentTypeRefused(UnsupportedType):
    code = "attachment_type_refused"
    title = "The content is not what it is said to be, or may not be attached"


class NothingAttached(Invalid):
    code = "nothing_attached"
    title = "There is no content to attach"


class HashDiffers(Invalid):
    code = "hash_differs"
    title = "What arrived is not what was hashed"


class BadTag(Invalid):
    code = "bad_tag"
    title = "A tag is not one short word"


class TooManyTags(Conflict):
    code = "too_many_tags"
    title = "The subject has as many tags as it can have"


class NoSuchCustomField(NotFound):
    code = "custom_field_not_found"
    title = "There is no such custom field"


class CustomFieldKeyTaken(Conflict):
    code = "custom_field_key_taken"
    title = "Another field of this kind of subject has this key"


class BadCustomField(Invalid):
    code = "bad_custom_field"
    title = "The definition contradicts itself"


class CustomFieldInUse(Conflict):
    code = "custom_field_in_use"
    title = "The type of a field that has values cannot change"


class CustomChoiceInUse(Conflict):
    code = "custom_choice_in_use"
    title = "A choice that is in use cannot be left out"


class CustomFieldRetired(Conflict):
    code = "custom_field_retired"
    title = "The field was retired"


class BadCustomValues(Invalid):
    code = "bad_custom_values"
    title = "The values do not fit their fields"


CONSTRAINTS = {
    "attachment_once": AttachedAlready,
    "custom_field_key_once": CustomFieldKeyTaken,
    "custom_value_of_its_field": CustomFieldInUse,
    "custom_value_of_its_choices": CustomChoiceInUse,
}
