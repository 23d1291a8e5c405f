"""Rules as people read them: docs/rules.md and `/problems/{rule}`."""

from typing import Any, Final

from app.protocol.rules.declare import RULES, Rule

SEVERITIES: Final = {
    "error": "错误：拒收 · error: refuses",
    "warning": "警告：标记 · warning: flags",
    "advice": "建议：仅提示 · advice: only shown",
}
HEAD: Final = """# Rules 规则

Declared once in `app/protocol/rules`, the same in `preview`, `validate` and live harvest. This page is printed by
`hutong rules --markdown`. 规则只声明一处，预览、校验与汇聚共用；本页由命令生成。

Rules marked *always* are judged on every record that is harvested. The others run in `preview` and `validate`, and in a
harvest where `HUTONG_RULES` chooses them: `personal=flag,url.malformed=refuse` (default `personal=flag`). 标有 *always* 的
规则始终执行；其余规则在预览与校验中执行，汇聚时由 `HUTONG_RULES` 选择。
"""


def section(rule: Rule) -> str:
    """One rule as a section of Markdown."""
    when = "*always*" if rule.check is None else "*on request*"
    source = f"\n\n**Source 依据:** {rule.source}" if rule.source else ""
    return (
        f"## `{rule.id}`\n{rule.zh}\n\n{rule.en} {SEVERITIES[rule.severity]}; {when}{source}\n\n"
        f"**Example 例:** `{rule.example}`\n\n**Remedy 处理:** {rule.remedy_zh} {rule.remedy}\n"
    )


def described(rule: Rule) -> dict[str, Any]:
    """One rule as JSON; `always` says that a harvest judges it whatever HUTONG_RULES says."""
    names = ("id", "severity", "zh", "en", "example", "remedy_zh", "remedy", "source")
    return {**{name: getattr(rule, name) for name in names}, "always": rule.check is None}


def markdown() -> str:
    """The page of all rules."""
    return "\n".join(
        [HEAD, *(section(rule) for rule in sorted(RULES.values(), key=lambda rule: rule.check is not None))]
    )
