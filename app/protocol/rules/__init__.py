"""What a record is judged by: each rule declared once, one engine for preview, validation and live harvest.

A rule is judged in one of two places. Those of the record itself (text, shape, mandatory fields, code lists) are judged
while it is prepared, in `app.protocol.record`, and arrive here as a Fault or as flags; all others are functions over the
prepared content. docs/rules.md is printed from these declarations.
"""

from app.protocol.rules import forms, identifiers, obligations, personal, prepared
from app.protocol.rules.declare import RULES, Finding, Rule, Severity
from app.protocol.rules.engine import judge, live, rule_of, selected
from app.protocol.rules.page import described, markdown, section

__all__ = [
    "RULES", "Finding", "Rule", "Severity", "described", "forms", "identifiers", "judge", "live", "markdown", "obligations",
    "personal", "prepared", "rule_of", "section", "selected",
]  # fmt: skip
