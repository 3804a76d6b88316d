"""What can go wrong with parties."""

from leasing.kit.errors import Conflict, Invalid, NotFound


class NoSuchParty(NotFound):
    code = "party_not_found"
    title = "There is no such party"


class BadCreditCode(Invalid):
    code = "bad_credit_code"
    title = "The unified social credit code is not valid"


class CreditCodeTaken(Conflict):
    code = "credit_code_taken"
    title = "Another party has this unified social credit code"


class SecondLessor(Conflict):
    code = "lessor_exists"
    title = "One deployment serves one lessor"


# --- Groups of companies ----------------------------------------------------------------------


class BadParent(Conflict):
    code = "bad_parent"
    title = "A parent is a customer that is not below the party itself"


class TreeTooDeep(Conflict):
    code = "tree_too_deep"
    title = "A group has eight levels at most"


class NotInAGroup(Conflict):
    code = "not_in_a_group"
    title = "Only customers have a parent and a billing party"


class BadBillingParty(Conflict):
    code = "bad_billing_party"
    title = "A billing party is the party itself, one above it, or a payer"


# --- Roles ------------------------------------------------------------------------------------


class NoSuchRole(NotFound):
    code = "role_not_found"
    title = "The party has no such role"


class RoleOverlaps(Conflict):
    code = "role_overlaps"
    title = "The party plays this role in that time already"


class RoleOfAnotherKind(Conflict):
    code = "role_of_another_kind"
    title = "Only customers are lessees, and the lessor pays no rent"


class RoleEndsOtherwise(Conflict):
    code = "role_ends_otherwise"
    title = "A role ends after its first day, and not after an end it has already"


class PayerStillChosen(Conflict):
    code = "payer_still_chosen"
    title = "The party gets the invoices of others as their payer"


# --- Contacts ---------------------------------------------------------------------------------


class NoSuchContact(NotFound):
    code = "contact_not_found"
    title = "There is no such contact"


class BadPhone(Invalid):
    code = "bad_phone"
    title = "The telephone number is not valid"


class Unreachable(Invalid):
    code = "contact_unreachable"
    title = "A contact has a phone number, an email address or both"


class ContactRemoved(Conflict):
    code = "contact_removed"
    title = "The contact was removed"


# --- Qualifications ---------------------------------------------------------------------------


class NotARecycler(Conflict):
    code = "not_a_recycler"
    title = "Only a recycler is qualified"


class QualificationOverlaps(Conflict):
    code = "qualification_overlaps"
    title = "The recycler holds this qualification in that time already"


class EmptyValidity(Invalid):
    code = "empty_validity"
    title = "What is valid is valid for at least one day"


class NothingToWithdraw(Conflict):
    code = "qualification_not_valid"
    title = "The recycler did not hold this qualification before that day"


CONSTRAINTS = {
    "party_credit_code_once": CreditCodeTaken,
    "party_one_lessor": SecondLessor,
    "party_parent": BadParent,
    "party_parent_has_a_level": BadParent,
    "party_level": TreeTooDeep,
    "party_group_of_customers": NotInAGroup,
    "party_billing_party": BadBillingParty,
    "party_role_one_at_a_time": RoleOverlaps,
    "party_role_of_its_kind": RoleOfAnotherKind,
    "qualification_of_a_recycler": NotARecycler,
    "qualification_one_at_a_time": QualificationOverlaps,
}
