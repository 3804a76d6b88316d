"""What is refused about life files."""

from leasing.kit.errors import Conflict, Invalid, NotFound


class NoSuchCode(NotFound):
    code = "code_not_found"
    title = "No pack carries this code, nor ever did"


class NoSigningKey(Conflict):
    code = "no_signing_key"
    title = "Nothing is signed until staff have made a key"


class NoPassphrase(Conflict):
    code = "no_signing_passphrase"
    title = "A key is kept encrypted: LEASING_SIGNING_PASSPHRASE is to say by what"


class NoSuchSigningKey(NotFound):
    code = "signing_key_not_found"
    title = "There is no such key"


class NoSuchOutlet(NotFound):
    code = "outlet_not_found"
    title = "There is no such outlet"


class RegisterTooLong(Invalid):
    code = "register_too_long"
    title = "The register of these days is too long; ask for fewer"
