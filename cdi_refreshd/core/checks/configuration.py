"""cdi-refreshd's own configuration: a mistake in it shows at the next start of the daemon, perhaps the next boot."""

from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.findings import Finding


def broken(fault: Finding) -> RuleFinding:
    return found("configuration", fault.place, f"{fault.fact}: the daemon does not start with it", fault.hint)
