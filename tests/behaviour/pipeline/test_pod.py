"""From inside a pod, where the host's / is /host, a spec is the same as on the host; and GPUs that never came up."""

import json

import pytest
import yaml

from tests.machine import booted

from .hosts import GPU, Host, Spec, case, lines

POD = "[host]\nprefix = /host\n[generate]\ndriver-root = {}\ndev-root = /\n"
PUBLISHED = "/var/run/cdi/nvidia.yaml"
HOOK = "/usr/bin/nvidia-cdi-hook"
GPUS = (GPU, {"mig": [[1, 0]]})


def configured(host, text):
    folder = host.path("/etc/cdi-refreshd")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cdi-refreshd.conf").write_text(text)


def published(machine_case, configuration):
    with booted(machine_case) as machine:
        host = Host(machine)
        configured(host, configuration)
        done = host.oneshot()
        assert (done.returncode, lines(done)[0].partition(":")[0]) == (0, "ready"), done.stderr
        return machine.path(PUBLISHED).read_bytes()


@pytest.mark.root
@pytest.mark.parametrize("root", ["/", "/run/nvidia/driver"])
def test_a_pod_publishes_byte_for_byte_the_spec_that_the_host_would(root):
    inside = f"/host{root}".rstrip("/")
    pod = published(case(*GPUS, driver_root=inside, path_bins=[f"/host{HOOK}"]), POD.format(root))
    own = published(case(*GPUS, driver_root=root), f"[generate]\ndriver-root = {root}\ndev-root = /\n")
    assert b"/host" not in pod
    assert Spec(yaml.safe_load(pod)) == Spec(yaml.safe_load(own))
    assert pod == own


@pytest.fixture
def pod():
    with booted(case(*GPUS, driver_root="/host", path_bins=[f"/host{HOOK}"])) as machine:
        host = Host(machine)
        configured(host, POD.format("/"))
        yield host


@pytest.mark.root
def test_a_hook_program_outside_of_the_nodes_path_is_named_by_its_path_there():
    toolkit = "/usr/local/nvidia/toolkit/nvidia-cdi-hook"
    configuration = f"{POD.format('/')}nvidia-cdi-hook-path = {toolkit}\n"
    text = published(case(*GPUS, driver_root="/host", path_bins=[f"/host{toolkit}"]), configuration)
    assert {hook["path"] for hook in yaml.safe_load(text)["containerEdits"]["hooks"]} == {toolkit}


@pytest.mark.root
def test_links_that_only_the_host_can_follow_are_mounted_by_their_targets():
    layout = {"layout": "debian-alternatives", "driver_root": "/host", "path_bins": [f"/host{HOOK}"]}
    text = published(case(*GPUS, **layout), POD.format("/"))
    assert b"/host" not in text


@pytest.mark.root
def test_in_a_pod_check_and_diff_compare_the_spec_with_the_host(pod):
    pod.oneshot()
    checked = pod.run("check")
    assert (checked.returncode, checked.stdout.startswith("ok: ")) == (0, True), checked.stdout
    assert pod.run("diff").returncode == 0
    library = next(path for path in pod.path("/host/usr/lib").rglob("libcuda.so.5*") if not path.is_symlink())
    library.unlink()
    checked = pod.run("check")
    assert checked.returncode == 1
    assert "/host/usr/lib" in checked.stdout and "libcuda.so.5" in checked.stdout


@pytest.mark.root
def test_in_a_pod_a_spec_is_kept_while_its_paths_below_the_prefix_exist(pod):
    pod.oneshot()
    before = pod.path(PUBLISHED).read_bytes()
    pod.become(pod.machine.case | {"module_version": "590.10"})
    assert pod.oneshot().returncode == 4
    assert pod.path(PUBLISHED).read_bytes() == before


@pytest.mark.root
def test_every_command_reports_that_fewer_gpus_are_there_than_expected():
    with booted(case(*GPUS)) as machine:
        host = Host(machine)
        configured(host, "[host]\nexpected-gpus = 3\n")
        done = host.oneshot("--strict")
        assert done.returncode == 5
        assert lines(done)[0].startswith("degraded: ")
        assert "has 2 NVIDIA GPUs, and 3 are expected" in lines(done)[0]
        checked = json.loads(host.run("check", "--json").stdout)
        assert [one["rule"] for one in checked["findings"] if one["rule"].startswith("gpu")] == ["gpu-expected"]
        configured(host, "[host]\nexpected-gpus = 2\n")
        assert host.oneshot("--strict").returncode == 0


@pytest.mark.root
def test_a_host_that_should_have_gpus_and_has_none_has_failed_and_its_spec_is_withdrawn():
    with booted(case(*GPUS)) as machine:
        host = Host(machine)
        configured(host, "[host]\nexpected-gpus = 2\n")
        assert host.oneshot().returncode == 0
        host.become(case())
        done = host.oneshot()
        assert done.returncode == 1
        assert lines(done)[0].startswith("failed: no NVIDIA GPU; PCI bus: has 0 NVIDIA GPUs, and 2 are expected")
        assert host.published() is None


def expecting(host, expected):
    """What oneshot and check find, each in its own way."""
    configured(host, f"[host]\nexpected-gpus = {expected}\n")
    done, checked = host.oneshot(), json.loads(host.run("check", "--json", "--level", "info").stdout)
    return (
        [f"has {n} NVIDIA GPU" for n in range(9) if f"PCI bus: has {n} NVIDIA GPU" in done.stderr],
        [one["fact"].partition("s,")[0].partition(",")[0] for one in checked["findings"] if one["rule"] == RULE],
    )


RULE = "gpu-expected"
VIRTUAL = {"bdf": "0000:41:00.4", "driver": "nvidia"}
PHYSFN = {"/sys/devices/pci0000:00/0000:41:00.4/physfn": "../0000:01:00.0"}


@pytest.mark.root
@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({"unbound": [{"bdf": "0000:41:00.0", "driver": "vfio-pci"}]}, 3),
        ({"unbound": [{"bdf": "0000:41:00.0"}]}, 3),
        ({"unbound": [VIRTUAL], "links": PHYSFN}, 2),
        ({"nvml": ["fail nvmlDeviceGetHandleByIndex_v2 15 1"]}, 2),
    ],
    ids=["vfio-pci", "no driver", "a virtual function", "one that does not answer"],
)
def test_oneshot_and_check_count_the_same_gpus(changes, there):
    with booted(case(*GPUS) | changes) as machine:
        host = Host(machine)
        assert expecting(host, there) == ([], [])
        fact = f"has {there} NVIDIA GPU"
        assert expecting(host, there + 1) == ([fact], [fact])


@pytest.mark.root
@pytest.mark.parametrize(
    "changes",
    [{"extra_nodes": {"dxg": [10, 127]}}, {"add": {"/etc/nv_tegra_release": "# R36\n"}}],
    ids=["WSL", "Tegra"],
)
def test_gpus_that_are_not_on_the_pci_bus_are_not_compared_with_the_expected_number(changes):
    with booted(case(**changes)) as machine:
        assert expecting(Host(machine), 1) == ([], [])
