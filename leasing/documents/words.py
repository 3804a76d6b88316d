"""What documents say, in English and in Chinese, and how they write numbers and days."""

from decimal import Decimal

from leasing.documents.model import InvoiceDocument
from leasing.pricing.currencies import to_major
from schemas.documents import DocumentLanguage

EN, ZH = DocumentLanguage.EN, DocumentLanguage.ZH

LABELS: dict[str, tuple[str, str]] = {
    "invoice": ("Invoice", "账单"),
    "credit_note": ("Credit note", "贷项通知单"),
    "number": ("Number", "单号"),
    "issued_on": ("Issued on", "开具日期"),
    "due_on": ("Due on", "付款到期日"),
    "set_off": ("Credited against what is open, or paid back", "冲抵应收款或退款"),
    "period": ("Period", "账期"),
    "through": ("to", "至"),
    "credits": ("Credits invoice", "冲减账单"),
    "seller": ("Seller", "出租方"),
    "buyer": ("Buyer", "承租方"),
    "credit_code": ("Credit code", "统一社会信用代码"),
    "address": ("Address", "地址"),
    "currency": ("Currency", "币种"),
    "summary": ("Summary", "汇总"),
    "annex": ("Annex", "明细"),
    "operator": ("Operator", "站址单位"),
    "province": ("Province", "省份"),
    "city": ("City", "地市"),
    "adcode": ("Adcode", "区划代码"),
    "site": ("Site", "站址"),
    "site_code": ("Site code", "站址编码"),
    "slot": ("Slot", "槽位"),
    "contract": ("Contract", "合同"),
    "pack": ("Pack code", "电池包编码"),
    "component": ("For", "费用项目"),
    "from": ("From", "起"),
    "to": ("To", "止"),
    "days": ("Days", "天数"),
    "period_days": ("of days", "周期天数"),
    "price": ("Price", "周期价格"),
    "quantity": ("Quantity", "数量"),
    "unit_price": ("Unit price", "单价"),
    "amount": ("As agreed", "合同金额"),
    "vat_mode": ("VAT is", "税价"),
    "vat_percent": ("VAT %", "税率%"),
    "net": ("Net", "不含税金额"),
    "vat": ("VAT", "税额"),
    "gross": ("Total", "价税合计"),
    "total": ("Total", "合计"),
    "in_words": ("In words", "大写"),
    "takes_back": ("Takes back", "冲减"),
    "no_place": ("Without a site", "无站址"),
    "lines": ("Lines", "行数"),
    "page": ("Page", "页"),
    "sha256": ("Content SHA-256", "内容 SHA-256"),
    "left_off": (
        "The lines of the annex are in the XLSX and CSV forms of this document.",
        "明细行见本账单的 XLSX 和 CSV 文件。",
    ),
    "exclusive": ("excluded", "不含税"),
    "inclusive": ("included", "含税"),
    # Components. One that is not here is shown by its code.
    "rent": ("Rent", "租金"),
    "early_termination": ("Early termination", "提前终止费"),
    "buy_out": ("Buy-out", "买断价款"),
    "loss": ("Loss", "丢失赔偿"),
    "damage": ("Damage", "损坏赔偿"),
    "missing_parts": ("Missing parts", "缺件赔偿"),
    "capacity_shortfall": ("Capacity shortfall", "容量不足补偿"),
    "logistics": ("Logistics", "物流费"),
    "service": ("Service", "服务费"),
    "capacity": ("Capacity", "容量费"),
    "throughput": ("Throughput", "电量费"),
    "cycles": ("Cycles", "循环费"),
    "distance": ("Distance", "里程费"),
    "minimum": ("Minimum true-up", "最低消费补足"),
    "maximum": ("Maximum", "封顶减免"),
    "availability": ("Availability credit", "可用率扣减"),
    "sharing": ("Sharing discount", "共享折扣"),
    "region": ("Regional coefficient", "区域系数调整"),
    "one_off": ("One-off fee", "一次性费用"),
    "adjustment": ("Adjustment", "调整"),
    # Statements of account.
    "statement": ("Statement of account", "对账单"),
    "customer": ("Customer", "客户"),
    "posted_on": ("Date", "日期"),
    "entry": ("Entry", "摘要"),
    "entries": ("Entries", "笔数"),
    "charged": ("Charged", "应收"),
    "settled": ("Settled", "已结"),
    "balance": ("Balance", "余额"),
    "opening": ("Opening balance", "期初余额"),
    "closing": ("Closing balance", "期末余额"),
    "month": ("Month", "月份"),
    "interest": ("Late interest", "逾期利息"),
    "dunning_fee": ("Dunning fee", "催收费"),
    "payment": ("Payment", "收款"),
    "bounced_payment": ("Bounced payment", "退票"),
    "write_off": ("Write-off", "核销"),
    "refund": ("Refund", "退款"),
    "deposit_used": ("Deposit used", "保证金抵扣"),
    "deposit_received": ("Deposit received", "转入保证金"),
    "open": ("Open on", "未结款项截至"),
    "not_due": ("Not due", "未到期"),
    "days_1_30": ("1–30 days late", "逾期1–30天"),
    "days_31_60": ("31–60 days late", "逾期31–60天"),
    "days_61_90": ("61–90 days late", "逾期61–90天"),
    "days_over_90": ("Over 90 days late", "逾期90天以上"),
    "unused_credit": ("Credit not used", "未使用贷项"),
    "unused_money": ("Money not used", "未核销收款"),
    "lines_left_off": (
        "The entries are in the XLSX and CSV forms of this document.",
        "逐笔明细见本对账单的 XLSX 和 CSV 文件。",
    ),
    "confirmation": (
        "Please compare with your books. Agreed (signature, seal, date):",
        "请核对。以上账目核对无误(签字、盖章、日期):",
    ),
    # Consignment notes.
    "consignment_note": ("Consignment note", "危险货物托运单"),
    "consignor": ("Consignor", "托运人"),
    "consignee": ("Consignee", "收货人"),
    "carrier_firm": ("Carrier", "承运人"),
    "goods": ("Goods", "货物"),
    "hazard_class": ("Condition", "电池状态"),
    "hazard_intact": ("intact", "完好"),
    "hazard_damaged": ("damaged or defective", "破损或有缺陷"),
    "hazard_critical": ("liable to react dangerously", "可能发生危险反应"),
    "purpose": ("For", "用途"),
    "purpose_recycling": ("recycling", "再生利用"),
    "purpose_reuse": ("reuse", "再使用"),
    "packing_instruction": ("Packing instruction", "包装指南"),
    "special_provision": ("Special provision", "特殊规定"),
    "marks": ("Marks", "标记"),
    "danger_labels": ("Labels", "标志"),
    "rule_source": ("By", "依据"),
    "outlet": ("Outlet", "回收服务网点"),
    "packed_on": ("Packed on", "装箱日期"),
    "dispatched_on": ("Sent on", "发运日期"),
    "mode": ("Mode", "运输方式"),
    "mode_road": ("road", "公路"),
    "mode_rail": ("rail", "铁路"),
    "mode_sea": ("sea", "水运"),
    "mode_air": ("air", "航空"),
    "vehicle": ("Vehicle", "车船号"),
    "driver": ("Driver", "驾驶员"),
    "permit": ("Permit for class 9", "第9类危险货物运输许可"),
    "approval": ("Approval", "主管部门批准"),
    "packs": ("Packs", "电池包清单"),
    "chemistry": ("Chemistry", "电池类型"),
    "mass": ("Mass (kg)", "质量(kg)"),
    "weighed": ("Weighed (kg)", "过磅(kg)"),
    "note_signatures": (
        "Consignor, carrier and consignee (signature, seal, date):",
        "托运人、承运人、收货人(签字、盖章、日期):",
    ),
}


class Words:
    """Labels and numbers of one document in one language."""

    def __init__(self, title: str, digits: int, language: DocumentLanguage) -> None:
        self.language = language
        self.digits = digits
        self.title = self.of(title)

    def of(self, key: str) -> str:
        return LABELS.get(key, (key, key))[self.language is ZH]

    def name(self, chinese: str | None, english: str | None) -> str:
        """A name in the document's language, or in the other when there is none."""
        chosen = chinese if self.language is ZH else english or chinese
        return chosen or self.of("no_place")

    def money(self, amount: int | None) -> str:
        """Amounts as people write them: 1,234.56."""
        return "" if amount is None else f"{to_major(amount, self.digits):,}"

    def plain(self, amount: int | None) -> Decimal | None:
        """An amount in whole units of the currency, with all its decimals."""
        return None if amount is None else to_major(amount, self.digits)

    def unit_price(self, price: Decimal | None) -> Decimal | None:
        """A price per unit, which may have more decimals than the currency."""
        return None if price is None else price.scaleb(-self.digits)


def words_of(document: InvoiceDocument, language: DocumentLanguage) -> Words:
    return Words(document.kind, document.digits, language)
