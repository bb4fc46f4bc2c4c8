"""Who else defines our devices, or would: conflicts, forgotten specs, NVIDIA's own units. Not asked at each look.

In a child, since other people's specs take a parser and memory that the daemon has no other use for.
"""

import json

from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.inventory import freeze, to_json
from cdi_refreshd.core.registry import DEFAULT_DIRECTORIES, definitions
from cdi_refreshd.host.child import Child

LIMIT_S = 5.0
"""The daemon waits for it."""


def findings() -> tuple[Finding, ...]:
    """What there is to tell, or why nobody could look."""
    try:
        answer = Child(_look).answer(LIMIT_S)
    except (Fault, OSError) as error:
        return (Finding("info", "other specs", f"cannot be looked at: {error}"),)
    found: tuple[Finding, ...] = freeze(tuple[Finding, ...], json.loads(answer))
    return found


def _look() -> bytes:
    from cdi_refreshd import checking, specdirs  # noqa: PLC0415 - the parent is to stay small
    from cdi_refreshd.core import checked  # noqa: PLC0415

    directories = list(DEFAULT_DIRECTORIES)
    loaded = specdirs.load(directories)
    known = definitions(loaded.files)
    found = [*checked.conflicts(known), *checking.one_place(loaded, known, directories)]
    return to_json(tuple(one.finding for one in found))
