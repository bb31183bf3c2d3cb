"""docs/rules.md has exactly the rules there are, each complete."""

import re
from pathlib import Path

import pytest

from monitoring.rules import RULES, RuleDoc

PAGE = (Path(__file__).parent.parent.parent / "docs" / "rules.md").read_text()
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_rule_has_a_section_and_every_section_a_rule() -> None:
    assert list(SECTIONS) == list(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_a_section_says_what_it_is_what_to_do_and_where_from(rule: RuleDoc) -> None:
    section = SECTIONS[rule.id]
    assert section.startswith(f"\n{rule.title} · severity {rule.severity} · ")
    assert re.search(r"^Do: \S", section, re.MULTILINE)
    assert re.search(r"^Source: \S", section, re.MULTILINE)


def test_ids_name_their_family() -> None:
    for rule in RULES:
        assert re.fullmatch(r"(es|store|ss|csi|cluster|lint)-[a-z-]+|could-not-be-(judged|read)", rule)
