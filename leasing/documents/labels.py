"""The label of a pack: its code as a QR symbol, what it is rated for, and what not to do with it.

After GB/T 34014 a code is carried by Code 128, QR or Data Matrix; the symbol holds the code and
nothing else, so that any scanner's answer is the code. What a second-life product says about
itself follows the cascade measures of 2021 (the new code, the originals, rated values, maker),
which are repealed and still what contracts name; the words of caution are those of a class 9
battery (UN 3480). GB/T 34015.4, which sets out marks of cascade products, was not at hand: where
it asks for more, the template is the place.
"""

from typing import Any

import msgspec
import segno

from leasing.batteries.decoding import CHEMISTRIES
from leasing.documents.pages import PAGES
from leasing.documents.pdf import Face, Layout
from schemas.documents import DocumentLanguage
from schemas.packs import PackView

MOST_ORIGINALS = 4
"""More codes of what it was made from would not be legible; they are counted."""

CHEMISTRIES_ZH = {
    "A": "镍氢",
    "B": "磷酸铁锂",
    "C": "锰酸锂",
    "D": "钴酸锂",
    "E": "三元",
    "F": "超级电容",
    "G": "钛酸锂",
    "Z": "其他",
}

SECOND_LIFE = ("梯次利用产品", "second-life product")
NEW = ("蓄电池包", "battery pack")

CAUTION = (
    "警告:内有高能量,请勿短路、拆解、挤压、穿刺、浸水或投入火中。",
    "废旧电池应交有资质的回收网点,不得随意丢弃。",
    "WARNING: do not short-circuit, open, crush, pierce, immerse in water or put into fire. "
    "Hand in at a collection outlet when used up.",
)
CLASS_9 = "UN 3480 · 第9类 Class 9"


class Label(msgspec.Struct, frozen=True):
    """What is printed."""

    code: str
    product: tuple[str, str]
    facts: list[tuple[str, str]]
    originals: list[str]
    more_originals: int


def label_of(pack: PackView, originals: list[str], *, is_second_life: bool) -> Label:
    """`originals` are the codes that the pack, or what it was made of, carried before."""
    return Label(
        code=pack.code,
        product=SECOND_LIFE if is_second_life else NEW,
        facts=[
            ("额定电压 rated voltage", f"{pack.rated_voltage_mv / 1000:g} V"),
            ("额定容量 rated capacity", f"{pack.rated_capacity_mah / 1000:g} Ah"),
            ("额定能量 rated energy", f"{pack.rated_energy_wh / 1000:g} kWh"),
            (
                "电池类型 chemistry",
                f"{CHEMISTRIES_ZH[pack.chemistry]} {CHEMISTRIES[pack.chemistry]}",
            ),
            ("厂商代码 maker", pack.maker or "—"),
            ("生产日期 made on", str(pack.made_on)),
            ("质量 mass", f"{pack.mass_kg} kg"),
        ],
        originals=originals[:MOST_ORIGINALS],
        more_originals=max(0, len(originals) - MOST_ORIGINALS),
    )


def qr(code: str) -> segno.QRCode:
    """A symbol that a quarter of may be scratched off (level Q), readable at arm's length."""
    return segno.make_qr(code, error="q", boost_error=False)


def svg(label: Label) -> bytes:
    """100 by 60 millimetres."""
    symbol = qr(label.code)
    rows = [
        (x, y, length)
        for y, row in enumerate(symbol.matrix_iter(border=4))
        for x, length in runs([bool(module) for module in row])
    ]
    size = symbol.symbol_size(border=4)[0]
    path = "".join(f"M{x} {y}h{length}v1h-{length}z" for x, y, length in rows)
    made = PAGES.get_template("label.svg").render(
        label=label, size=size, path=path, caution=CAUTION, class_9=CLASS_9
    )
    return made.encode()


def runs(row: list[bool]) -> list[tuple[int, int]]:
    """Where dark modules of a row begin, and how many follow one another."""
    found: list[tuple[int, int]] = []
    for x, dark in enumerate(row):
        if not dark:
            continue
        if found and sum(found[-1]) == x:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((x, 1))
    return found


def printed(label: Label, language: DocumentLanguage, face: Face) -> dict[str, Any]:
    """What the template of the PDF is given; it is in both languages."""
    return {
        **msgspec.structs.asdict(label),
        "qr": qr(label.code).svg_inline(border=4, omitsize=True),
        "caution": CAUTION,
        "class_9": CLASS_9,
        "fonts": [face.family],
    }


LABEL = Layout("label.typ", printed)
