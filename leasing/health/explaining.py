"""A check told to people: what it rests on, how uncertain that is, and why it was decided so."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from leasing.health.smoothing import Source
from leasing.kit.time import civil_date
from schemas.health import (
    ExplainedSession,
    ExplainedTest,
    HealthCheckView,
    HealthExplanation,
    HealthSmoothing,
    Verdict,
)

REASONS_ZH = {
    "no_session": "没有充电或放电记录",
    "chemistry_unknown": "不了解该电芯的化学体系",
    "missing_time": "记录缺失过多",
    "no_anchor": "两端的荷电状态均未知",
    "one_anchor": "仅一端的荷电状态已知",
    "window_too_small": "荷电状态变化太小",
    "soc_contradicts_current": "荷电状态与电流方向矛盾",
    "implausible": "结果不可信,应先检查传感器和额定容量",
    "known_better": "仅有电池自报的荷电状态,不如已知结果准确",
}


def explain(check: HealthCheckView) -> HealthExplanation:
    evidence: Mapping[str, Any] = check.evidence
    inputs = evidence.get("inputs", {"sessions": [], "tests": []})
    english, chinese = sentences(check)
    given = evidence.get("smoothing")
    return HealthExplanation(
        check=check,
        sessions=[session(check.pack_id, one) for one in inputs["sessions"]],
        tests=[tested(check.pack_id, one) for one in inputs["tests"]],
        error_points=evidence.get("error_points", {}),
        smoothing=None if given is None else msgspec.convert(given, HealthSmoothing),
        sentence=english,
        sentence_zh=chinese,
    )


def session(pack_id: UUID, one: Mapping[str, Any]) -> ExplainedSession:
    started_at, ended_at = (datetime.fromisoformat(one[name]) for name in ("started_at", "at"))
    window = urlencode({"from_at": started_at.isoformat(), "to_at": ended_at.isoformat()})
    return ExplainedSession(
        started_at=started_at,
        ended_at=ended_at,
        source=one["source"],
        capacity_mah=one["capacity_mah"],
        sigma_percent=one["sigma_percent"],
        variance_factor=one["variance_factor"],
        readings=f"/v1/packs/{pack_id}/readings?{window}",
    )


def tested(pack_id: UUID, one: Mapping[str, Any]) -> ExplainedTest:
    is_joint = one["source"] == Source.JOINT_TEST
    return ExplainedTest(
        id=UUID(one["id"]),
        tested_on=civil_date(datetime.fromisoformat(one["at"])),
        source=one["source"],
        capacity_mah=one["capacity_mah"],
        sigma_percent=one["sigma_percent"],
        reports=None if is_joint else f"/v1/packs/{pack_id}/capacity-tests",
    )


def sentences(check: HealthCheckView) -> tuple[str, str]:
    """Why it was decided so (health.md 3.9), in English and Chinese."""
    if check.verdict is Verdict.ABSTAINED or check.lower_mah is None or check.upper_mah is None:
        reason = str(check.evidence.get("reason", ""))
        english = f"No decision: {check.evidence.get('sentence', 'nothing told a capacity')}."
        return english, f"未作判定:{REASONS_ZH.get(reason, '没有可用的容量信息')}。"
    low, high = check.lower_mah / 1000, check.upper_mah / 1000
    if check.guarantee_mah is None:
        return (
            f"Between {low:.1f} and {high:.1f} Ah (90 %); no lease guarantees a capacity.",
            f"容量在 {low:.1f} 至 {high:.1f} Ah 之间(90 %);没有租约保证容量。",
        )
    given = f"{low:.1f} to {high:.1f} Ah (90 %)", f"{check.guarantee_mah / 1000:.1f} Ah"
    given_zh = f"{low:.1f} 至 {high:.1f} Ah(90 %)"
    told = {
        Verdict.BREACH: (
            f"Breach: all of {given[0]} lies below the guaranteed {given[1]}.",
            f"违约:整个区间 {given_zh}低于保证容量 {given[1]}。",
        ),
        Verdict.PASS: (
            f"Pass: none of {given[0]} lies below the guaranteed {given[1]}.",
            f"合格:区间 {given_zh}均不低于保证容量 {given[1]}。",
        ),
        Verdict.INCONCLUSIVE: (
            f"Inconclusive: the guaranteed {given[1]} lies within {given[0]}; "
            "a check discharge is due, and no money moves.",
            f"无法判定:保证容量 {given[1]} 位于区间 {given_zh}之内;应做核对性放电,不产生费用变动。",
        ),
    }
    return told[check.verdict]
