"""Decode a JSON body, and when it is refused say everything that is wrong with it.

msgspec stops at the first error. A form with four mistakes should not need four attempts, so
after a refusal, and only then, we walk the type and the document side by side. Every verdict
is still msgspec's own: a part is refused only because the decoder refuses that part alone.
"""

import difflib
import enum
import json
import math
import types
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice, repeat
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from litestar import Request
from litestar.exceptions import HTTPException

from leasing.kit.errors import FieldError, Invalid, TooLarge, UnsupportedType
from schemas.batches import Batch

T = TypeVar("T")
B = TypeVar("B", bound=Batch)

# A batch of a thousand readings can be wrong in thousands of places; no one reads them all.
MAX_ERRORS = 200

# The second reading costs up to a hundred times the first, and no one else is served meanwhile.
# A larger body is told its first error only, in msgspec's words.
MAX_EXPLAINED_BYTES = 2_000_000


class InvalidPayload(Invalid):
    code = "invalid_payload"
    title = "The payload is not valid"


class MalformedJson(Invalid):
    code = "malformed_json"
    title = "The body is not JSON"


class BodyRequired(Invalid):
    code = "body_required"
    title = "The request has no body"


class TooDeep(Invalid):
    code = "too_deep"
    title = "The body is nested too deeply"


class MalformedMsgpack(Invalid):
    code = "malformed_msgpack"
    title = "The body is not MessagePack"


class UnknownEncoding(UnsupportedType):
    code = "unknown_encoding"
    title = "The body is compressed in a way that we do not take"


class NotGzip(Invalid):
    code = "not_gzip"
    title = "The body is not gzip, or not all of it is there"


class InflatedTooLarge(TooLarge):
    code = "inflated_too_large"
    title = "The body is too large once it is inflated"


MAX_INFLATED_BYTES = 10_000_000


class JsonRequest(Request[Any, Any, Any]):
    """Litestar's request, except that `data` goes through `decode`.

    Litestar itself reads the body without a type and then converts it leniently: it would
    take "12" for a number. Give it this class with `Litestar(request_class=JsonRequest)` and
    `data` arrives strictly decoded; Litestar's conversion then passes it through untouched.
    The content type must be JSON, which also keeps other sites' HTML forms out.
    """

    async def json(self) -> Any:
        field = self.route_handler.parsed_data_field
        if field is None:
            return await super().json()
        media_type, _ = self.content_type
        packed = media_type in MSGPACK and bool(self.route_handler.opt.get("msgpack"))
        if not packed and media_type != "application/json" and not media_type.endswith("+json"):
            raise HTTPException(
                status_code=415,
                detail=f"expected application/json, got {media_type or 'no Content-Type'}",
                headers={"Accept": "application/json"},
            )
        limit = self.route_handler.resolve_request_max_body_size()
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        body = inflated(await self.body(), coding, limit)
        if not is_batch(field.annotation):
            return decode(field.raw, body, packed=packed)  # raw: with its msgspec.Meta
        batch, malformed = decode_batch(field.annotation, body, packed=packed)
        self.scope["state"]["unreadable"] = malformed
        return batch


MSGPACK = frozenset({"application/vnd.msgpack", "application/msgpack", "application/x-msgpack"})
"""Taken where a route says `opt={"msgpack": True}`."""


def inflated(body: bytes, coding: str, limit: int | None) -> bytes:
    """The body as it was before it was compressed. Raises `UnknownEncoding`, `NotGzip`, and
    `InflatedTooLarge` without inflating more than the limit."""
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip"):
        raise UnknownEncoding(f"expected gzip or none, got {coding[:60]}")
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        found = inflate.decompress(body, (limit or MAX_INFLATED_BYTES) + 1)
    except zlib.error as error:
        raise NotGzip(str(error)) from None
    if len(found) > (limit or MAX_INFLATED_BYTES):
        raise InflatedTooLarge(f"{limit:,} bytes are taken at most, counted when inflated")
    if not inflate.eof or inflate.unused_data:
        raise NotGzip("the body ends in the middle of it, or goes on after it")
    return found


@cache
def _decoder(type_: Any, packed: bool = False) -> Any:
    return msgspec.msgpack.Decoder(type_) if packed else msgspec.json.Decoder(type_)


def decode(type_: type[T], body: bytes, *, explain: bool = True, packed: bool = False) -> T:
    """The body as `type_`, or `Invalid` with every field error; with the first one alone if it is
    not to be explained. `packed` is MessagePack."""
    try:
        value: T = _decoder(type_, packed).decode(body)  # type: ignore[arg-type]  # a type hashes
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if packed:
            raise _explain_packed(type_, body, error, explain) from None
        raise (_explain(type_, body, error) if explain else _brief(error)) from None
    return value


def _explain_packed(type_: Any, body: bytes, error: Exception, explain: bool) -> Invalid:
    if not body:
        return BodyRequired()
    if not isinstance(error, msgspec.ValidationError):
        return TooDeep() if isinstance(error, RecursionError) else MalformedMsgpack(str(error))
    if not explain or len(body) > MAX_EXPLAINED_BYTES:
        return _brief(error)
    try:
        fields = collect(type_, msgspec.msgpack.decode(body))
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
        # Maps with odd keys, bytes that are no text: no JSON can show them.
        return _brief(error)
    return InvalidPayload(summary(fields), fields=fields) if fields else _brief(error)


class Malformed(msgspec.Struct, frozen=True):
    """The rows of a batch that cannot be read, by their places, and why."""

    rows: dict[int, Invalid]


def is_batch(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, Batch)


def decode_batch(type_: type[B], body: bytes, *, packed: bool = False) -> tuple[B, Malformed]:
    """The rows of a batch that can be read, and what is wrong with the others. Raises `Invalid`
    when it is no batch."""
    try:
        return _decoder(type_, packed).decode(body), Malformed({})
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        frame_type, row_type = _frame(type_)
        frame = decode(frame_type, body, packed=packed)
    rows: list[Any] = []
    malformed: dict[int, Invalid] = {}
    for place, raw in enumerate(getattr(frame, type_.ROWS)):
        try:
            explain = len(malformed) < MAX_ERRORS
            rows.append(decode(row_type, bytes(raw), explain=explain, packed=packed))
        except Invalid as error:
            malformed[place] = error
    given = {name: getattr(frame, name) for name in type_.__struct_fields__}
    return type_(**{**given, type_.ROWS: rows}), Malformed(malformed)


@cache
def _frame(type_: Any) -> tuple[Any, Any]:
    """A batch whose rows are not read yet, and the type of a row."""
    hints = get_type_hints(type_, include_extras=True)
    row_type, *_ = get_args(get_args(hints[type_.ROWS])[0])
    limits = get_args(hints[type_.ROWS])[1:]
    rows: tuple[str, Any] = (type_.ROWS, _annotated(list[msgspec.Raw], limits))
    # The other fields with their defaults, which a subclass may have changed.
    others = [
        (field.name, hints[field.name], field.default)
        for field in msgspec.structs.fields(type_)
        if field.name != type_.ROWS and field.default is not msgspec.NODEFAULT
    ]
    frame = msgspec.defstruct(
        type_.__name__, [rows, *others], bases=(Batch,), frozen=True, kw_only=True
    )
    return frame, row_type


def collect(type_: Any, raw: object) -> list[FieldError]:
    """Every field error in a decoded JSON document; empty if and only if `type_` takes it."""
    return list(islice(_walk(type_, raw, ""), MAX_ERRORS))


def summary(found: list[FieldError]) -> str:
    first = f"{found[0].pointer}: {found[0].message}".removeprefix(": ")
    return first if len(found) == 1 else f"{first} (and {len(found) - 1} more)"


def refusal(type_: Any, raw: object, pointer: str, error: msgspec.ValidationError) -> FieldError:
    """msgspec's reason for refusing `raw`, in plainer words and with the value received."""
    if error.__cause__ is not None:  # a __post_init__ spoke
        return FieldError(pointer, "invalid", str(error.__cause__))
    reason = str(error).split(" - at `")[0]
    shown = _show(raw)
    if reason in _FORMS:
        code, form = _FORMS[reason]
        bare = shown[1:-1] if len(shown) > 2 and shown[0] == shown[-1] == '"' else shown
        return FieldError(pointer, code, f"{bare} is not {form}")
    if reason.startswith("Invalid enum value"):
        choices = ", ".join(str(choice) for choice in islice(_choices(type_), 30))
        return FieldError(pointer, "unknown_value", f"{shown} is not one of: {choices}")
    if reason.startswith("Expected `"):
        _, kinds, rest = reason.split("`", 2)
        wanted = " or ".join(_KINDS.get(kind, kind) for kind in kinds.split(" | "))
        rest = rest.split(", got ")[0]
        code = next((code for hint, code in _CODES.items() if hint in rest), "wrong_type")
        return FieldError(pointer, code, f"expected {wanted}{rest}, got {shown}")
    return FieldError(pointer, "invalid", reason)


_FORMS = {
    "Invalid RFC3339 encoded date": ("invalid_date", "a date that exists (expected YYYY-MM-DD)"),
    "Invalid RFC3339 encoded datetime": (
        "invalid_datetime",
        "an instant that exists (expected YYYY-MM-DDThh:mm:ss with Z or an offset)",
    ),
    "Invalid RFC3339 encoded time": ("invalid_time", "a time of day (expected hh:mm:ss)"),
    "Invalid ISO8601 duration": ("invalid_duration", "a duration (expected ISO 8601, as PT15M)"),
    "Invalid UUID": ("invalid_uuid", "a UUID"),
    "Invalid decimal string": ("invalid_decimal", "a decimal number"),
    "Invalid base64 encoded string": ("invalid_base64", "base64"),
    "Number out of range": ("out_of_range", "a number we can hold"),
    "Integer value out of range": ("out_of_range", "a number we can hold"),
}

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a decimal number",
    "str": "a string",
    "bool": "true or false",
    "object": "an object",
    "array": "an array",
    "date": "a date (YYYY-MM-DD)",
    "datetime": "an instant",
    "time": "a time of day",
    "duration": "a duration",
    "uuid": "a UUID",
    "bytes": "base64",
}

# What follows the kind in msgspec's "Expected `str` of length <= 5", and our code for it.
_CODES = {
    "length": "wrong_length",
    "matching regex": "wrong_pattern",
    "timezone": "wrong_timezone",
    ">": "out_of_range",
    "<": "out_of_range",
    "multiple of": "out_of_range",
}


def _show(raw: object) -> str:
    if isinstance(raw, dict):
        return "an object"
    if isinstance(raw, list):
        return f"an array of {len(raw)}"
    if isinstance(raw, str) and len(raw) > 60:
        raw = raw[:60] + "…"
    return msgspec.json.encode(raw).decode()


def _choices(type_: Any) -> Iterator[object]:
    for member, _ in _members(type_):
        if get_origin(member) is Literal:
            yield from get_args(member)
        elif isinstance(member, type) and issubclass(member, enum.Enum):
            yield from (choice.value for choice in member)


# --- The walk ---------------------------------------------------------------------------------

_ARRAYS = {list, tuple, set, frozenset, Sequence}
_MAPPINGS = {dict, Mapping}


def _walk(type_: Any, raw: object, pointer: str) -> Iterator[FieldError]:
    """The errors below `raw`; when none of its parts is wrong alone, the error of the whole."""
    whole = _judge(type_, raw, pointer)
    if whole:
        below = _below(type_, raw, pointer)
        yield next(below, whole)
        yield from below


def _judge(type_: Any, raw: object, pointer: str) -> FieldError | None:
    try:
        _decoder(type_).decode(msgspec.json.encode(raw))
    except msgspec.ValidationError as error:
        return refusal(type_, raw, pointer, error)
    return None


def _below(type_: Any, raw: object, pointer: str) -> Iterator[FieldError]:
    structs = []
    for member, meta in _members(type_):
        origin = get_origin(member) or member
        if isinstance(raw, list) and origin in _ARRAYS:
            yield from _array(origin, get_args(member), meta, raw, pointer)
        elif isinstance(raw, dict) and origin in _MAPPINGS:
            yield from _mapping(get_args(member), meta, raw, pointer)
        elif isinstance(raw, dict) and msgspec.inspect.is_struct_type(origin):
            structs.append(member)
    if isinstance(raw, dict) and structs:
        yield from _struct(structs, raw, pointer)


def _members(type_: Any, meta: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The members of a union (or the one type), bare, each with its constraints."""
    origin = get_origin(type_)
    if origin is Annotated:
        yield from _members(type_.__origin__, meta + type_.__metadata__)
    elif origin is Union or origin is types.UnionType:
        for member in get_args(type_):
            yield from _members(member, meta)
    elif hasattr(type_, "__supertype__"):  # a NewType
        yield from _members(type_.__supertype__, meta)
    else:
        yield type_, meta


def _array(
    origin: Any, items: tuple[Any, ...], meta: tuple[Any, ...], raw: list[Any], pointer: str
) -> Iterator[FieldError]:
    shell: Any = list[Any]
    each: Iterator[Any] = repeat(items[0] if items else Any)
    if origin is tuple and items and items[-1] is not ...:
        shell = tuple[tuple(Any for _ in items)]  # type: ignore[misc]
        each = iter(items)
    if origin not in (set, frozenset):  # a set's length is known afterwards
        # An array of the wrong length is not read further: its limit also bounds our work.
        wrong_length = _judge(_annotated(shell, meta), raw, pointer)
        if wrong_length:
            yield wrong_length
            return
    for index, (item, value) in enumerate(zip(each, raw, strict=False)):
        yield from _walk(item, value, f"{pointer}/{index}")


def _mapping(
    key_and_value: tuple[Any, ...], meta: tuple[Any, ...], raw: dict[str, Any], pointer: str
) -> Iterator[FieldError]:
    key_type, value_type = key_and_value or (Any, Any)
    if wrong_length := _judge(_annotated(dict[str, Any], meta), raw, pointer):
        yield wrong_length
        return
    for key, value in raw.items():
        place = f"{pointer}/{_escape(key)}"
        if wrong := _judge_key(key_type, key, place):
            yield wrong
        yield from _walk(value_type, value, place)


def _judge_key(key_type: Any, key: str, pointer: str) -> FieldError | None:
    try:
        _decoder(dict[key_type, Any]).decode(msgspec.json.encode({key: None}))
    except msgspec.ValidationError as error:
        wrong = refusal(key_type, key, pointer, error)
        return FieldError(pointer, wrong.code, f"in the name: {wrong.message}")
    return None


def _struct(structs: list[Any], raw: dict[str, Any], pointer: str) -> Iterator[FieldError]:
    """`structs` has several members only for a tagged union."""
    struct = structs[0]
    tag_field = _config(struct).tag_field
    if tag_field and (tag_field in raw or len(structs) > 1):
        tag = raw.get(tag_field)
        struct = next((one for one in structs if _same(_config(one).tag, tag)), None)
        if struct is None:
            yield _unknown_tag(structs, tag_field, raw, pointer)
            return

    fields = msgspec.structs.fields(struct)
    for field in fields:
        place = f"{pointer}/{_escape(field.encode_name)}"
        if field.encode_name in raw:
            yield from _walk(field.type, raw[field.encode_name], place)
        elif field.required:
            yield FieldError(place, "missing", f"'{field.encode_name}' is required")

    if _config(struct).forbid_unknown_fields:
        known = [field.encode_name for field in fields]
        free = [name for name in known if name not in raw]
        for name in raw:
            if name not in known and name != tag_field:
                yield _unknown(name, free, pointer)


def _unknown_tag(
    structs: list[Any], tag_field: str, raw: dict[str, Any], pointer: str
) -> FieldError:
    place = f"{pointer}/{_escape(tag_field)}"
    choices = ", ".join(str(_config(struct).tag) for struct in structs)
    if tag_field not in raw:
        return FieldError(place, "missing", f"'{tag_field}' is required, one of: {choices}")
    message = f"{_show(raw[tag_field])} is not one of: {choices}"
    return FieldError(place, "unknown_value", message)


def _unknown(name: str, free: list[str], pointer: str) -> FieldError:
    message = f"unknown field '{name[:60]}'"
    # difflib takes quadratic time, and no field of ours has a name that long.
    close = difflib.get_close_matches(name, free, n=1) if len(name) <= 60 else []
    if close:
        message += f", did you mean '{close[0]}'?"
    return FieldError(f"{pointer}/{_escape(name)}", "unknown_field", message)


def _config(struct: Any) -> Any:
    return (get_origin(struct) or struct).__struct_config__


def _same(tag: object, value: object) -> bool:
    return type(tag) is type(value) and tag == value


def _annotated(type_: Any, meta: tuple[Any, ...]) -> Any:
    return Annotated[(type_, *meta)] if meta else type_


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# --- What is no document at all ----------------------------------------------------------------


class _Object(dict[str, Any]):
    """A JSON object that remembers the names it was given twice."""

    twice: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) < len(pairs):
        count = Counter(name for name, _ in pairs)
        made.twice = tuple(name for name in made if count[name] > 1)
    return made


def _integer(digits: str) -> float:
    return int(digits) if len(digits) <= 4300 else math.inf  # Python refuses longer ones


def _explain(type_: Any, body: bytes, error: Exception) -> Invalid:
    """Read a refused body again with the standard library, which is more talkative.

    It accepts NaN, turns 1e400 into infinity and shows repeated names, so that we can say
    where they are. Repeated names are looked for here only: refusing them in a body msgspec
    takes would cost every request a second reading (msgspec keeps the last value).
    """
    if not body.strip():
        return BodyRequired()
    if len(body) > MAX_EXPLAINED_BYTES:
        return _brief(error)
    try:
        raw = json.loads(body.decode(), object_pairs_hook=_object, parse_int=_integer)
        fields = list(islice(_unreadable(raw, ""), MAX_ERRORS))
        if not fields:
            msgspec.json.decode(body)  # broken further on than the first field error?
            fields = collect(type_, raw)
    except UnicodeDecodeError as wrong:
        return MalformedJson(f"the body is not UTF-8 (byte {wrong.start})", byte=wrong.start)
    except json.JSONDecodeError as wrong:
        byte = len(wrong.doc[: wrong.pos].encode(errors="surrogatepass"))
        place = f"line {wrong.lineno}, column {wrong.colno} (byte {byte})"
        return MalformedJson(f"{wrong.msg} at {place}", byte=byte)
    except (msgspec.DecodeError, RecursionError) as wrong:
        return _brief(wrong)
    return InvalidPayload(summary(fields), fields=fields) if fields else _brief(error)


def _brief(error: Exception) -> Invalid:
    if isinstance(error, RecursionError):
        return TooDeep()
    if isinstance(error, msgspec.ValidationError):
        return InvalidPayload(str(error), fields=[FieldError("", "invalid", str(error))])
    return MalformedJson(str(error))


def _unreadable(raw: object, pointer: str) -> Iterator[FieldError]:
    if isinstance(raw, float) and not math.isfinite(raw):
        message = "not a number we can hold: NaN and Infinity are not JSON, 1e400 is too large"
        yield FieldError(pointer, "out_of_range", message)
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from _unreadable(value, f"{pointer}/{index}")
    elif isinstance(raw, _Object):
        for name in raw.twice:
            place = f"{pointer}/{_escape(name)}"
            yield FieldError(place, "repeated_field", f"'{name}' is given more than once")
        for name, value in raw.items():
            yield from _unreadable(value, f"{pointer}/{_escape(name)}")
