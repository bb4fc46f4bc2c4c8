"""Whether each installed container runtime reads the spec, by its configuration and version."""

import json

import pytest

from cdi_refreshd.core.checks.container_runtimes import Runtime, in_order, shortened
from cdi_refreshd.core.checks.runtime_config import links_needed, problems
from cdi_refreshd.core.checks.runtime_versions import reads

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
    ("podman", "podman version 5.6.0", [podman("/opt/cdi", {"append": True})]),
    ("podman", "podman version 5.6.0", [podman({"append": True}), podman("/opt/cdi"), podman("/srv/cdi")]),
    ("podman", "", []),
    ("containerd", "containerd github.com/containerd/containerd v1.7.27 x", [cri(OLD_TABLE, enable_cdi=True)]),
    ("containerd", "containerd v2.0.0 x", []),
    ("containerd", "containerd v2.1.0 x", [cri(cdi_spec_dirs=["/run/cdi"])]),
    ("containerd", "containerd v2.1.0 x", [cri(enable_cdi=False), cri(enable_cdi=True)]),
    ("containerd", "containerd v1.7.1 x", [{"disabled_plugins": ["cri"]}]),
    ("containerd", "containerd v2.3.0 x", [{"version": 3}, {"version": 2}, {}]),
    ("containerd", "containerd v2.3.0 x", [{}, {"version": 3}]),
    ("k3s", "containerd github.com/k3s-io/containerd v2.0.5-k3s1 x", []),
    ("k3s", "", [{"version": 3}]),
    ("crio", "crio version 1.31.0", []),
    ("crio", "crio version 1.31.0", [{"crio": {"runtime": {"cdi_spec_dirs": ["/run/cdi"]}}}]),
    ("dockerd", "Docker version 28.2.0, build x", []),
    ("dockerd", "Docker version 25.0.0, build x", [{"features": {"cdi": True}}]),
]
LOUD = [
    ("podman", "podman version 5.5.0", [], "does not read /run/cdi",
     f"in /etc/containers/containers.conf: [engine] cdi_spec_dirs = {BOTH}"),
    ("podman", "podman version 5.6.0", [podman("/opt/cdi")], "does not read /run/cdi",
     'in 0: [engine] cdi_spec_dirs = ["/opt/cdi", "/etc/cdi", "/var/run/cdi"]'),
    ("podman", "podman version 5.5.0", [podman("/opt/cdi", {"append": True})], "does not read /run/cdi",
     'in 0: [engine] cdi_spec_dirs = ["/opt/cdi", "/etc/cdi", "/var/run/cdi"]'),
    ("podman", "podman version 5.6.0", [podman({"append": True}), podman("/opt/cdi", {"append": False})],
     "does not read /run/cdi", 'in 1: [engine] cdi_spec_dirs = ["/opt/cdi", "/etc/cdi", "/var/run/cdi"]'),
    ("podman", "podman version 3.4.4", [], "has no CDI support", "update it to 4.1 or later"),
    ("crio", "crio version 1.23.0", [], "has no CDI support", "update it to 1.24 or later"),
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
    ("containerd", "containerd v1.6.20 x", [], "has no CDI support", "update it to 1.7 or later"),
    ("crio", "crio version 1.31.0", [{"crio": {"runtime": {"cdi_spec_dirs": ["/etc/cdi"]}}}], "does not read /run/cdi",
     f"in 0: [crio.runtime] cdi_spec_dirs = {BOTH}; then systemctl reload crio"),
    ("dockerd", "Docker version 28.1.1, build x", [], "has CDI turned off",
     'in /etc/docker/daemon.json: "features": {"cdi": true}; then restart it'),
    ("dockerd", "Docker version 29.0.0, build x", [{"features": {"cdi": False}}], "has CDI turned off",
     'in /etc/docker/daemon.json: "features": {"cdi": true}; then restart it'),
    ("k3s", "", [{"version": 2}], "has CDI turned off",
     "in /var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl: "
     f"{C1} enable_cdi = true; then restart k3s"),
    ("rke2", "containerd github.com/k3s-io/containerd v2.1.1-k3s1 x", [cri(cdi_spec_dirs=["/etc/cdi"])],
     "does not read /run/cdi", f"in 0: {C2} cdi_spec_dirs = {BOTH}; then restart rke2"),
    ("snap", "Docker version 26.1.4, build x", [], "has CDI turned off",
     'in /var/snap/docker/current/config/daemon.json: "features": {"cdi": true}; then snap restart docker'),
    ("dockerd", "Docker version 29.0.0, build x", [{"cdi-spec-dirs": []}], "does not read /run/cdi",
     f'in /etc/docker/daemon.json: "cdi-spec-dirs": {BOTH}; then restart it'),
    ("dockerd", "Docker version 29.0.0, build x", [{"cdi-spec-dirs": [""]}], "does not read /run/cdi",
     f'in /etc/docker/daemon.json: "cdi-spec-dirs": {BOTH}; then restart it'),
    ("dockerd", "Docker version 24.0.7, build x", [], "has no CDI support", "update it to 25.0 or later"),
]  # fmt: skip


def runtime(name, said, contents, **more):
    return Runtime(name, said, tuple((str(number), content) for number, content in enumerate(contents)), **more)


@pytest.mark.parametrize(("name", "said", "contents"), QUIET)
def test_a_runtime_that_reads_the_directory_is_not_mentioned(name, said, contents):
    assert problems([runtime(name, said, contents)], ("/var/run/cdi",), REAL) == []


@pytest.mark.parametrize(("name", "said", "contents", "fact", "hint"), LOUD)
def test_a_runtime_that_does_not_read_it_is_reported_with_the_missing_line(name, said, contents, fact, hint):
    (found,) = problems([runtime(name, said, contents)], ("/var/run/cdi",), REAL)
    assert (found.severity, found.fact, found.hint) == ("degraded", fact, hint)


def test_a_containerd_that_serves_no_kubelet_is_a_note():
    (found,) = problems([runtime("containerd", "containerd v1.7.1 x", [], serves=False)], ("/run/cdi",), REAL)
    assert found.severity == "info"


def test_podman_build_before_5_5_reads_a_list_of_directories_that_podman_run_ignores():
    (found,) = problems([runtime("podman", "podman version 5.4.2", [])], ("/var/run/cdi",), REAL)
    assert found[:4] == (
        "info", "podman version 5.4.2", "podman build --device before 5.5 reads only /etc/cdi",
        f"in /etc/containers/containers.conf: [engine] cdi_spec_dirs = {BOTH}",
    )  # fmt: skip
    listed = runtime("podman", "podman version 5.4.2", [podman("/etc/cdi", "/var/run/cdi")])
    assert problems([listed], ("/var/run/cdi",), REAL) == []
    assert problems([runtime("podman", "podman version 5.4.2", [])], ("/etc/cdi",), REAL) == []


def test_a_drop_in_of_a_higher_version_than_the_main_file_is_refused_by_containerd():
    documents = [{"version": 2}, {"version": 3}]
    (found,) = problems([runtime("containerd", "containerd v2.3.4 x", documents)], ("/run/cdi",), REAL)
    assert found[:4] == (
        "degraded", "1", "has version 3, and 0 has 2: containerd refuses such a drop-in",
        "write it for version 2, or migrate the other: containerd config migrate",
    )  # fmt: skip


SHARE, ETC = "/usr/share/containers", "/etc/containers"
THERE = [
    f"{SHARE}/containers.conf",
    f"{SHARE}/containers.conf.d/99-last.conf",
    f"{SHARE}/containers.conf.d/10-vendor.conf",
    f"{ETC}/containers.conf",
    f"{ETC}/containers.conf.d/10-vendor.conf",
    f"{ETC}/containers.rootful.conf.d/50-root.conf",
]


def test_podman_6_reads_one_main_file_and_drop_ins_by_their_names_alone():
    assert in_order("podman", "podman version 6.0.0", THERE) == [
        f"{ETC}/containers.conf",
        f"{ETC}/containers.conf.d/10-vendor.conf",
        f"{ETC}/containers.rootful.conf.d/50-root.conf",
        f"{SHARE}/containers.conf.d/99-last.conf",
    ]
    assert in_order("podman", "podman version 5.8.2", THERE) == THERE


@pytest.mark.parametrize(
    ("docker", "highest"),
    [("25.0.3", "0.6.0"), ("25.0.17", "0.8.0"), ("26.1.0", "0.7.0"), ("26.1.5", "0.7.0"), ("28.1.0", "1.0.0")],
)
def test_each_docker_release_reads_the_spec_version_that_was_measured(docker, highest):
    assert reads("dockerd", tuple(map(int, docker.split(".")))) == highest


def test_a_version_is_never_cut_in_the_middle():
    long = "containerd github.com/containerd/containerd/v2 v2.2.1-0ubuntu1~24.04.1+really2.2.0"
    assert shortened(f"{long} 05044ec0a9a75232cad458027ca83437aae3f4da") == long
    assert shortened("podman version 5.4.2\nmore") == "podman version 5.4.2"
    assert len(shortened("x" * 1000)) == 200


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
def test_podman_that_reads_only_etc_cdi_is_reported(host):
    host.program("podman", "podman version 5.5.1")
    line = f"[engine] cdi_spec_dirs = {BOTH}"
    assert host.one_fault() == (
        "degraded", "podman version 5.5.1", f"does not read /run/cdi; in /etc/containers/containers.conf: {line}",
    )  # fmt: skip
    host.write("/etc/containers/containers.conf", line.replace("] ", "]\n") + "\n")
    host.clean_line()


@pytest.mark.root
def test_a_runtime_that_is_too_old_for_the_version_of_the_spec_is_reported(host):
    host.program("podman", "podman version 4.3.1")
    host.become(drm_mode="0660", drm_gid=44)
    assert host.run("oneshot").returncode == 0
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "podman version 4.3.1")
    assert said == (
        "reads CDI specs up to 0.5.0 and silently drops this one (0.7.0); "
        "give --feature-flag no-additional-gids-for-device-nodes, or update it"
    )
    state = host.run("oneshot")
    assert "podman version 4.3.1: reads CDI specs up to 0.5.0 and silently drops this one (0.7.0)" in state.stderr


FOREIGN = {
    "cdiVersion": "1.1.0",
    "kind": "example.com/dev",
    "devices": [{"name": "0", "containerEdits": {"env": ["A=b"]}}],
}


@pytest.mark.root
@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({}, "write cdiVersion: 0.5.0, which is all that it needs"),
        ({"additionalGids": [44]}, "update it; devices[0].containerEdits.additionalGids needs 0.7.0"),
    ],
)
def test_the_hint_for_a_spec_that_is_too_new_is_the_version_that_it_needs(host, change, hint):
    host.program("podman", "podman version 4.3.1")
    edits = FOREIGN["devices"][0]["containerEdits"] | change
    host.write("/var/run/cdi/a.yaml", FOREIGN | {"devices": [{"name": "0", "containerEdits": edits}]})
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "podman version 4.3.1")
    assert said == f"reads CDI specs up to 0.5.0 and silently drops this one (1.1.0); {hint}"


@pytest.mark.root
def test_an_old_unused_containerd_is_reported_once_as_a_note(host):
    host.program("containerd", "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1")
    host.become(drm_mode="0660", drm_gid=44)
    assert host.run("oneshot", "--strict").returncode == 0
    host.clean_line()
    found = [one for one in host.findings() if "containerd" in str(one)]
    assert [(one["severity"], one["fact"]) for one in found] == [("info", "has no CDI support")]


@pytest.mark.root
def test_k3s_is_checked_by_its_own_containerd_and_another_only_where_a_kubelet_uses_it(host):
    host.program("containerd", "containerd github.com/containerd/containerd v1.7.28 abc")
    host.path("/var/lib/kubelet").mkdir()
    own = "/var/lib/rancher/k3s/agent/etc/containerd"
    host.write(f"{own}/config.toml", 'version = 3\nimports = ["config-v3.toml.d/*.toml"]\n')
    host.clean_line()
    host.write(f"{own}/config-v3.toml.d/a.toml", f'{C2}\ncdi_spec_dirs = ["/opt/cdi"]\n')
    assert host.one_fault() == (
        "degraded", "k3s's containerd", "does not read /run/cdi; "
        f'in {own}/config-v3.toml.d/a.toml: {C2} cdi_spec_dirs = ["/opt/cdi", "/etc/cdi", "/var/run/cdi"]; '
        "then restart k3s",
    )  # fmt: skip
    host.path(f"{own}/config-v3.toml.d/a.toml").unlink()
    host.write("/etc/kubernetes/kubelet.conf", "")
    assert host.one_fault()[1].startswith("containerd github.com/containerd/containerd v1.7.28")


@pytest.mark.root
def test_podman_6_is_checked_by_the_files_that_it_reads(host):
    host.program("podman", "podman version 6.0.1")
    host.write("/usr/share/containers/containers.conf", '[engine]\ncdi_spec_dirs = ["/opt/cdi"]\n')
    host.write("/etc/containers/containers.conf", "[containers]\n")
    host.clean_line()
    host.write("/etc/containers/containers.rootful.conf.d/50.conf", '[engine]\ncdi_spec_dirs = ["/opt/cdi"]\n')
    assert "in /etc/containers/containers.rootful.conf.d/50.conf: " in host.one_fault()[2]
    host.write("/usr/share/containers/containers.conf.d/60.conf", '[engine]\ncdi_spec_dirs = ["/var/run/cdi"]\n')
    host.clean_line()


@pytest.mark.root
def test_containerd_is_checked_by_its_configuration_and_the_files_that_it_imports(host):
    host.program("containerd", "containerd github.com/containerd/containerd v1.7.28 abc")
    host.path("/var/lib/kubelet").mkdir()
    assert host.one_fault()[2].startswith("has CDI turned off; in /etc/containerd/config.toml: ")
    host.write("/etc/containerd/config.toml", 'version = 2\nimports = ["conf.d/*.toml"]\n')
    host.write("/etc/containerd/conf.d/cdi.toml", f"{C1}\nenable_cdi = true\n")
    host.clean_line()
    host.write("/etc/containerd/conf.d/z.toml", f'{C1}\ncdi_spec_dirs = ["/opt/cdi"]\n')
    assert "in /etc/containerd/conf.d/z.toml" in host.one_fault()[2]


@pytest.mark.root
def test_docker_and_crio_are_checked_by_their_configuration_files(host):
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
def test_a_configuration_that_is_broken_is_reported(host):
    host.program("dockerd", "Docker version 29.1.0, build abc")
    host.write("/etc/docker/daemon.json", "{")
    assert host.one_fault()[:2] == ("degraded", "/etc/docker/daemon.json")


@pytest.mark.root
def test_nodes_without_links_in_dev_char_are_reported_with_an_old_runc(host):
    host.program("runc", "runc version 1.1.4")
    host.shell("rm -rf /dev/char")
    status, (graphics, driver, _) = host.said()
    assert status == 1
    assert graphics.startswith("degraded  /dev/dri/card1 (and 3 more): has no link in /dev/char, and runc 1.1.4")
    assert "udevadm trigger" in graphics and "nvidia-ctk" not in graphics
    assert driver.startswith(
        "degraded  /dev/nvidia-modeset (and 5 more): has no link in /dev/char, and runc 1.1.4 needs"
    )
    assert "nvidia-ctk system create-dev-char-symlinks --create-all" in driver
    host.shell("mkdir /dev/char; for n in /dev/nvidia* /dev/dri/*; do "
               "[ -c $n ] && ln -s $n /dev/char/$(stat -c %Hr:%Lr $n); done; true")  # fmt: skip
    host.clean_line()
    host.shell("rm -r /dev/char")
    host.program("runc", "runc version 1.1.12")
    host.clean_line()


HANGING = {
    "silent": "exec sleep 1000",
    "closes its output and lives on": "echo Docker version 29.0.0, build x; exec >&-; sleep 1000",
    "leaves its output to a child": "echo Docker version 29.0.0, build x; setsid sleep 1000 & exit 0",
    "floods": "exec yes",
}


@pytest.mark.root
@pytest.mark.parametrize("how", HANGING)
def test_a_program_that_hangs_is_not_waited_for(host, how):
    host.write("/usr/local/bin/dockerd", f"#!/bin/sh\n{HANGING[how]}\n")
    host.path("/usr/local/bin/dockerd").chmod(0o755)
    host.clean_line()
    host.become(drm_mode="0660", drm_gid=44)
    assert host.run("oneshot").returncode == 0
    assert SPEC
