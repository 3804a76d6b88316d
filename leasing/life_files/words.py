"""What a life file says, in English and Chinese."""

from schemas.documents import DocumentLanguage

LABELS: dict[str, tuple[str, str]] = {
    "title": ("Life of a battery pack", "电池包生命档案"),
    "code": ("Code", "编码"),
    "codes": ("Known by", "标识"),
    "state": ("State", "状态"),
    "chemistry": ("Chemistry", "电池类型"),
    "made_on": ("Made on", "生产日期"),
    "energy": ("Rated energy", "额定能量"),
    "mass": ("Mass", "质量"),
    "vin": ("Vehicle of its first life", "原装车辆 VIN"),
    "acquired_on": ("Acquired on", "购入日期"),
    "recycled_on": ("Recycled on", "再生利用日期"),
    "passport": ("Battery passport", "电池护照"),
    "made_from": ("Made from", "来源电池"),
    "made_into": ("Made into", "再制产品"),
    "gaps": ("Gaps in this history", "档案缺口"),
    "no_gaps": ("None found.", "未发现缺口。"),
    "custody": ("Who had it", "持有历史"),
    "records": ("Records", "溯源记录"),
    "evidence": ("What they rest on", "证据材料"),
    "from": ("From", "起"),
    "to": ("Until", "止"),
    "party": ("Party", "单位"),
    "place": ("Place", "地点"),
    "on": ("Day", "日期"),
    "step": ("Step", "事项"),
    "recorded": ("Recorded", "记录时间"),
    "hash": ("SHA-256", "SHA-256"),
    "document": ("Document", "材料"),
    "number": ("Number or name", "编号或名称"),
    "files": ("Hashes of files", "文件哈希"),
    "head": ("Hash of the newest record", "最新记录哈希"),
    "made_at": ("Made at", "生成时间"),
    "sequence": ("No.", "序号"),
    "gap": ("Gap", "缺口"),
}

STATES: dict[str, tuple[str, str]] = {
    "in_stock": ("in stock", "在库"),
    "leased": ("leased", "在租"),
    "returned": ("returned", "已退还"),
    "lost": ("lost", "遗失"),
    "burnt": ("burnt", "烧毁"),
    "sold": ("sold", "已出售"),
    "condemned": ("condemned", "报废待处置"),
    "routed": ("routed to an outlet", "已指定网点"),
    "handed_over": ("handed over", "已移交"),
    "recycled": ("recycled", "已再生利用"),
}

KINDS: dict[str, tuple[str, str]] = {
    "pack.acquired": ("acquired", "购入"),
    "pack.assembled": ("assembled", "重组"),
    "pack.decomposed": ("taken apart", "拆分"),
    "cascade.coded": ("given a new code", "梯次赋码"),
    "cascade.shipped": ("shipped", "出库"),
    "pack.commissioned": ("commissioned", "投运"),
    "pack.swapped": ("swapped in", "更换投运"),
    "pack.relocated": ("moved to another site", "迁移"),
    "lease.transferred": ("taken over by another lessee", "承租方变更"),
    "pack.damaged": ("damaged", "损坏"),
    "pack.burnt": ("burnt", "烧毁"),
    "pack.lost": ("lost", "遗失"),
    "pack.found": ("found again", "找回"),
    "pack.sold": ("sold", "出售"),
    "pack.returned": ("returned", "退还"),
    "pack.inspected": ("inspected", "检验"),
    "pack.failed": ("failed", "失效"),
    "pack.repaired": ("repaired", "维修"),
    "pack.reinstated": ("back in stock", "重新入库"),
    "waste.declared": ("declared waste", "认定报废"),
    "route.chosen": ("an outlet was chosen", "选定回收网点"),
    "route.released": ("the outlet was given up", "取消回收网点"),
    "waste.outbound": ("left for a recycler", "废旧电池出库"),
    "waste.inbound": ("arrived at an outlet", "废旧电池入库"),
    "recycle.received": ("received by the recycler", "再生企业接收"),
    "recycle.completed": ("recycled", "完成再生利用"),
    "qualification.changed": ("a qualification changed", "资质变更"),
    "record.corrected": ("a record was corrected", "更正记录"),
}

EVIDENCE: dict[str, tuple[str, str]] = {
    "acceptance": ("joint test at hand-over", "交付验收单"),
    "return": ("joint test on return", "退还测试单"),
    "inspection": ("joint inspection", "联合检验单"),
    "disposition": ("decision", "处置决定"),
    "capacity_test": ("capacity test", "容量测试报告"),
    "incident": ("incident", "事故记录"),
    "routing": ("routing", "回收路径"),
    "certificate": ("recycling certificate", "再生利用证明"),
    "attachment": ("file", "附件"),
}


class Words:
    """One language. A word that is not known is shown as it is."""

    def __init__(self, language: DocumentLanguage) -> None:
        self.language = language
        self.place = 1 if language is DocumentLanguage.ZH else 0

    def of(self, label: str) -> str:
        return LABELS[label][self.place]

    def state(self, state: str) -> str:
        return STATES.get(state, (state, state))[self.place]

    def kind(self, kind: str) -> str:
        return KINDS.get(kind, (kind, kind))[self.place]

    def evidence(self, kind: str) -> str:
        return EVIDENCE.get(kind, (kind, kind))[self.place]
