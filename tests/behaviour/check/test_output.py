"""Commands print one line for each thing, on any terminal, whatever the names of files and directories."""

import pytest

from .hosts import PROGRAM, SPEC

pytestmark = pytest.mark.root

NASTY = "/opt/a\x1b[31m\nb"
SHOWN = "/opt/a\\x1b[31m\\nb"


def clean(done):
    """No control characters but newlines, and no line begins in the middle of a name."""
    for text in (done.stdout, done.stderr):
        assert all(line.isprintable() or "\t" in line for line in text.split("\n")), text
        assert "\x1b" not in text
        assert not any(line.startswith("b/") or line == "b" for line in text.split("\n")), text
    return done


@pytest.fixture
def nasty(host):
    host.path(NASTY).mkdir(parents=True)
    yield host.path(NASTY)
    host.shell("rm -rf /opt/a*")


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--spec-dir", NASTY],
        ["check", "--spec-dir", NASTY],
        ["check", f"{NASTY}/x.yaml"],
        ["validate", f"{NASTY}/x.yaml", f"{NASTY}/good.yaml", f"{NASTY}/none.yaml"],
        ["adopt", "--dry-run", "--spec-dir", NASTY],
        ["adopt", "--yes", "--spec-dir", NASTY, "--spec-dir", "/var/run/cdi"],
        ["oneshot", "--output", f"{NASTY}/out.yaml"],
        ["oneshot", "--config-file", f"{NASTY}/none.conf"],
        ["oneshot", "--config-file", f"{NASTY}/bad.conf"],
        ["diff", "--output", f"{NASTY}/x.yaml"],
        ["diff", "--config-file", f"{NASTY}/bad.conf"],
        ["generate", "--output", f"{NASTY}/x/y.yaml"],
        ["generate", "--driver-root", NASTY],
        ["generate", "--mode", NASTY],
        ["config", "--config-file", f"{NASTY}/bad.conf"],
        ["host-nodes", "--config-file", f"{NASTY}/none.conf"],
        ["install-units", "--dry-run", "--root", NASTY],
        ["check", f"--{NASTY}"],
        ["list", f"--level={NASTY}"],
        [NASTY],
    ],
    ids=lambda words: " ".join(words[:2]).replace(NASTY, "X"),
)
def test_control_characters_in_names_are_escaped_in_the_output_of_every_command(host, nasty, words):
    (nasty / "x.yaml").write_text("cdiVersion: 0.5.0\nkind: a.b/cc\ndevices: []\n")
    (nasty / "good.yaml").write_text(host.path(SPEC).read_text())
    (nasty / "z\x1b[0m.yml").write_text("")
    (nasty / "bad.conf").write_text(f"[daemon]\nsweep = {NASTY!a}\n\x1b[31m = 1\n[\x1b]\na = 1\n")
    done = clean(host.run(*words))
    assert done.stdout or done.stderr


def test_a_name_that_the_terminal_cannot_show_is_escaped_and_fails_no_command(host):
    host.shell("mkdir -p /opt/驱动; cp /run/cdi/nvidia.yaml /opt/驱动/x.yaml")
    latin = {"PYTHONIOENCODING": "iso-8859-1", "LC_ALL": "C"}
    try:
        for words in (["list"], ["check"], ["validate"], ["adopt", "--dry-run"]):
            option = [] if words == ["validate"] else ["--spec-dir"]
            where = "/opt/驱动/x.yaml" if words == ["validate"] else "/opt/驱动"
            done = host.machine.run([*PROGRAM, *words, *option, where], env=latin)
            assert done.stderr.count("Traceback") == 0, done.stderr
            assert words[0] == "adopt" or "\\u9a71\\u52a8" in done.stdout
    finally:
        host.shell("rm -r /opt/驱动")


def test_more_files_than_fit_a_line_are_counted(host):
    for number in range(201):
        host.write(f"/etc/cdi/f{number:03d}.json", {"cdiVersion": "0.5.0", "kind": f"a{number}.example/cc", "devices": [
            {"name": "x", "containerEdits": {"env": ["A=b"]}}]})  # fmt: skip
    line = host.clean_line()
    assert line.endswith("devices in /etc/cdi/f000.json, /etc/cdi/f001.json, /etc/cdi/f002.json and 199 more")


def test_text_after_a_document_is_reported(host):
    host.shell(f"printf '%s\\n' '---' 'kind: a' >> {SPEC}")
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", SPEC)
    assert said.startswith("nothing after line ") and " is read: a CDI file is one document" in said
