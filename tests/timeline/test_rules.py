"""Sentences for everything that may have happened."""

import ast
import re
from pathlib import Path
from string import Formatter

from hypothesis import given
from hypothesis import strategies as st

import leasing
from leasing.timeline import rules
from schemas.contracts import ContractState, IncidentKind
from schemas.packs import PackState

KIND = re.compile(r"(contract|line|site|pack|waste|routing|invoice|note|attachment|tags|duty)\.\w+")

# Steps of a pack's life that events tell under other names.
STEPS = {
    "pack.commissioned", "pack.swapped", "pack.relocated", "pack.damaged", "pack.lost",
    "pack.burnt", "pack.found", "pack.sold", "pack.returned", "waste.outbound", "waste.inbound",
    "pack.failed",
}  # fmt: skip


def kinds_in_the_code() -> set[str]:
    """Texts that read like the kind of an event about a contract, a site or a pack. Names of
    columns do not stand alone in a text."""
    found = set()
    root = Path(leasing.__file__).parent
    for file in root.rglob("*.py"):
        if file.is_relative_to(root / "timeline"):
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if KIND.fullmatch(node.value) else set()
    return found


def test_every_kind_of_event_has_a_sentence():
    composed = {f"contract.{state}" for state in ContractState}
    composed -= {"contract.draft", "contract.ending"}  # reached by events with names of their own
    composed |= {f"line.{kind}" for kind in IncidentKind}
    composed |= {"line.suspended", "line.resumed", "custom_fields.changed"}
    written = kinds_in_the_code() - STEPS
    assert len(written) > 40
    assert written | composed == set(rules.SENTENCES)


def test_both_sentences_say_the_same_facts():
    for kind, (english, chinese) in rules.SENTENCES.items():
        fields = [
            sorted(field for _, field, _, _ in Formatter().parse(text) if field)
            for text in (english, chinese)
        ]
        assert fields[0] == fields[1], kind
        assert re.search("[\u4e00-\u9fff]", chinese), kind


def test_every_state_of_a_pack_has_a_holder():
    assert set(rules.HELD_BY) == set(PackState)


def test_a_sentence_says_why():
    english, chinese = rules.summary("line.ended", {"reason": "lost"})
    assert (english, chinese) == ("The line ended: lost.", "租赁明细终止,原因:遗失。")
    english, _ = rules.summary("contract.held_over", {})
    assert english.endswith("holds over.")


WORDS = {
    field
    for english, _ in rules.SENTENCES.values()
    for _, field, _, _ in Formatter().parse(english)
    if field
}
FACTS = st.dictionaries(
    st.sampled_from(sorted(WORDS | {"reason", "description", "anything"})),
    st.none() | st.integers() | st.text() | st.lists(st.integers()),
)


@given(kind=st.sampled_from(sorted(rules.SENTENCES)) | st.text(), facts=FACTS)
def test_old_and_strange_facts_still_make_two_sentences(kind, facts):
    english, chinese = rules.summary(kind, facts)
    assert english.endswith(".")
    assert chinese.endswith("。")


def test_what_an_own_field_is_called_names_nothing():
    assert list(rules.named("custom_fields.changed", {"line_id": "not an id"})) == []
