"""What a message says of incidents, in Chinese or English. Texts of sources are shortened and lose their controls."""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from app.clock import iso
from app.monitor.causes import Rule, Severity
from app.monitor.notices import Event

SHOWN: Final = 10
LINE: Final = 200
RULES: Final[dict[str, tuple[str, str]]] = {
    Rule.FAILING: ("汇聚失败", "failing"),
    Rule.LATE: ("汇聚逾期", "late"),
    Rule.HELD: ("变更待审", "changes held"),
    Rule.REFUSED: ("拒收过多", "many records refused"),
    Rule.BUDGET: ("时效误差额度告急", "freshness budget"),
    Rule.NETWORK: ("本枢纽网络异常", "the hub's network"),
    Rule.BACKLOG: ("排队积压", "backlog"),
    Rule.WORKER: ("没有工作进程", "no worker"),
    Rule.DISK: ("磁盘空间不足", "disk space"),
    Rule.EXPIRY: ("密钥即将到期", "a key ends soon"),
    Rule.RAMP: ("放量已停止", "a ramp stopped"),
}
EVENTS: Final[dict[str, tuple[str, str]]] = {
    Event.OPENED: ("发生", "OPENED"),
    Event.WORSENED: ("加重", "WORSE"),
    Event.RESOLVED: ("恢复", "RESOLVED"),
}
SEVERITIES: Final[dict[str, tuple[str, str]]] = {
    Severity.CRITICAL: ("紧急", "critical"),
    Severity.WARNING: ("警告", "warning"),
    Severity.DECISION: ("待决定", "decision"),
}
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
# Bots read differing parts of Markdown and not all know a backslash: what means something to one looks alike but is not.
_MARKUP: Final = str.maketrans("\\`*_[]<>#|~@", "＼＇＊＿［］＜＞＃｜～＠") | {ord(":"): "："}


class Message(NamedTuple):
    """One message: a subject of one line, lines for people, the same for programs, and where to look."""

    id: str
    subject: str
    lines: Sequence[str]
    data: dict[str, Any]
    link: str

    def text(self) -> str:
        """For a mail."""
        return "\n".join([self.subject, "", *self.lines, self.link, ""])

    def markdown(self, limit_bytes: int) -> str:
        """For a bot; cut at a line so that it stays below so many bytes of UTF-8. What sources wrote formats nothing,
        links nowhere and calls nobody."""
        kept, end = f"**{self.subject.translate(_MARKUP)}**", f"\n\n{self.link}"
        for line in self.lines:
            longer = f"{kept}\n\n- {line.translate(_MARKUP)}"
            if len(longer.encode()) + len(end.encode()) > limit_bytes - 8:
                return f"{kept}\n\n…{end}"
            kept = longer
        return kept + end


def message(rows: Sequence[Any], id: str, name: str, url: str, locale: str) -> Message:
    """What is told of some notices, each with its incident's columns."""
    lang = 1 if locale.startswith("en") else 0
    lines = [_line(row, lang) for row in rows[:SHOWN]]
    if len(rows) > SHOWN:
        lines.append((f"另有 {len(rows) - SHOWN} 项", f"and {len(rows) - SHOWN} more")[lang])
    data = {"incidents": [_data(row) for row in rows]}
    return Message(id, _subject(rows, name, lang), lines, data, f"{url.rstrip('/')}/")


def trial(id: str, name: str, url: str, locale: str) -> Message:
    """What `test` sends."""
    words = ("告警通道测试", "test of an alert route")["en" in locale[:2]]
    return Message(id, f"[{clean(name)}] {words}", [words], {"test": True, "incidents": []}, f"{url.rstrip('/')}/")


def clean(text: str, limit: int = LINE) -> str:
    """One line without controls and marks of direction, at most `limit` characters."""
    return _CONTROLS.sub(" ", text)[:limit]


def _subject(rows: Sequence[Any], name: str, lang: int) -> str:
    first = rows[0]
    more = f" (+{len(rows) - 1})" if len(rows) > 1 else ""
    return clean(f"[{name}] {EVENTS[first.event][lang]}: {RULES[first.rule][lang]}: {first.detail}")[:100] + more


def _line(row: Any, lang: int) -> str:
    feeds = (f"{row.feed_count} 个资源源", f"{row.feed_count} feeds")[lang]
    words = (SEVERITIES[row.severity][lang], EVENTS[row.event][lang], RULES[row.rule][lang])
    return f"#{row.incident_id} {' / '.join(words)} ({feeds}, {iso(row.opened_at)}): {clean(row.detail)}"


def _data(row: Any) -> dict[str, Any]:
    return {
        "incident": row.incident_id, "event": row.event, "rule": row.rule, "severity": row.severity,
        "blame": row.blame, "cause": clean(row.cause), "detail": clean(row.detail), "feeds": row.feed_count,
        "opened_at": iso(row.opened_at), "resolved_at": iso(row.resolved_at) if row.resolved_at else None,
    }  # fmt: skip
