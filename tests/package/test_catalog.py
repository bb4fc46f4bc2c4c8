"""The message catalog explains each MESSAGE_ID, in a form that systemd accepts."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cdi_refreshd.core.report.lines import MESSAGE_IDS

CATALOG = Path(__file__).parents[2] / "systemd/cdi-refreshd.catalog"
TEXT = CATALOG.read_text()
ENTRIES = dict(zip(*[iter(re.split(r"^-- ([0-9a-f]{32})\n", TEXT, flags=re.MULTILINE)[1:])] * 2, strict=True))


def test_the_catalog_has_an_entry_for_each_message_id_and_no_other():
    assert sorted(ENTRIES) == sorted(MESSAGE_IDS.values())


@pytest.mark.parametrize("kind", MESSAGE_IDS)
def test_each_entry_has_its_headers_and_a_text(kind):
    headers, _, text = ENTRIES[MESSAGE_IDS[kind]].partition("\n\n")
    names = [line.partition(": ")[0] for line in headers.splitlines()]
    assert names == ["Subject", "Defined-By", "Documentation"]
    assert len(text.split()) > 15


def test_no_line_is_wider_than_a_terminal():
    assert max(map(len, TEXT.splitlines())) <= 80


def test_systemd_compiles_the_catalog_and_prints_its_entries(tmp_path):
    if not shutil.which("journalctl"):
        pytest.skip("no journalctl here")
    folder = tmp_path / "usr/lib/systemd/catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOG, folder)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    subprocess.run(["journalctl", f"--root={tmp_path}", "--update-catalog"], check=True, capture_output=True)
    command = ["journalctl", f"--root={tmp_path}", "--dump-catalog", *MESSAGE_IDS.values()]
    reported = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for message_id in MESSAGE_IDS.values():
        assert f"-- {message_id}" in reported
