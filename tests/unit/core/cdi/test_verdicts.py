"""The Go library's own verdicts (release 1.1.0) on documents with one edge case each. A crash counts as a rejection."""

import csv
import pathlib

import pytest

from cdi_refreshd.commands.validate import run

VERDICTS = pathlib.Path(__file__).parent / "verdicts"
ROWS = list(csv.DictReader((VERDICTS / "verdicts.tsv").open(), delimiter="\t"))


def test_every_document_has_a_verdict():
    assert {row["doc"] for row in ROWS} == {path.name for path in VERDICTS.iterdir()} - {"verdicts.tsv"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["doc"])
def test_validate_agrees_with_the_reference_library(row, capsys):
    path = str(VERDICTS / row["doc"])
    accepted = row["v1.1.0"] == "OK"
    assert run([path]) == (0 if accepted else 1)
    out, err = capsys.readouterr()
    assert (out if accepted else err).startswith(f"{path}: ")
    assert not (err if accepted else out)
