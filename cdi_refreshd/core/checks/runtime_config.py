"""Do the container runtimes of this host read the spec directories, by their own configuration?

The defaults of each release are from its source, or were measured.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks.container_runtimes import CARRIERS, INSTALLATIONS, Documents, Release, Runtime
from cdi_refreshd.core.checks.runtime_versions import first_release, reads_none
from cdi_refreshd.core.findings import Finding

CRI_TABLES = ("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime")
"""Of containerd 1.7 and 2.x; 2.x reads both."""
DEFAULTS = SPEC_DIRECTORIES
PODMAN_KNOWS_THE_KEY, PODMAN_READS_BOTH, PODMAN_BUILDS_WITH_CDI = (5, 5), (5, 6), (5, 1)
BUILD_UNREAD = "podman build --device before 5.5 reads only /etc/cdi"


def problems(runtimes: Iterable[Runtime], directories: tuple[str, ...], real: dict[str, str]) -> list[Finding]:
    """`directories` are those with specs in them, `real` the real path of each directory in any configuration."""
    found: list[Finding] = []
    for runtime in runtimes:
        found += runtime.broken
        if reads_none(runtime):
            oldest = ".".join(map(str, first_release(runtime.kind)))
            found.append(
                Finding(severity(runtime), runtime.place, "has no CDI support", f"update it to {oldest} or later")
            )
        else:
            found += JUDGES[runtime.kind](runtime, [*map(canonical(real), directories)], real)
    return found


def severity(runtime: Runtime) -> str:
    return "degraded" if runtime.serves else "info"


def canonical(real: dict[str, str]) -> Callable[[str], str]:
    return lambda path: real.get(path.rstrip("/"), path.rstrip("/"))


def dig(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


def last(documents: Documents, *keys: str) -> tuple[Any, str]:
    """The value that wins, and its file; None and "" if no file sets it."""
    found = [(value, path) for path, data in documents if (value := dig(data, *keys)) is not None]
    return found[-1] if found else (None, "")


def strings(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def lacking(directories: list[str], read: Iterable[str], real: dict[str, str]) -> list[str]:
    known = set(map(canonical(real), read))
    return [path for path in directories if path not in known]


def unread(runtime: Runtime, lacks: list[str], file: str, line: str) -> Iterator[Finding]:
    if lacks:
        fact = f"does not read {' and '.join(lacks)}"
        yield Finding(severity(runtime), runtime.place, fact, f"in {file}: {line}{restarted(runtime)}")


def restarted(runtime: Runtime) -> str:
    return "" if runtime.kind == "podman" else f"; then {INSTALLATIONS[runtime.name].restart}"


def with_defaults(configured: Iterable[str] | None) -> str:
    """A list in TOML and JSON: what is configured, then the default directories."""
    wanted = dict.fromkeys((*filter(None, configured or ()), *DEFAULTS))
    return "[" + ", ".join(f'"{path}"' for path in wanted) + "]"


def podman(runtime: Runtime, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    release = runtime.release
    old = bool(release) and release < PODMAN_KNOWS_THE_KEY
    regression = PODMAN_KNOWS_THE_KEY <= release < PODMAN_READS_BOTH
    configured, file = podman_directories(runtime.documents, DEFAULTS[:1] if regression else DEFAULTS)
    reads = DEFAULTS if old else configured
    own = None if old else [path for path in configured if path not in DEFAULTS]
    place = file or INSTALLATIONS["podman"].edited
    line = f"[engine] cdi_spec_dirs = {with_defaults(own)}"
    yield from unread(runtime, lacking(directories, reads, real), place, line)
    if PODMAN_BUILDS_WITH_CDI <= release < PODMAN_KNOWS_THE_KEY:
        builds = podman_directories(runtime.documents, DEFAULTS[:1])[0]
        if lacking(directories, builds, real):
            yield Finding("info", runtime.place, BUILD_UNREAD, f"in {place}: {line}")


def podman_directories(documents: Documents, defaults: Iterable[str]) -> tuple[list[str], str]:
    """The directories, and the last file that sets them. `{append = true}` in a list applies to later files, too."""
    found, file, appends = list(defaults), "", False
    for path, data in documents:
        value = dig(data, "engine", "cdi_spec_dirs")
        if not isinstance(value, list):
            continue
        said = [item["append"] for item in value if isinstance(item, dict) and isinstance(item.get("append"), bool)]
        appends = said[-1] if said else appends
        found, file = [*(found if appends else []), *(strings(value) or [])], path
    return found, file


def containerd(runtime: Runtime, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    disabled = [name for _, data in runtime.documents for name in strings(dig(data, "disabled_plugins")) or ()]
    if any(name == "cri" or name in CRI_TABLES for name in disabled):
        return  # as in Docker's packages: it is not asked for devices
    yield from refused_drop_ins(runtime)
    release = runtime.release
    new = not release or release >= (2, 0)
    versions = [dig(data, "version") for _, data in runtime.documents]
    table = CRI_TABLES[1] if new and 2 not in versions else CRI_TABLES[0]
    enabled, where = None, ""
    reads: list[str] | None = None
    for name in CRI_TABLES if new else CRI_TABLES[:1]:
        value, path = last(runtime.documents, "plugins", name, "enable_cdi")
        enabled, where = (value, path) if value is not None else (enabled, where)
        value, path = last(runtime.documents, "plugins", name, "cdi_spec_dirs")
        reads, where = (strings(value), path) if value is not None else (reads, where)
    file = containerd_file(runtime, where, new)
    if not (new if enabled is None else enabled is True):
        line = f'[plugins."{table}"] enable_cdi = true{restarted(runtime)}'
        yield Finding(severity(runtime), runtime.place, "has CDI turned off", f"in {file}: {line}")
    else:
        lacks = lacking(directories, DEFAULTS if reads is None else reads, real)
        yield from unread(runtime, lacks, file, f'[plugins."{table}"] cdi_spec_dirs = {with_defaults(reads)}')


def containerd_file(runtime: Runtime, where: str, new: bool) -> str:
    """The file to edit. k3s and rke2 generate theirs at each start, from a template."""
    installation = INSTALLATIONS[runtime.name]
    if runtime.name in CARRIERS and where in ("", *installation.files):
        return f"{installation.edited}/{'config-v3.toml.tmpl' if new else 'config.toml.tmpl'}"
    return where or installation.edited


def refused_drop_ins(runtime: Runtime) -> Iterator[Finding]:
    """containerd does not start with a drop-in whose version is above that of the first file that has one."""
    root: tuple[str, int] | None = None
    for path, data in runtime.documents:
        version = dig(data, "version")
        if not isinstance(version, int) or not version:
            continue
        root = root or (path, version)
        if version > root[1]:
            fact = f"has version {version}, and {root[0]} has {root[1]}: containerd refuses such a drop-in"
            hint = f"write it for version {root[1]}, or migrate the other: containerd config migrate"
            yield Finding(severity(runtime), path, fact, hint)


def crio(runtime: Runtime, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    value, path = last(runtime.documents, "crio", "runtime", "cdi_spec_dirs")
    reads = strings(value)
    lacks = lacking(directories, DEFAULTS if reads is None else reads, real)
    line = f"[crio.runtime] cdi_spec_dirs = {with_defaults(reads)}"
    yield from unread(runtime, lacks, path or INSTALLATIONS["crio"].edited, line)


def dockerd(runtime: Runtime, directories: list[str], real: dict[str, str]) -> Iterator[Finding]:
    enabled, _ = last(runtime.documents, "features", "cdi")
    reads = strings(last(runtime.documents, "cdi-spec-dirs")[0])
    by_default = not runtime.release or runtime.release >= (28, 2)
    file = INSTALLATIONS[runtime.name].edited
    if not (by_default if enabled is None else enabled is True):
        hint = f'in {file}: "features": {{"cdi": true}}{restarted(runtime)}'
        yield Finding(severity(runtime), runtime.place, "has CDI turned off", hint)
    else:
        lacks = lacking(directories, DEFAULTS if reads is None else reads, real)
        yield from unread(runtime, lacks, file, f'"cdi-spec-dirs": {with_defaults(reads)}')


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
