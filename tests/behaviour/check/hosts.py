"""A made-up machine with a published spec, and what `check` reports of it."""

import json
import sys

import yaml

from tests.machine import booted

__all__ = ["CASE", "SPEC", "Host", "booted"]

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
SPEC = "/var/run/cdi/nvidia.yaml"
HOOK = "/usr/bin/nvidia-cdi-hook"
GPUS = [{"drm": [1, 128]}, {"drm": [2, 129]}]
CASE = {"gpus": GPUS, "path_bins": [HOOK]}
CLEAN = """
rm -rf /dev/char /etc/cdi /etc/cdi-refreshd /run/cdi /run/cdi-refreshd /run/nvidia-persistenced \
    /etc/systemd/system/*.wants/* /usr/local/bin/* \
    /etc/containers/containers.* /usr/share/containers/containers.* /etc/containerd /etc/crio /etc/docker \
    /var/lib/kubelet /etc/kubernetes /var/lib/rancher /var/snap/docker
rm -f /usr/bin/podman /usr/sbin/runc /usr/bin/runc
[ -L /var/run ] || { rm -rf /var/run; ln -s /run /var/run; }
"""


class Host:
    def __init__(self, machine):
        self.machine = machine
        self.path = machine.path

    def clean(self):
        # Changes that a test made by hand are undone only where the machine has to make the file again.
        self.machine.become({"gpus": [], "no_module": True, "path_bins": CASE["path_bins"]})
        self.machine.become(CASE)
        self.shell(CLEAN)
        self.publish()

    def become(self, **changes):
        self.machine.become(CASE | changes)

    def shell(self, line):
        done = self.machine.run(["sh", "-c", line])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *words, **options):
        return self.machine.run([*PROGRAM, *words], **options)

    def edit(self, path, *pairs):
        """Written in place: here a file of procfs is a mount of its own."""
        place = self.path(path)
        content = place.read_text()
        for old, new in pairs:
            assert old in content
            content = content.replace(old, new)
        place.write_text(content)

    def publish(self):
        done = self.run("oneshot")
        assert done.returncode == 0, done.stderr
        return done

    def said(self, *words, **options):
        """The lines of `check`, and nothing on stderr."""
        done = self.run("check", *words, **options)
        assert done.stderr == "", done.stderr
        return done.returncode, done.stdout.splitlines()

    def findings(self, *words):
        done = self.run("check", "--json", *words)
        assert done.stderr == "", done.stderr
        return json.loads(done.stdout)["findings"]

    def one_fault(self, *words):
        """The only line of `check` besides the last: severity, place, and the rest."""
        status, (line, _) = self.said(*words)
        assert status == 1
        severity, _, rest = line.partition(" ")
        place, _, fact = rest.strip().partition(": ")
        return severity, place, fact

    def clean_line(self, *words):
        status, lines = self.said(*words)
        assert (status, len(lines)) == (0, 1), lines
        assert lines[0].startswith("ok: ")
        return lines[0]

    def spec(self):
        return yaml.safe_load(self.path(SPEC).read_text())

    def write(self, path, document):
        place = self.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def program(self, name, said):
        """Installs a program that reports this version."""
        place = self.path(f"/usr/local/bin/{name}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"#!/bin/sh\n[ \"$*\" = --version ] && echo '{said}'\n")
        place.chmod(0o755)
