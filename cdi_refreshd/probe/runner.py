"""Starts the child that probes. It imports little: the parent goes on importing while the child works."""

import os
import time
from typing import TYPE_CHECKING

from cdi_refreshd.host.child import Child

if TYPE_CHECKING:
    from cdi_refreshd.core.findings import Finding
    from cdi_refreshd.probe.request import Request

WRITES_BELOW = ("/dev", "/proc", "/tmp", "/var/tmp")  # noqa: S108 - the unit gives it its own
"""Where the process with NVML may write: devices, and its own temporary files. Not /run."""
LIMIT_S = 60.0
"""For the whole probe. An 8-GPU host without persistence mode needs several seconds to initialise NVML."""

APART_S = 0.001
"""How long a parent sleeps after its fork. The kernel starts both on one CPU and lets the parent run on, so the child,
whose work takes longer, loses up to two ticks (of 4 ms, seen on an idle host). A parent that wakes gets another CPU."""


def start(request: "Request") -> Child:
    return Child(lambda: _probe(request))


class Prepared:
    """A child that imports what a probe needs while its request is still being parsed."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._child = Child(_probe_when_asked, reader)
        time.sleep(APART_S)
        os.close(reader)

    def ask(self, request: "Request") -> Child:
        from cdi_refreshd.core.nvidia.inventory import to_json  # noqa: PLC0415 - the child is at work meanwhile

        rest = memoryview(to_json(request))
        try:
            while rest:
                rest = rest[os.write(self._writer, rest) :]
        except BrokenPipeError:
            pass  # the child has died, and its exit status says how
        os.close(self._writer)
        self._writer = -1
        return self._child

    def close(self) -> None:
        """Ends the child if it was never asked, or did not answer."""
        if self._writer >= 0:
            os.close(self._writer)
        self._child.close()


class Waiting:
    """A started probe whose answer is waited for. See pipeline.Probe."""

    def __init__(self, child: Child, limit_s: float = LIMIT_S) -> None:
        self._child, self._limit_s = child, limit_s

    def answer(self) -> bytes:
        return self._child.answer(self._limit_s)

    def left(self) -> int:
        return self._child.end()


def _probe_when_asked() -> bytes:
    import json  # noqa: PLC0415 - with pynvml: only the child needs them

    from cdi_refreshd.core.nvidia.inventory import freeze  # noqa: PLC0415
    from cdi_refreshd.probe import machine  # noqa: F401, PLC0415
    from cdi_refreshd.probe.request import Request  # noqa: PLC0415

    with open(0, "rb", closefd=False) as pipe:
        text = pipe.read()
    return _probe(freeze(Request, json.loads(text))) if text else b""


def _probe(request: "Request") -> bytes:
    from cdi_refreshd.core.nvidia.inventory import to_json  # noqa: PLC0415
    from cdi_refreshd.probe import machine  # noqa: PLC0415

    made: tuple[Finding, ...] = ()
    if request.device_nodes != "no" or request.dev_char_links:
        from cdi_refreshd.probe import device_node_setup  # noqa: PLC0415 - generate does not need it

        made = device_node_setup.kept(request.choices.dev_root, request.device_nodes, request.dev_char_links)
    _confine()
    seen = machine.probe(request)
    # In a pod the runtimes are the host's, and are not asked.
    asks = seen.needs_groups and not request.choices.prefix
    if asks and "no-additional-gids-for-device-nodes" not in request.choices.feature_flags:
        from cdi_refreshd.probe import container_runtimes  # noqa: PLC0415 - few specs are of a version that matters

        seen = seen._replace(runtimes=container_runtimes.probe())
    return to_json(seen._replace(findings=(*seen.findings, *made)) if made else seen)


def _confine() -> None:
    """Before NVML is loaded. Only in the units' sandbox: elsewhere NVML may start nvidia-modprobe, which is setuid and
    whose writes we cannot foresee."""
    from cdi_refreshd.host import landlock, procfs  # noqa: PLC0415

    if procfs.no_new_privileges():
        landlock.change_only_below(WRITES_BELOW)
