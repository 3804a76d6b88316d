"""The default sheet of a joint inspection, for packs whose model has none of its own.

The transport check stands for appendix A of GB/T 38698.1-2020, which shipper and consignee go
through together before a pack is packed: all items "no" pass, one "yes" fails, and a failed pack is
treated first, recorded and accepted by both. We had no text of the standard. These items are ours,
in our own words, drawn from what such a check is for; a person is to compare them with the standard
and enter the result as a form (`POST /v1/inspection-forms`), which then takes their place.
"""

from schemas.returns import CheckItem

VERSION = 1
NAME = "default"
SOURCE = (
    "own wording, to be compared by a person with GB/T 38698.1-2020 appendix A "
    "before it is relied on"
)

CHECKS = [
    CheckItem(code="code_readable", zh="电池编码清晰可读", en="The printed code can be read"),
    CheckItem(code="parts_complete", zh="附件齐全", en="All parts are there"),
    CheckItem(code="housing_sound", zh="外壳完好", en="The housing is sound"),
    CheckItem(code="terminals_sound", zh="极柱与连接件完好", en="Terminals and links are sound"),
    CheckItem(code="bms_answers", zh="BMS 通信正常", en="The battery management answers"),
    CheckItem(code="insulation", zh="绝缘电阻合格(MΩ)", en="Insulation holds (value in MΩ)"),
]

TRANSPORT_CHECKS = [
    CheckItem(code="leaks", zh="是否有电解液泄漏?", en="Does electrolyte leak?"),
    CheckItem(
        code="deformed",
        zh="外壳是否破裂、鼓胀或明显变形?",
        en="Is the housing cracked, swollen or plainly out of shape?",
    ),
    CheckItem(
        code="heat",
        zh="是否发热、冒烟或有异味?",
        en="Is it warm, does it smoke or smell?",
    ),
    CheckItem(
        code="burn_marks",
        zh="是否有过火、烧蚀或电弧痕迹?",
        en="Are there marks of fire or arcing?",
    ),
    CheckItem(code="water", zh="是否浸水或进水?", en="Was it under water, or did water get in?"),
    CheckItem(
        code="bare_conductors",
        zh="是否有裸露带电部位或绝缘失效?",
        en="Are live parts bare, or has insulation failed?",
    ),
    CheckItem(
        code="impact",
        zh="是否经历碰撞、跌落或挤压?",
        en="Was it struck, dropped or crushed?",
    ),
    CheckItem(
        code="opened",
        zh="是否有无记录的拆解痕迹?",
        en="Are there signs that it was taken apart without a record?",
    ),
    CheckItem(
        code="voltage_abnormal",
        zh="电压或温度是否异常或无法测量?",
        en="Are voltage or temperature out of range, or impossible to measure?",
    ),
]
