"""The tables that sheets are made of: one line per column.

A column names the field of the struct that the API takes; how a cell is read follows from the
field's type. A new field of a site or a pack becomes a column by one line here.
"""

import datetime as dt
import re
import types
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from leasing.kit.errors import Invalid, TooLarge
from schemas.outlets import OutletPatch
from schemas.packs import PackCreate, PackPatch
from schemas.sheets import OfferRow, OutletRow, SheetFormat, SheetKind
from schemas.sites import SiteCreate, SitePatch

MAX_ROWS = 100_000
MAX_COLUMNS = 52
"""A to AZ. Readers of XLSX hold the rectangle around all cells in memory."""


class BadSheet(Invalid):
    code = "bad_sheet"
    title = "The file cannot be read as a sheet"


class TooManyRows(TooLarge):
    code = "too_many_rows"
    title = "The sheet has more rows than we take at once"


class RowsRefused(Invalid):
    code = "rows_refused"
    title = "Rows of the sheet are refused, so nothing was written"


class ErrorValue(msgspec.Struct, frozen=True):
    """A cell in which the spreadsheet itself shows an error, such as #N/A."""


Cell = str | int | float | bool | dt.date | dt.datetime | dt.time | dt.timedelta | ErrorValue
"""What a file holds in one place; "" is an empty cell."""


class Table(msgspec.Struct, frozen=True):
    """A file as read: its header and its rows, with the numbers the spreadsheet shows."""

    format: SheetFormat
    read_as: str
    header_row: int
    header: Sequence[Cell]
    rows: Sequence[tuple[int, Sequence[Cell]]]


# --- How texts are brought into one form --------------------------------------------------------

FULL_WIDTH = {number: number - 0xFEE0 for number in range(0xFF01, 0xFF5F)} | {0x3000: " "}
# XML cannot hold these two, so an XLSX brings them back in this form.
UNWRITABLE = str.maketrans({"\ufffe": "_xFFFE_", "\uffff": "_xFFFF_"})


def words(text: str) -> str:
    """Words as written, without blanks at their ends."""
    return text.translate(UNWRITABLE).strip()


def code(text: str) -> str:
    """A code or a number: full-width forms, which Chinese input methods type, to ASCII too."""
    return text.translate(FULL_WIDTH).strip()


def capitals(text: str) -> str:
    """A code in which neither blanks nor case mean anything. Only ASCII letters are raised:
    `str.upper` would make an S of a long s."""
    plain = "".join(code(text).split())
    return plain.upper() if plain.isascii() else plain


# --- Columns --------------------------------------------------------------------------------------


class Column(msgspec.Struct, frozen=True):
    """One column: its field, its Chinese header (the English one is the field's name), how its
    texts are brought into one form, and other words for the values of a closed code."""

    field: str
    zh: str
    form: Callable[[str], str] = code
    also: dict[str, str] = {}


ID = Column("id", "编号")
VERSION = Column("version", "版本")
OWNER = Column("owner", "客户", form=words)
RECYCLER = Column("recycler", "回收企业", form=words)

PLACE = (
    Column("name", "名称", form=words),
    Column("adcode", "行政区划代码"),
    Column("longitude", "经度"),
    Column("latitude", "纬度"),
    Column("datum", "坐标系", also={"wgs-84": "wgs84", "gcj-02": "gcj02"}),
)


class Sheet(msgspec.Struct, frozen=True):
    """A kind of sheet. `given` are fields that every row has without a column; `party_id` comes
    from the owner's column. Without a `patch` nothing that exists can be changed."""

    kind: str
    noun: str
    create: type[msgspec.Struct]
    patch: type[msgspec.Struct] | None
    columns: tuple[Column, ...]
    given: dict[str, str] = {}

    @property
    def editable(self) -> tuple[str, ...]:
        return self.patch.__struct_fields__ if self.patch else ()


SITES = Sheet(
    kind=SheetKind.SITES,
    noun="site",
    create=SiteCreate,
    patch=SitePatch,
    columns=(
        ID,
        VERSION,
        OWNER,
        Column("code", "站址编码"),
        Column("kind", "类型", also={"铁塔": "tower", "铁塔站": "tower", "车场": "depot"}),
        *PLACE,
        Column("site_class", "站址等级"),
        Column("load_w", "负载(W)"),
        Column("required_autonomy_minutes", "备电时长(分钟)"),
    ),
)

VEHICLES = Sheet(
    kind=SheetKind.VEHICLES,
    noun="vehicle",
    create=SiteCreate,
    patch=SitePatch,
    columns=(
        ID,
        VERSION,
        OWNER,
        Column("code", "车辆编码"),
        Column("vin", "车辆识别代号", form=capitals),
        *PLACE,
    ),
    given={"kind": "vehicle"},
)

PACKS = Sheet(
    kind=SheetKind.PACKS,
    noun="pack",
    create=PackCreate,
    patch=PackPatch,
    columns=(
        ID,
        VERSION,
        Column("code", "电池编码", form=capitals),
        Column("original_codes", "原编码", form=capitals),
        Column("cells_in_series", "串联电芯数"),
        Column("rated_voltage_mv", "额定电压(mV)"),
        Column("rated_capacity_mah", "额定容量(mAh)"),
        Column("maker_energy_wh", "厂家标称能量(Wh)"),
        Column("max_voltage_mv", "最高电压(mV)"),
        Column("min_voltage_mv", "最低电压(mV)"),
        Column("full_cell_mv", "充满电芯电压(mV)"),
        Column("mass_kg", "质量(kg)"),
        Column("vin", "首次使用车辆识别代号", form=capitals),
        Column("carmaker", "汽车生产企业", form=words),
        Column("vehicle_model", "车型", form=words),
        Column("removed_on", "拆卸日期"),
        Column("acquired_on", "取得日期"),
        Column("acquired_from", "来源", form=words),
    ),
)

OUTLETS = Sheet(
    kind=SheetKind.OUTLETS,
    noun="outlet",
    create=OutletRow,
    patch=OutletPatch,
    columns=(
        ID,
        VERSION,
        Column("code", "网点编码"),
        Column("name_zh", "网点名称", form=words),
        Column("name_en", "英文名称", form=words),
        Column("kind", "类型", also={"收集型": "collecting", "集中贮存型": "concentrated"}),
        Column("adcode", "行政区划代码"),
        Column("longitude", "经度"),
        Column("latitude", "纬度"),
        RECYCLER,
        Column("chemistries", "电池类型代码"),
        Column("hazards", "危险等级"),
        Column("store_limit_kg", "贮存上限(kg)"),
        Column("store_days", "贮存天数"),
        Column("address", "地址", form=words),
        Column("contact_name", "联系人", form=words),
        Column("contact_phone", "联系电话"),
        Column("opening_hours", "营业时间", form=words),
    ),
)

OFFERS = Sheet(
    kind=SheetKind.OFFERS,
    noun="price",
    create=OfferRow,
    patch=None,
    columns=(
        RECYCLER,
        Column("chemistry", "电池类型代码"),
        Column(
            "disposition",
            "处置方式",
            also={"维修": "repair", "拆解": "dismantle", "再生": "recycle"},
        ),
        Column("valid_from", "生效日期"),
        Column("valid_to", "失效日期"),
        Column("cny_per_kg", "单价(元/kg)"),
        Column("material_cny_per_kg", "其中材料抵付(元/kg)"),
        Column("source", "价格来源", form=words),
    ),
)

SHEETS = {sheet.kind: sheet for sheet in (SITES, VEHICLES, PACKS, OUTLETS, OFFERS)}


# --- The types of fields --------------------------------------------------------------------------


class Field(msgspec.Struct, frozen=True):
    """What the struct says of a column: its bare type, whether it may be left empty, and what the
    words for the values of a closed code mean."""

    type: type
    required: bool
    words: dict[str, str] = {}


def fields_of(sheet: Sheet) -> dict[str, Field]:
    """The field behind each column of a sheet."""
    hints = get_type_hints(sheet.create, include_extras=True)
    needed = {one.name for one in msgspec.structs.fields(sheet.create) if one.required}
    found = {
        ID.field: Field(str, False),
        VERSION.field: Field(int, False),
        OWNER.field: Field(str, True),
    }
    for column in sheet.columns:
        name = column.field
        if name not in found:
            type_ = bare(hints[name])
            words = {value.casefold(): value for value in choices(type_)} | column.also
            found[name] = Field(type_, name in needed, words)
    return {column.field: found[column.field] for column in sheet.columns}


def bare(hint: Any) -> type:
    """`Annotated[int, …] | None` → `int`; a list of anything → `list`."""
    origin = get_origin(hint)
    if origin is Annotated:
        return bare(get_args(hint)[0])
    if origin is Union or origin is types.UnionType:
        return bare(next(one for one in get_args(hint) if one is not type(None)))
    found: type = origin or hint
    return found


def choices(type_: type) -> list[str]:
    return [str(member.value) for member in type_] if issubclass(type_, Enum) else []


IGNORED = {"row", "errors"}
"""Columns that a file of refused rows has in front; it can be mended and imported as it is."""

HEADER_NOISE = re.compile(r"[\s_*:-]+")


def header_key(text: str) -> str:
    """Headers are compared without blanks, case, marks and full-width forms."""
    return HEADER_NOISE.sub("", text.translate(FULL_WIDTH)).casefold()
