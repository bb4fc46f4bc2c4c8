"""Do the container runtimes of this host read the spec directories, by their own configuration?

Source: containers.conf(5), containerd's CRI plugin (docs/cri/config.md), crio.conf(5), dockerd's daemon.json; what each
release does where nothing is configured is from its source.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cdi_refreshd.core.checks.runtime_versions import VERSION, shortened
from cdi_refreshd.core.findings import Finding

Release = tuple[int, ...]
Documents = tuple[tuple[str, Any], ...]
"""Path and content of each configuration file, in the order in which the runtime reads them: later ones win."""

PODMAN_FILE, CONTAINERD_FILE = "/etc/containers/containers.conf", "/etc/containerd/config.toml"
CRIO_FILE, DOCKER_FILE = "/etc/crio/crio.conf.d/10-cdi.conf", "/etc/docker/daemon.json"
# Which files hold the configuration of each, in rising order; only the last part of a pattern may have wildcards.
FILES = {
    "podman": ("/usr/share/containers/containers.conf", PODMAN_FILE, "/etc/containers/containers.conf.d/*.conf"),
    "containerd": (CONTAINERD_FILE,),
    "crio": ("/etc/crio/crio.conf", "/etc/crio/crio.conf.d/*"),
    "dockerd": (DOCKER_FILE,),
}
CRI_TABLES = ("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime")
"""Of containerd 1.7 and 2.x; 2.x reads both."""
DEFAULTS = ("/etc/cdi", "/var/run/cdi")


class Engine(NamedTuple):
    name: str
    said: str = ""
    """What `--version` said, "" where it said nothing."""
    documents: Documents = ()
    broken: tuple[Finding, ...] = ()
    """Files that could not be read."""
    serves: bool = True
    """Somebody here uses it for containers with devices: false for a containerd without a kubelet."""

    @property
    def release(self) -> Release:
        """() where unknown."""
        found = VERSION.search(self.said)
        return tuple(int(part or 0) for part in found.groups()) if found else ()


def problems(engines: Iterable[Engine], directories: tuple[str, ...], real: dict[str, str]) -> list[Finding]:
    """`directories` are those with specs in them, `real` the real path of each directory that anybody names."""
    found: list[Finding] = []
    for engine in engines:
        found += engine.broken
        found += JUDGES[engine.name](engine, [*map(canonical(real), directories)], real)
    return found


def canonical(real: dict[str, str]) -> Any:
    return lambda path: real.get(path.rstrip("/"), path.rstrip("/"))


def dig(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def last(documents: Documents, *keys: str) -> tuple[Any, str]:
    """The value that wins, and its file; None and "" where nobody sets it."""
    found = [(value, path) for path, data in documents if (value := dig(data, *keys)) is not None]
    return found[-1] if found else (None, "")


def strings(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def named(engine: Engine) -> str:
    return shortened(engine.said) or engine.name


def lacking(directories: list[str], read: Iterable[str], real: dict[str, str]) -> list[str]:
    known = set(map(canonical(real), read))
    return [path for path in directories if path not in known]


def unread(engine: Engine, lacks: list[str], file: str, line: str, severity: str = "degraded") -> Iterator[Finding]:
    if lacks:
        yield Finding(severity, named(engine), f"does not read {' and '.join(lacks)}", f"in {file}: {line}")


def with_defaults(configured: list[str] | None) -> str:
    """A list in TOML and JSON: what is configured, and the usual directories behind it."""
    wanted = [*(configured or ()), *(path for path in DEFAULTS if path not in (configured or ()))]
    return "[" + ", ".join(f'"{path}"' for path in wanted) + "]"


def podman(engine: Engine, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    configured: list[str] | None = None
    file = PODMAN_FILE
    for path, data in engine.documents:
        value = dig(data, "engine", "cdi_spec_dirs")
        if isinstance(value, list):
            more = any(isinstance(item, dict) and item.get("append") is True for item in value)
            configured, file = [*((configured or []) if more else []), *(strings(value) or [])], path
    old = engine.release and engine.release < (5, 5)  # it does not know the key
    regression = (5, 5) <= engine.release < (5, 6)
    reads = DEFAULTS if old or configured is None else tuple(configured)
    reads = DEFAULTS[:1] if regression and configured is None else reads
    line = f"[engine] cdi_spec_dirs = {with_defaults(None if old else configured)}"
    yield from unread(engine, lacking(directories, reads, real), file, line)


def containerd(engine: Engine, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    disabled = [name for path, data in engine.documents for name in strings(dig(data, "disabled_plugins")) or ()]
    if any(name == "cri" or name in CRI_TABLES for name in disabled):
        return  # as Docker's packages have it: nobody asks it for devices
    severity = "degraded" if engine.serves else "info"
    new = not engine.release or engine.release >= (2, 0)
    table = (
        CRI_TABLES[1] if new and not any(dig(data, "version") == 2 for _, data in engine.documents) else CRI_TABLES[0]
    )
    enabled, where = None, CONTAINERD_FILE
    reads: list[str] | None = None
    for name in CRI_TABLES if new else CRI_TABLES[:1]:
        value, path = last(engine.documents, "plugins", name, "enable_cdi")
        enabled, where = (value, path) if value is not None else (enabled, where)
        value, path = last(engine.documents, "plugins", name, "cdi_spec_dirs")
        reads, where = (strings(value), path) if value is not None else (reads, where)
    if engine.release and engine.release < (1, 7):
        yield Finding(severity, named(engine), "knows no CDI", "update it to 1.7 or later")
    elif not (new if enabled is None else enabled is True):
        line = f'[plugins."{table}"] enable_cdi = true'
        yield Finding(severity, named(engine), "has CDI turned off", f"in {where}: {line}; then restart it")
    else:
        lacks = lacking(directories, DEFAULTS if reads is None else reads, real)
        line = f'[plugins."{table}"] cdi_spec_dirs = {with_defaults(reads)}; then restart it'
        yield from unread(engine, lacks, where, line, severity)


def crio(engine: Engine, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    value, path = last(engine.documents, "crio", "runtime", "cdi_spec_dirs")
    reads = strings(value)
    line = f"[crio.runtime] cdi_spec_dirs = {with_defaults(reads)}; then systemctl reload crio"
    yield from unread(engine, lacking(directories, DEFAULTS if reads is None else reads, real), path or CRIO_FILE, line)


def dockerd(engine: Engine, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    enabled, _ = last(engine.documents, "features", "cdi")
    value, _ = last(engine.documents, "cdi-spec-dirs")
    reads = strings(value)
    by_default = not engine.release or engine.release >= (28, 2)
    if engine.release and engine.release < (25, 0):
        yield Finding("degraded", named(engine), "knows no CDI", "update it to 25 or later")
    elif not (by_default if enabled is None else enabled is True):
        fact = "has CDI turned off"
        yield Finding(
            "degraded", named(engine), fact, f'in {DOCKER_FILE}: "features": {{"cdi": true}}; then restart it'
        )
    else:
        lacks = lacking(directories, reads or DEFAULTS, real)
        wanted = with_defaults([path for path in reads or () if path])
        yield from unread(engine, lacks, DOCKER_FILE, f'"cdi-spec-dirs": {wanted}; then restart it')


JUDGES = {"podman": podman, "containerd": containerd, "crio": crio, "dockerd": dockerd}
RUNC_NEEDS_NO_LINKS, SYSTEMD_NEEDS_NO_LINKS = (1, 1, 7), 240


def links_needed(runc: Release, systemd: int) -> str:
    """Why runc, under systemd's cgroup driver, needs a link in /dev/char for each node; "" where it does not.

    runc before 1.1.7 passes systemd only devices that have one. systemd before 240 resolves the link itself.
    """
    if not runc:
        return ""
    if runc < RUNC_NEEDS_NO_LINKS:
        return f"runc {'.'.join(map(str, runc))}"
    return f"systemd {systemd}" if 0 < systemd < SYSTEMD_NEEDS_NO_LINKS else ""
