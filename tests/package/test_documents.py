"""Documents: every link leads somewhere, and about container runtimes they agree with the code."""

import re
from pathlib import Path

import pytest

from cdi_refreshd.core.checks.runtime_versions import READS

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted([*TOP.glob("*.md"), *TOP.glob("docs/**/*.md"), *TOP.glob("contrib/**/*.md")])
GUIDES = ("HACKING.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/scheduler.md")
"""The documents that lead through the code."""
RUNTIMES = TOP / "docs/container-runtimes"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_link_to_a_file_leads_to_one(document):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_and_folder_that_a_guide_names_exists(guide):
    """Paths in backquotes, with a slash or an ending of ours; NAME and * stand for any name."""
    paths = re.findall(r"`([\w./*-]+(?:/|\.(?:py|md|txt|toml|conf|yaml)))`", (TOP / guide).read_text())
    patterns = [path.rstrip("/").replace("NAME", "*") for path in paths if not path.startswith("/")]
    below = (TOP / "cdi_refreshd", TOP / "tests")
    missing = [path for path in patterns if not any(TOP.glob(path))]
    assert [path for path in missing if not any(any(room.rglob(path)) for room in below)] == []


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_that_a_guide_names_exists(guide):
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z-]+)`", (TOP / guide).read_text())) - targets == set()


def test_the_architecture_has_every_module_of_the_daemon_and_every_room():
    text = (TOP / "docs/architecture.md").read_text()
    tables = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
    modules = {path.stem for path in (TOP / "cdi_refreshd/daemon").glob("*.py")} - {"__init__"}
    assert modules - tables == set()
    rooms = {str(path.parent.relative_to(TOP / "cdi_refreshd")) for path in TOP.glob("cdi_refreshd/**/__init__.py")}
    named = set(re.findall(r"`([\w/]+)/`", text))
    assert rooms - named - {".", "core", "core/nvidia/build"} == set()


def test_the_table_of_container_runtimes_has_the_first_release_that_reads_cdi():
    rows = re.findall(r"^\| ([\w-]+)[^|]*\| ([\d.]+) \|", (RUNTIMES / "README.md").read_text(), re.MULTILINE)
    names = {"podman": "podman", "Docker": "dockerd", "containerd": "containerd", "CRI-O": "crio"}
    reported = {names[name]: tuple(map(int, release.split("."))) for name, release in rows}
    assert reported == {name: READS[name][0][0] for name in names.values()}
