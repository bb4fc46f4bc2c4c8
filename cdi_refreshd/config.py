"""Finds and reads the configuration files, in the places and the order that systemd's own have."""

import glob
import os
import stat
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cdi_refreshd import options
from cdi_refreshd.core.config.settings import BrokenConfiguration, HiddenConfiguration, Settings
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.host import regular_file
from cdi_refreshd.host.regular_file import NotRegular

if TYPE_CHECKING:
    from cdi_refreshd.core.refresh.watch_list import Watch

ROOTS = ("/etc/cdi-refreshd", "/run/cdi-refreshd", "/usr/lib/cdi-refreshd")
"""The first one wins: the administrator's, the runtime's, the vendor's."""
NAME, DROP_INS, ENDING = "cdi-refreshd.conf", "cdi-refreshd.conf.d", ".conf"
VARIABLE = "CDI_REFRESHD_CONFIG"
SIZE_LIMIT_BYTES = 1 << 20
TOOLKIT = "the NVIDIA container toolkit's configuration"


class Loaded(NamedTuple):
    settings: Settings
    origins: dict[str, str]
    """By key: `file:line`, or an environment variable, or "default". Empty where nothing was read."""
    findings: tuple[Finding, ...] = ()
    files: tuple[str, ...] = ()
    """What was read, in this order."""


def load(file: str | None = None, roots: Sequence[str] = ROOTS) -> Loaded:
    """What is in effect without a command line: the files, then the environment. Raises UsageFault."""
    from cdi_refreshd.core.config.schema import BY_NAME, DEFAULT, KEYS  # noqa: PLC0415 - see read

    said, origins, findings, files = read(file, roots)
    origins = {key.name: origins.get(key.name, DEFAULT) for key in KEYS}
    choices = options.choices(None, said.choices)
    path, form, warning = options.destination(None, said.output)
    for field, variable in options.variables().items():
        origins |= {key.name: variable for key in KEYS if key.field == field}
    for key, fallback in (("driver-root", TOOLKIT), ("dev-root", "driver-root")):
        if origins[key] == DEFAULT and getattr(choices, BY_NAME[key].field) != "/":
            origins[key] = fallback
    warnings = (Finding("info", options.FORMAT_VARIABLE, warning),) if warning else ()
    settings = said._replace(choices=choices, output=path, format=form)
    return Loaded(settings, origins, (*findings, *warnings), files)


def read(file: str | None = None, roots: Sequence[str] = ROOTS) -> Loaded:
    """The files' values, for a command whose options and environment override them. Raises BrokenConfiguration.

    `file`, or else the one that CDI_REFRESHD_CONFIG names, is then the only one.
    """
    only = file or os.environ.get(VARIABLE, "")
    files = (only,) if only else (*_first(roots), *_drop_ins(roots))
    if not files:
        return Loaded(Settings(), {})
    from cdi_refreshd.core.config.schema import parse  # noqa: PLC0415 - few hosts have a configuration, and it costs 2 ms

    settings, origins, findings = parse([(path, _text(path, named=bool(only))) for path in files])
    return Loaded(settings, origins, tuple(findings), files)


def directories(file: str | None = None, roots: Sequence[str] = ROOTS) -> tuple[str, ...]:
    """Where a change may be one of the configuration, if `is_configuration` agrees: the daemon's own files are in
    one of them."""
    only = file or os.environ.get(VARIABLE, "")
    if only:
        return (os.path.dirname(os.path.abspath(only)),)
    return tuple(path for root in roots for path in (root, f"{root}/{DROP_INS}"))


def watches(file: str | None = None) -> "tuple[Watch, ...]":
    """For the one file, which may have any name."""
    from cdi_refreshd.core.refresh.event import Kind  # noqa: PLC0415 - for the daemon alone
    from cdi_refreshd.core.refresh.watch_list import Watch  # noqa: PLC0415

    only = file or os.environ.get(VARIABLE, "")
    directory, name = os.path.split(os.path.abspath(only))
    return (Watch(directory, (glob.escape(name),), Kind.CONFIGURATION),) if only else ()


def is_configuration(path: str, file: str | None = None) -> bool:
    """Of something in one of the `directories`."""
    only = file or os.environ.get(VARIABLE, "")
    if only:
        return path == os.path.abspath(only)
    directory, name = os.path.split(path)
    return name in (NAME, DROP_INS) or (os.path.basename(directory) == DROP_INS and _is_drop_in(name))


def _first(roots: Sequence[str]) -> list[str]:
    """The main file, if there is any. A dangling link counts: reading it gives the error."""
    return [path for path in (f"{root}/{NAME}" for root in roots) if os.path.lexists(path)][:1]


def _drop_ins(roots: Sequence[str]) -> list[str]:
    """By name; of two with the same name only the one in the earlier root. So an empty one masks the others."""
    found: dict[str, str] = {}
    for root in reversed(roots):
        directory = f"{root}/{DROP_INS}"
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(error)(directory, f"cannot be read: {error.strerror}") from None
        found |= {name: f"{directory}/{name}" for name in names if _is_drop_in(name)}
    return [found[name] for name in sorted(found)]


def _is_drop_in(name: str) -> bool:
    """Editors keep their own files beside ours, with a dot before the name or a suffix after it."""
    return name.endswith(ENDING) and not name.startswith(".")


def _text(path: str, named: bool) -> str:
    """The file's text; nothing for /dev/null, which is how one masks a file."""
    data = _data(path, "name a file, or /dev/null for none" if named else "remove it, or link it to /dev/null")
    if len(data) > SIZE_LIMIT_BYTES:
        raise BrokenConfiguration(path, f"has more than {SIZE_LIMIT_BYTES} bytes", "it is not a configuration file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BrokenConfiguration(f"{path}:{line}", f"byte {data[error.start]:#x} is not UTF-8") from None


def _data(path: str, hint: str) -> bytes:
    """`hint`: what to do where it is no regular file."""
    try:
        return regular_file.start(path, SIZE_LIMIT_BYTES + 1, follow_links=True)
    except NotRegular as error:
        if stat.S_ISCHR(error.status.st_mode) and error.status.st_rdev == os.makedev(1, 3):
            return b""
        raise BrokenConfiguration(path, str(error.strerror), hint) from None
    except (OSError, ValueError) as error:
        hint = "the symbolic link leads nowhere: remove it" if os.path.islink(path) else ""
        raise _unreadable(error)(path, f"cannot be read: {getattr(error, 'strerror', None) or error}", hint) from None


def _unreadable(error: OSError | ValueError) -> type[BrokenConfiguration]:
    return HiddenConfiguration if isinstance(error, PermissionError) else BrokenConfiguration
