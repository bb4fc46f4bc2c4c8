"""The diagram in the docs, and the table that it shows."""

import pathlib
import re

import pytest

from cdi_refreshd.core.refresh import scheduler as r

DOCUMENT = pathlib.Path(__file__).resolve().parents[4] / "docs" / "scheduler.md"


def test_the_documented_diagram_is_made_from_the_table_of_the_scheduler():
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert drawn == r.diagram(), "print(diagram()) and paste it"


def test_the_document_names_every_state_with_its_meaning():
    text = DOCUMENT.read_text()
    for state, meaning in r.STATES.items():
        assert f"| `{state}` | {meaning} |" in text


@pytest.mark.parametrize("state", r.STATES)
def test_every_state_can_be_reached_and_left(state):
    assert state == r.IDLE or any(row.to == state for row in r.TABLE)
    assert state == r.STOPPED or any(row.to not in ("", state) and state in row.states for row in r.TABLE)


def test_no_row_follows_a_row_that_always_applies():
    for rows in r.MOVES.values():
        assert all(row.when is not r._always for row in rows[:-1])


def test_labels_of_arrows_have_no_mermaid_syntax():
    for phrase in [row.why for row in r.TABLE] + list(r.STATES.values()):
        assert not set(phrase) & set(':;"#{}[]'), phrase
