"""Documents: every link leads somewhere, and what they say of container runtimes is what the code says."""

import re
from pathlib import Path

import pytest

from cdi_refreshd.core.checks.runtime_versions import READS

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted([*TOP.glob("docs/**/*.md"), *TOP.glob("contrib/**/*.md")])
RUNTIMES = TOP / "docs/container-runtimes"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_link_to_a_file_leads_to_one(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_the_table_of_container_runtimes_has_the_first_release_that_reads_cdi():
    rows = re.findall(r"^\| ([\w-]+)[^|]*\| ([\d.]+) \|", (RUNTIMES / "README.md").read_text(), re.MULTILINE)
    names = {"podman": "podman", "Docker": "dockerd", "containerd": "containerd", "CRI-O": "crio"}
    reported = {names[name]: tuple(map(int, release.split("."))) for name, release in rows}
    assert reported == {name: READS[name][0][0] for name in names.values()}
