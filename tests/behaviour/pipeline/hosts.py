"""A made-up machine with the program in it, and what it published."""

import os
import sys
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parents[3]
"""Where the program is found from any working directory."""
PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
PUBLISHED = "/var/run/cdi/nvidia.yaml"
HOOK = "/usr/bin/nvidia-cdi-hook"
VERSION = "580.95.05"
UUID = "GPU-00000000-0000-4000-8000-{:012x}"
GPU = {"drm": [1, 128]}


def case(*gpus, **more):
    """A machine where nothing is wrong."""
    return {"gpus": list(gpus), "path_bins": [HOOK]} | more


class Spec(dict):
    """A published document, with the few questions that tests ask."""

    def names(self):
        return [device["name"] for device in self["devices"]]

    def edits(self, name):
        return next(device["containerEdits"] for device in self["devices"] if device["name"] == name)

    def nodes(self, name):
        return [node["path"] for node in self.edits(name).get("deviceNodes", [])]

    def mounts(self):
        """Host path by container path."""
        return {mount["containerPath"]: mount["hostPath"] for mount in self["containerEdits"].get("mounts", [])}

    def hook(self, name, device=None):
        """Arguments of the first hook of that name, or None."""
        hooks = (self.edits(device) if device else self["containerEdits"]).get("hooks", [])
        return next((hook["args"][2:] for hook in hooks if hook["args"][1] == name), None)


class Host:
    def __init__(self, machine):
        self.machine = machine
        self.path = machine.path
        self.top = TOP

    def become(self, changed):
        self.machine.become(changed)

    def run(self, *words, **options):
        return self.machine.run([*PROGRAM, *words], **options)

    def oneshot(self, *words, **options):
        return self.run("oneshot", *words, **options)

    def generate(self, *words, **options):
        """The printed spec; nothing may be reported."""
        done = self.run("generate", *words, **options)
        assert done.returncode == 0, done.stderr
        return Spec(yaml.safe_load(done.stdout))

    def refused(self, *words, status=1, **options):
        """What `generate` reports where it prints no spec: lines without the program's name."""
        done = self.run("generate", *words, **options)
        assert (done.returncode, done.stdout) == (status, ""), done
        return lines(done)

    def published(self, path=PUBLISHED):
        """The published spec, or None."""
        place = self.path(path)
        return Spec(yaml.safe_load(place.read_text())) if place.exists() else None

    def identity(self, path=PUBLISHED):
        """What changes whenever the file is written."""
        seen = os.stat(self.path(path))
        return seen.st_ino, seen.st_mtime_ns, self.path(path).read_bytes()

    def shell(self, line, **options):
        return self.machine.run(["sh", "-ec", line], check=True, **options).stdout


def lines(done):
    """The messages without the program's name. Every line must begin with it: no tracebacks, no second lines."""
    said = done.stderr.splitlines()
    assert all(line.startswith("cdi-refreshd") for line in said), done.stderr
    return [line.partition(": ")[2] for line in said]


def state_of(done):
    """The state that the first line names."""
    return lines(done)[0].partition(":")[0]
