"""Configuration files of container runtimes, read and parsed. core/checks/runtime_config.py interprets them."""

import fnmatch
import importlib
import json
import os
from collections.abc import Iterable
from typing import Any

from cdi_refreshd.core.checks.container_runtimes import CARRIERS, INSTALLATIONS, Documents, drop_ins, files, in_order
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.host import regular_file

SIZE_LIMIT_BYTES = 4 << 20
FILES_AT_MOST = 64
KUBELET_RAN = "/var/lib/kubelet"
KUBELETS = ("/usr/bin/kubelet", "/usr/local/bin/kubelet", "/etc/kubernetes/kubelet.conf")


def carried() -> tuple[str, ...]:
    """The programs that run a containerd of their own here: k3s, rke2."""
    return tuple(name for name in CARRIERS if any(map(os.path.exists, INSTALLATIONS[name].files)))


def has_kubelet() -> bool:
    """A kubelet that uses the distribution's containerd. k3s and rke2 have their own built in."""
    return any(map(os.path.exists, KUBELETS)) or (os.path.exists(KUBELET_RAN) and not carried())


def documents(name: str, said: str) -> tuple[Documents, list[Finding]]:
    """Every existing file, followed by those that it imports, and what could not be read.

    `name` is of INSTALLATIONS, `said` what the program's `--version` said: releases differ in what they read.
    """
    waiting = in_order(name, said, every(files(name, said)))
    containerd = INSTALLATIONS[name].kind == "containerd"
    if containerd and not waiting:
        waiting = every(drop_ins(name, said, None))
    found: list[tuple[str, Any]] = []
    broken: list[Finding] = []
    seen: set[str] = set()
    while waiting and len(seen) < FILES_AT_MOST:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        try:
            data = parsed(path)
        except FileNotFoundError:
            continue
        except PermissionError:
            broken.append(Finding("info", path, "cannot be read by this user", "run as root"))
            continue
        except (OSError, ValueError, RecursionError) as error:
            why = " ".join(str(getattr(error, "strerror", None) or error).split())
            broken.append(Finding("degraded", path, f"is not readable ({why})", "correct it"))
            continue
        if containerd:
            patterns = drop_ins(name if not found else "", said, data)
            waiting += every(os.path.join(os.path.dirname(path), pattern) for pattern in patterns)
        found.append((path, data))
    return tuple(found), broken


def every(patterns: Iterable[str]) -> list[str]:
    """What is there; links that lead nowhere, too."""
    return [path for pattern in patterns for path in expanded(pattern) if os.path.lexists(path)]


def expanded(pattern: str) -> list[str]:
    directory, name = os.path.split(pattern)
    if not set("*?[") & set(name):
        return [pattern]
    try:
        return [
            os.path.join(directory, found) for found in sorted(os.listdir(directory)) if fnmatch.fnmatch(found, name)
        ]
    except OSError:
        return []


def parsed(path: str) -> Any:
    data = regular_file.read(path, SIZE_LIMIT_BYTES, follow_links=True)
    if path.endswith(".json"):
        return json.loads(data or b"{}")
    lines = [line for line in data.splitlines() if not line.lstrip().startswith(b"#")]
    if not any(word in line for line in lines for word in (b"cdi", b"imports", b"disabled_plugins", b"version")):
        return {}  # most files do not mention it; the parser costs more than the rest of the probe
    try:
        toml = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        toml = importlib.import_module("tomli")  # Python 3.10
    return toml.loads(data.decode())
