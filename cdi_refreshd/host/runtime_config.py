"""Configuration files of container runtimes, read and parsed. What they mean is core/checks/runtime_config.py's."""

import fnmatch
import importlib
import json
import os
from typing import Any

from cdi_refreshd.core.checks.runtime_config import Documents
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.host import regular_file

SIZE_LIMIT_BYTES = 4 << 20
IMPORTS_AT_MOST = 64
KUBELETS = ("/var/lib/kubelet", "/usr/bin/kubelet", "/usr/local/bin/kubelet", "/etc/kubernetes/kubelet.conf")


def has_kubelet() -> bool:
    return any(map(os.path.exists, KUBELETS))


def documents(patterns: tuple[str, ...]) -> tuple[Documents, list[Finding]]:
    """Every file that is there, with those that it imports behind it, and what could not be read."""
    waiting = [path for pattern in patterns for path in expanded(pattern)]
    found: list[tuple[str, Any]] = []
    broken: list[Finding] = []
    seen: set[str] = set()
    while waiting and len(seen) < IMPORTS_AT_MOST:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        try:
            data = parsed(path)
        except FileNotFoundError:
            continue
        except PermissionError:
            broken.append(Finding("info", path, "cannot be read by you", "probe as root"))
            continue
        except (OSError, ValueError, RecursionError) as error:
            why = " ".join(str(error).split())
            broken.append(Finding("degraded", path, f"is not readable ({why})", "correct it"))
            continue
        found.append((path, data))
        imports = data.get("imports") if isinstance(data, dict) else None
        for pattern in imports if isinstance(imports, list) else ():
            waiting += expanded(os.path.join(os.path.dirname(path), str(pattern)))
    return tuple(found), broken


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
    if not any(word in line for line in lines for word in (b"cdi", b"imports", b"disabled_plugins")):
        return {}  # most files say nothing of what is asked; the parser costs more than the rest of the probe
    try:
        toml = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        toml = importlib.import_module("tomli")  # Python 3.10
    return toml.loads(data.decode())
