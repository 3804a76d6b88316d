"""An event in one sentence, in English and Chinese, and what else it names."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from schemas.packs import PackState
from schemas.timeline import Holder, SubjectRefView

HELD_BY = {
    PackState.IN_STOCK: Holder.LESSOR,
    PackState.LEASED: Holder.LESSEE,
    PackState.LOST: Holder.NOBODY,
    # What is left of it.
    PackState.BURNT: Holder.LESSOR,
    PackState.SOLD: Holder.LESSEE,
    PackState.RETURNED: Holder.LESSOR,
    PackState.CONDEMNED: Holder.LESSOR,
    # Its room at the outlet is reserved; it is not there yet.
    PackState.ROUTED: Holder.LESSOR,
    PackState.HANDED_OVER: Holder.RECYCLER,
    PackState.RECYCLED: Holder.RECYCLER,
}

SENTENCES: dict[str, tuple[str, str]] = {
    "contract.drafted": (
        "Contract {number} was drafted with {lines} lines",
        "起草合同 {number},共 {lines} 条租赁明细",
    ),
    "contract.changed": ("The draft was changed", "修改合同草稿"),
    "contract.lines_added": ("{lines} lines were added", "新增 {lines} 条租赁明细"),
    "contract.line_removed": ("A line was given up", "取消一条租赁明细"),
    "contract.offered": ("The contract was offered", "合同发出要约"),
    "contract.offer_withdrawn": ("The offer was withdrawn", "撤回要约"),
    "contract.signed": (
        "{lessor_signatory} for the lessor and {lessee_signatory} for the lessee signed",
        "出租方 {lessor_signatory} 与承租方 {lessee_signatory} 签署合同",
    ),
    "contract.active": ("The contract came into force", "合同生效"),
    "contract.cancelled": ("The contract was cancelled before it began", "合同在生效前取消"),
    "contract.suspended": ("The rent of all lines was suspended", "全部租赁明细暂停计租"),
    "contract.resumed": ("The rent of all lines resumed", "全部租赁明细恢复计租"),
    "contract.notice_given": (
        "Notice was given: the contract ends on {ending_on}",
        "通知终止合同,终止日 {ending_on}",
    ),
    "contract.notice_withdrawn": ("The notice was withdrawn", "撤回终止通知"),
    "contract.terminated_early": (
        "The contract was ended before its term was over",
        "合同提前终止",
    ),
    "contract.ended": ("The contract ended", "合同终止"),
    "contract.renewed": ("The contract was renewed until {to_on}", "合同续租至 {to_on}"),
    "contract.held_over": (
        "The term ran out with packs still out: the contract holds over",
        "租期届满电池仍在使用,合同转为不定期租赁",
    ),
    "contract.amended": ("The contract was amended", "合同变更"),
    "contract.escalated": ("The rents of {lines} lines were adjusted", "{lines} 条租赁明细调租"),
    "contract.transferred": ("Another lessee took the contract over", "合同转让给新的承租方"),
    "contract.return_ordered": (
        "{packs} packs were ordered back",
        "下达退租单,共 {packs} 个电池组",
    ),
    "contract.return_scheduled": (
        "The return was planned for {planned_on}",
        "退租安排在 {planned_on}",
    ),
    "contract.return_collected": (
        "{returned} packs were picked up, {gone} were gone",
        "上门取回 {returned} 个电池组,{gone} 个灭失",
    ),
    "contract.return_arrived": ("The packs of a return arrived", "退租电池组到货"),
    "contract.return_settled": (
        "The return was settled: {balance_amount} fen are left to pay",
        "退租结算完成,应付余额 {balance_amount} 分",
    ),
    "contract.return_cancelled": ("The return order was given up", "取消退租单"),
    "line.accepted": (
        "A pack was handed over, tested at {tested_capacity_mah} Ah",
        "电池组交付验收,实测容量 {tested_capacity_mah} Ah",
    ),
    "line.swapped": (
        "The pack was swapped for one tested at {tested_capacity_mah} Ah",
        "更换电池组,新电池组实测容量 {tested_capacity_mah} Ah",
    ),
    "line.relocated": (
        "The position moved to another site or slot",
        "租赁位置迁移到其他站址或槽位",
    ),
    "line.suspended": ("The rent was suspended", "暂停计租"),
    "line.resumed": ("The rent resumed", "恢复计租"),
    "line.missing": ("The pack is missing", "电池组丢失"),
    "line.stolen": ("The pack was stolen", "电池组被盗"),
    "line.damaged": ("The pack was damaged", "电池组损坏"),
    "line.burnt": ("The pack has burnt", "电池组烧毁"),
    "line.pack_found": ("The lost pack was found", "找回遗失的电池组"),
    "line.bought_out": ("The lessee bought the pack", "承租方留购电池组"),
    "line.ended": ("The line ended", "租赁明细终止"),
    "line.removed": ("The position was given up without a pack", "取消未安装电池组的位置"),
    "line.amended": ("The rent was amended", "租金变更"),
    "line.plan_changed": ("Another price plan holds", "变更价格方案"),
    "line.escalated": ("The rent was adjusted", "租金调整"),
    "line.transferred": ("The line went to another lessee", "租赁明细转给新的承租方"),
    "line.outage": (
        "The position was without service until {to_at} ({cause})",
        "该位置服务中断至 {to_at}({cause})",
    ),
    "line.fact_voided": ("An entry about the position was taken back", "撤销一条租赁位置记录"),
    "duty.opened": (
        "The lessor owes: {kind}, by {due_on}",
        "出租方应履行义务:{kind},期限 {due_on}",
    ),
    "site.created": ("Site {code} was entered", "录入站址 {code}"),
    "site.changed": ("The site was changed", "修改站址"),
    "site.strings_changed": ("The cabinet strings were changed", "修改电池组串"),
    "site.devices_changed": ("The monitoring devices were changed", "修改监控设备"),
    "site.outage": (
        "The site was without service until {to_at} ({cause})",
        "站址服务中断至 {to_at}({cause})",
    ),
    "site.shared": ("{tenants} tenants share the site", "站址由 {tenants} 家租户共享"),
    "pack.metered": (
        "The register {measure} stood at {register_value}",
        "计量读数({measure}):{register_value}",
    ),
    "site.fact_voided": ("An entry about the site was taken back", "撤销一条站址记录"),
    "pack.passport_issued": ("The battery passport was issued", "签发电池护照"),
    "pack.acquired": ("Pack {code} was acquired from {from}", "从 {from} 购入电池组 {code}"),
    "pack.changed": ("What is known of the pack was corrected", "更正电池组资料"),
    "pack.health_checked": ("The nightly health check found: {verdict}", "健康评估结果:{verdict}"),
    "pack.capacity_tested": ("A capacity test was reported", "录入容量测试报告"),
    "pack.identified": ("The pack got the identifier {value}", "电池组增加标识 {value}"),
    "pack.identifier_ended": ("The identifier {value} ended", "标识 {value} 停用"),
    "pack.assembled": ("Parts were put into the pack", "装入组成部件"),
    "pack.decomposed": ("Part {code} was taken out", "拆出部件 {code}"),
    "pack.made_from": ("It was entered what the pack was made from", "登记电池组的原电池"),
    "pack.fact_voided": ("An entry about the pack was taken back", "撤销一条电池组记录"),
    "pack.inspected": (
        "The returned pack was inspected: grade {grade}, {hazard}",
        "退回电池组检验:{grade} 级,{hazard}",
    ),
    "pack.treated_for_transport": (
        "The pack was treated after a failed transport check",
        "运输检查不合格,处理后经双方认可",
    ),
    "pack.waste_stored": (
        "The waste pack came into the lessor's store",
        "报废电池组进入出租方自有库房",
    ),
    "pack.repair_decided": ("The pack is to be repaired", "决定维修电池组"),
    "pack.repaired": ("The pack was repaired and is in stock", "电池组维修完成,重新入库"),
    "pack.reinstated": ("The pack was released for another lease", "电池组重新入库待租"),
    "pack.alarm_raised": (
        "An alarm was raised: {alarm}, {severity}",
        "告警:{alarm},级别 {severity}",
    ),
    "pack.alarm_grown": ("An alarm grew: {alarm}, {severity}", "告警升级:{alarm},级别 {severity}"),
    "pack.alarm_repeated": (
        "An alarm that nobody acknowledged was told again: {alarm}, {severity}",
        "未确认告警重复提醒:{alarm},级别 {severity}",
    ),
    "pack.alarm_acknowledged": ("An alarm was acknowledged: {alarm}", "确认告警:{alarm}"),
    "pack.alarm_closed": ("An alarm ended: {alarm}", "告警消除:{alarm}"),
    "pack.quarantined": (
        "The pack was put into quarantine; {held} packs with the same cells are held",
        "电池组隔离,同批次电芯的 {held} 个电池组暂停交付",
    ),
    "pack.quarantine_released": (
        "The quarantine was released after an inspection",
        "检验后解除隔离",
    ),
    "pack.held": (
        "The pack is held: a pack with cells of batch {batch} is in quarantine",
        "暂停交付:同批次({batch})电池组被隔离",
    ),
    "pack.hold_released": ("The hold on the pack was released", "解除暂停交付"),
    "pack.check_discharge_ordered": (
        "A check discharge to {depth_percent} % was ordered by {due_on} ({why})",
        "下达核对性放电工单:放电深度 {depth_percent} %,期限 {due_on}({why})",
    ),
    "pack.check_discharge_assigned": (
        "The check discharge was assigned to {assignee}",
        "核对性放电工单派给 {assignee}",
    ),
    "pack.check_discharge_done": (
        "The check discharge was done: {verdict}",
        "核对性放电完成:{verdict}",
    ),
    "pack.check_discharge_cancelled": (
        "The check discharge was cancelled: {reason}",
        "核对性放电工单取消:{reason}",
    ),
    "waste.declared": ("The pack was declared waste", "电池组判定报废"),
    "routing.chosen": ("Outlet {outlet} was chosen for the pack", "确定回收网点 {outlet}"),
    "routing.handed_over": ("The pack was handed over at the outlet", "电池组移交回收网点"),
    "routing.released": ("The way to the outlet was given up", "取消回收去向"),
    "routing.recycled": (
        "The pack was recycled: certificate {certificate}",
        "电池组完成再生利用,证明 {certificate}",
    ),
    "routing.dispatched": (
        "The pack left for its outlet in consignment {consignment} by {mode}",
        "电池组随托运批次 {consignment} 发运({mode})",
    ),
    "routing.refused": (
        "The outlet refused consignment {consignment}",
        "回收网点拒收托运批次 {consignment}",
    ),
    "routing.batched": (
        "The recycler took the pack into treatment in batch {batch}",
        "再生利用企业接收电池组入批次 {batch}",
    ),
    "invoice.finalised": ("Invoice {number} was issued", "出具账单 {number}"),
    "invoice.discarded": ("A draft was given up: {reason}", "放弃账单草稿：{reason}"),
    "invoice.archived": ("The invoice was kept as it is printed", "归档账单文件"),
    "invoice.disputed": ("A line was disputed", "客户对账单明细提出争议"),
    "invoice.dispute_accepted": ("A dispute was accepted", "争议成立"),
    "invoice.dispute_rejected": ("A dispute was rejected", "争议不成立"),
    "invoice.dispute_withdrawn": ("A dispute was withdrawn", "争议撤回"),
    "invoice.approved": ("A draft that had been held was approved", "批准暂挂账单"),
    "note.added": ("A note was written", "添加备注"),
    "note.struck": ("A note was struck out", "作废备注"),
    "attachment.added": ("{filename} was attached", "添加附件 {filename}"),
    "attachment.removed": ("An attachment was removed", "移除附件"),
    "tags.changed": ("Tags were changed", "修改标签"),
    "custom_fields.changed": ("Custom fields were changed", "修改自定义字段"),
    "market.need_entered": (
        "A site's need of {energy_wh} Wh was entered",
        "登记站址需求 {energy_wh} Wh",
    ),
    "market.need_changed": ("The need was changed", "变更站址需求"),
    "market.pack_offered": (
        "The pack was put on offer from {from_on} on",
        "电池组自 {from_on} 起可供匹配",
    ),
    "market.offer_withdrawn": ("The offer of the pack was withdrawn", "撤回电池组供给"),
    "market.planned": (
        "Needs were matched with packs: {served} of {needs} served",
        "供需匹配完成:{needs} 项需求中满足 {served} 项",
    ),
    "market.matched": ("{packs} packs were reserved for the need", "为该需求预留 {packs} 组电池"),
    "market.declined": ("A proposal was declined: {reason}", "匹配方案被拒绝:{reason}"),
    "market.expired": ("A proposal expired", "匹配方案过期"),
    "market.fell_through": (
        "A match fell through: its lines were given up",
        "匹配失效:租赁明细已取消",
    ),
}
"""Every kind of event that is about a contract, a site or a pack."""

CHINESE = {
    "replacement": "更换",
    "check_discharge": "核对性放电",
    "breach": "低于保证容量",
    "pass": "合格",
    "inconclusive": "无法确定",
    "abstained": "未作判断",
    "intact": "完好",
    "damaged": "破损",
    "critical": "可能发生危险反应",
    "lost": "遗失",
    "burnt": "烧毁",
    "automatic": "自动续租",
    "road": "公路",
    "rail": "铁路",
    "sea": "水运",
    "air": "航空",
    "renewed": "续租",
}
"""Codes that stand in sentences."""

NAMED = {
    "line_id": "line",
    "from_line": "line",
    "to_line": "line",
    "incident_id": "incident",
    "routing_id": "routing",
    "consignment_id": "consignment",
    "batch_id": "recovery_batch",
    "note_id": "note",
    "attachment_id": "attachment",
    "test_id": "capacity_test",
    "part_id": "part",
}
"""Facts that are the id of something."""


class Words(dict[str, str]):
    """Facts in words. An old event may lack one that today's have."""

    def __missing__(self, name: str) -> str:
        return "?"


def summary(kind: str, facts: Mapping[str, object]) -> tuple[str, str]:
    """What happened and why, in English and in Chinese."""
    english, chinese = SENTENCES.get(kind, ("Event {kind}", "事件 {kind}"))
    reason = facts.get("reason") or facts.get("description")
    because = f": {reason}" if reason else ""
    because_zh = f",原因:{CHINESE.get(str(reason), reason)}" if reason else ""
    words = {name: word(name, value) for name, value in ({"kind": kind} | dict(facts)).items()}
    words_zh = {name: CHINESE.get(text, text) for name, text in words.items()}
    return (
        f"{english.format_map(Words(words))}{because}.",
        f"{chinese.format_map(Words(words_zh))}{because_zh}。",
    )


def word(name: str, value: object) -> str:
    if name.endswith("_mah") and isinstance(value, int):
        return f"{value / 1000:g}"
    return "?" if value is None else str(value)


def named(kind: str, facts: Mapping[str, object]) -> Iterator[SubjectRefView]:
    """What the facts of an event name beside its subjects. A change of fields names none: the
    lessor's own fields may be called anything."""
    if kind.endswith(".changed"):
        return
    for name, thing in NAMED.items():
        value = facts.get(name)
        if isinstance(value, str):
            yield SubjectRefView(kind=thing, id=UUID(value))
    if kind == "contract.transferred":
        yield SubjectRefView(kind="contract", id=UUID(str(facts["from"])))
        yield SubjectRefView(kind="contract", id=UUID(str(facts["to"])))
