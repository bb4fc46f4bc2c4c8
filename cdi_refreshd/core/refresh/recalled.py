"""What one process leaves for the next of its result. Read early, so it imports almost nothing."""

from typing import NamedTuple

from cdi_refreshd.core.findings import Finding


class Recalled(NamedTuple):
    """The verdict of a pass without the effects of other specs: it is valid until its inputs change."""

    state: str = ""
    reason: str = ""
    findings: tuple[Finding, ...] = ()
    in_reason: tuple[Finding, ...] = ()
