"""Alarms of devices that send which flags are up, not when one went up or down."""

from collections import OrderedDict
from collections.abc import Collection
from datetime import datetime

from leasing.telemetry.model import Alarm, Report, Source


class FlagMemory:
    """Turns flags that are up into alarms that begin and end.

    Of a source heard for the first time every flag that is down is told as ended too: the alarm may
    have begun before we were started. What is older than the last word of its source is not told:
    late news does not reopen an alarm. The sources heard least recently are forgotten.
    """

    def __init__(self, max_sources: int = 100_000) -> None:
        self.max_sources = max_sources
        self.known: OrderedDict[Source, tuple[datetime, frozenset[str]]] = OrderedDict()

    def changes(
        self, source: Source, at: datetime, up: Collection[Alarm], every_code: Collection[str]
    ) -> tuple[Alarm, ...]:
        before = self.known.get(source)
        if before is not None and at < before[0]:
            return ()
        now_up = {alarm.code: alarm for alarm in up}
        was_up = frozenset[str]() if before is None else before[1]
        ended = (set(every_code) if before is None else was_up) - now_up.keys()
        self.known[source] = (at, frozenset(now_up))
        self.known.move_to_end(source)
        if len(self.known) > self.max_sources:
            self.known.popitem(last=False)
        begun = [alarm for code, alarm in now_up.items() if code not in was_up]
        return (*begun, *(Alarm(code, begins=False) for code in sorted(ended)))

    def of(self, report: Report, every_code: Collection[str]) -> tuple[Alarm, ...]:
        """The changes that a report brings whose alarms are the flags that are up."""
        return self.changes(report.source, report.at, report.alarms, every_code)
