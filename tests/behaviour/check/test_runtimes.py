"""Does each container runtime that is installed read the spec, by its own configuration and version?"""

import json

import pytest

from cdi_refreshd.core.checks.runtime_config import Engine, links_needed, problems

from .hosts import SPEC

REAL = {"/run/cdi": "/run/cdi", "/var/run/cdi": "/run/cdi", "/etc/cdi": "/etc/cdi", "/opt/cdi": "/opt/cdi"}
BOTH = '["/etc/cdi", "/var/run/cdi"]'
C1, C2 = '[plugins."io.containerd.grpc.v1.cri"]', '[plugins."io.containerd.cri.v1.runtime"]'


def cri(table="io.containerd.cri.v1.runtime", **values):
    return {"plugins": {table: values}}


def podman(*dirs):
    return {"engine": {"cdi_spec_dirs": list(dirs)}}


OLD_TABLE = "io.containerd.grpc.v1.cri"
QUIET = [
    ("podman", "podman version 4.3.1", []),
    ("podman", "podman version 4.3.1", [podman("/opt/cdi")]),  # a key that it does not know
    ("podman", "podman version 5.5.1", [podman("/etc/cdi", "/run/cdi")]),
    ("podman", "podman version 5.6.0", []),
    ("podman", "podman version 5.6.0", [podman("/opt/cdi"), podman("/var/run/cdi/")]),
    ("podman", "podman version 5.6.0", [podman("/run/cdi"), podman("/opt/cdi", {"append": True})]),
    ("podman", "", []),
    ("containerd", "containerd github.com/containerd/containerd v1.7.27 x", [cri(OLD_TABLE, enable_cdi=True)]),
    ("containerd", "containerd v2.0.0 x", []),
    ("containerd", "containerd v2.1.0 x", [cri(cdi_spec_dirs=["/run/cdi"])]),
    ("containerd", "containerd v2.1.0 x", [cri(enable_cdi=False), cri(enable_cdi=True)]),
    ("containerd", "containerd v1.7.1 x", [{"disabled_plugins": ["cri"]}]),
    ("crio", "crio version 1.31.0", []),
    ("crio", "crio version 1.31.0", [{"crio": {"runtime": {"cdi_spec_dirs": ["/run/cdi"]}}}]),
    ("dockerd", "Docker version 28.2.0, build x", []),
    ("dockerd", "Docker version 28.2.0, build x", [{"cdi-spec-dirs": []}]),
    ("dockerd", "Docker version 25.0.0, build x", [{"features": {"cdi": True}}]),
]
LOUD = [
    ("podman", "podman version 5.5.0", [], "does not read /run/cdi",
     f"in /etc/containers/containers.conf: [engine] cdi_spec_dirs = {BOTH}"),
    ("podman", "podman version 5.6.0", [podman("/opt/cdi")], "does not read /run/cdi",
     'in 0: [engine] cdi_spec_dirs = ["/opt/cdi", "/etc/cdi", "/var/run/cdi"]'),
    ("podman", "podman version 5.6.0", [podman("/run/cdi"), podman("/opt/cdi")], "does not read /run/cdi",
     'in 1: [engine] cdi_spec_dirs = ["/opt/cdi", "/etc/cdi", "/var/run/cdi"]'),
    ("containerd", "containerd v1.7.27 x", [], "has CDI turned off",
     f"in /etc/containerd/config.toml: {C1} enable_cdi = true; then restart it"),
    ("containerd", "containerd v1.7.27 x", [{"version": 2} | cri(OLD_TABLE, enable_cdi=False)], "has CDI turned off",
     f"in 0: {C1} enable_cdi = true; then restart it"),
    ("containerd", "containerd v2.1.0 x", [cri(enable_cdi=False)], "has CDI turned off",
     f"in 0: {C2} enable_cdi = true; then restart it"),
    ("containerd", "containerd v2.1.0 x", [cri(cdi_spec_dirs=["/etc/cdi"])], "does not read /run/cdi",
     f"in 0: {C2} cdi_spec_dirs = {BOTH}; then restart it"),
    ("containerd", "containerd v1.6.20 x", [], "knows no CDI", "update it to 1.7 or later"),
    ("crio", "crio version 1.31.0", [{"crio": {"runtime": {"cdi_spec_dirs": ["/etc/cdi"]}}}], "does not read /run/cdi",
     f"in 0: [crio.runtime] cdi_spec_dirs = {BOTH}; then systemctl reload crio"),
    ("dockerd", "Docker version 28.1.1, build x", [], "has CDI turned off",
     'in /etc/docker/daemon.json: "features": {"cdi": true}; then restart it'),
    ("dockerd", "Docker version 29.0.0, build x", [{"features": {"cdi": False}}], "has CDI turned off",
     'in /etc/docker/daemon.json: "features": {"cdi": true}; then restart it'),
    ("dockerd", "Docker version 29.0.0, build x", [{"cdi-spec-dirs": [""]}], "does not read /run/cdi",
     f'in /etc/docker/daemon.json: "cdi-spec-dirs": {BOTH}; then restart it'),
    ("dockerd", "Docker version 24.0.7, build x", [], "knows no CDI", "update it to 25 or later"),
]  # fmt: skip


def engine(name, said, contents, **more):
    return Engine(name, said, tuple((str(number), content) for number, content in enumerate(contents)), **more)


@pytest.mark.parametrize(("name", "said", "contents"), QUIET)
def test_a_runtime_that_reads_the_directory_is_not_mentioned(name, said, contents):
    assert problems([engine(name, said, contents)], ("/var/run/cdi",), REAL) == []


@pytest.mark.parametrize(("name", "said", "contents", "fact", "hint"), LOUD)
def test_a_runtime_that_does_not_gets_the_line_that_it_lacks(name, said, contents, fact, hint):
    (found,) = problems([engine(name, said, contents)], ("/var/run/cdi",), REAL)
    assert (found.severity, found.fact, found.hint) == ("degraded", fact, hint)


def test_a_containerd_that_serves_no_kubelet_is_a_note():
    (found,) = problems([engine("containerd", "containerd v1.7.1 x", [], serves=False)], ("/run/cdi",), REAL)
    assert found.severity == "info"


@pytest.mark.parametrize(
    ("runc", "systemd", "why"),
    [
        ((1, 1, 3), 252, "runc 1.1.3"),
        ((1, 1, 7), 252, ""),
        ((1, 2, 0), 239, "systemd 239"),
        ((1, 2, 0), 0, ""),
        ((), 239, ""),
    ],
)
def test_links_in_dev_char_matter_to_an_old_runc_or_an_old_systemd(runc, systemd, why):
    assert links_needed(runc, systemd) == why


@pytest.mark.root
def test_podman_that_reads_only_etc_cdi(host):
    host.program("podman", "podman version 5.5.1")
    line = f"[engine] cdi_spec_dirs = {BOTH}"
    assert host.one_fault() == (
        "degraded", "podman version 5.5.1", f"does not read /run/cdi; in /etc/containers/containers.conf: {line}",
    )  # fmt: skip
    host.write("/etc/containers/containers.conf", line.replace("] ", "]\n") + "\n")
    host.clean_line()


@pytest.mark.root
def test_a_runtime_that_is_too_old_for_the_version_of_the_spec(host):
    host.program("podman", "podman version 4.3.1")
    host.become(drm_mode="0660", drm_gid=44)
    assert host.run("oneshot").returncode == 0
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "podman version 4.3.1")
    assert said.startswith("reads CDI specs up to 0.5.0 and drops this one (0.7.0) without a word; ")


@pytest.mark.root
def test_containerd_and_the_files_that_it_imports(host):
    host.program("containerd", "containerd github.com/containerd/containerd v1.7.28 abc")
    host.path("/var/lib/kubelet").mkdir()
    assert host.one_fault()[2].startswith("has CDI turned off; in /etc/containerd/config.toml: ")
    host.write("/etc/containerd/config.toml", 'version = 2\nimports = ["conf.d/*.toml"]\n')
    host.write("/etc/containerd/conf.d/cdi.toml", f"{C1}\nenable_cdi = true\n")
    host.clean_line()
    host.write("/etc/containerd/conf.d/z.toml", f'{C1}\ncdi_spec_dirs = ["/opt/cdi"]\n')
    assert "in /etc/containerd/conf.d/z.toml" in host.one_fault()[2]


@pytest.mark.root
def test_docker_and_crio_by_their_files(host):
    host.program("dockerd", "Docker version 29.1.0, build abc")
    host.program("crio", "crio version 1.33.0")
    host.clean_line()
    host.write("/etc/docker/daemon.json", json.dumps({"features": {"cdi": False}}))
    host.write("/etc/crio/crio.conf.d/99-own", '[crio.runtime]\ncdi_spec_dirs = ["/opt/cdi"]\n')
    status, lines = host.said()
    assert status == 1
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "degraded  crio version 1.33.0", "degraded  Docker version 29.1.0, build abc",
    ]  # fmt: skip


@pytest.mark.root
def test_a_configuration_that_is_broken_is_told(host):
    host.program("dockerd", "Docker version 29.1.0, build abc")
    host.write("/etc/docker/daemon.json", "{")
    assert host.one_fault()[:2] == ("degraded", "/etc/docker/daemon.json")


@pytest.mark.root
def test_nodes_without_links_in_dev_char_and_an_old_runc(host):
    host.program("runc", "runc version 1.1.4")
    host.shell("rm -rf /dev/char")
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "/dev/dri/card1 and 9 more")
    assert said.startswith("has no link in /dev/char, and runc 1.1.4 needs one")
    host.shell("mkdir /dev/char; for n in /dev/nvidia* /dev/dri/*; do "
               "[ -c $n ] && ln -s $n /dev/char/$(stat -c %Hr:%Lr $n); done; true")  # fmt: skip
    host.clean_line()
    host.shell("rm -r /dev/char")
    host.program("runc", "runc version 1.1.12")
    host.clean_line()


@pytest.mark.root
def test_a_program_that_hangs_is_not_waited_for(host):
    host.write("/usr/local/bin/dockerd", "#!/bin/sh\nexec sleep 60\n")
    host.path("/usr/local/bin/dockerd").chmod(0o755)
    host.clean_line()
    assert SPEC
