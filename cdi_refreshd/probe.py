"""Starts the child that looks at the machine. Imports little: whoever asks goes on importing while the child looks."""

from cdi_refreshd.host.child import Child
from cdi_refreshd.look.request import Request

LIMIT_S = 60.0
"""For the whole look. An 8-GPU host without persistence mode needs several seconds to initialise NVML."""


def start(request: Request) -> Child:
    return Child(lambda: _look(request))


def _look(request: Request) -> bytes:
    from cdi_refreshd.core.inventory import to_json  # noqa: PLC0415 - with pynvml: only the child needs them
    from cdi_refreshd.look import machine  # noqa: PLC0415

    return to_json(machine.look(request))
