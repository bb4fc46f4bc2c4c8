"""The settings and their defaults. core/config/schema.py reads them from files, which most hosts do not have."""

from typing import NamedTuple

from cdi_refreshd.core.cdi.spec_places import OUR_SPEC
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import below
from cdi_refreshd.core.findings import UsageFault

KEEP_WHILE_VALID, KEEP, WITHDRAW = "keep-while-valid", "keep", "withdraw"
ON_MISMATCH = (KEEP_WHILE_VALID, KEEP, WITHDRAW)
LOG_LEVELS = {"error": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
"""Log level -> syslog priority."""

AUTO, PLAIN, JSON, JOURNAL = LOG_FORMATS = ("auto", "plain", "json", "journal")
"""How `run` logs. auto: to journald where stderr is the journal, else to stderr, with `<N>` before each line, or the
program's name on a terminal. plain: the level's name before it. json: one object for each line. journal: to journald,
whatever stderr is."""


class BrokenConfiguration(UsageFault):
    """Its place is `file:line`, or a file or directory: exit status 78."""


class HiddenConfiguration(BrokenConfiguration):
    """This user may not read it; whether it is broken is unknown."""


class Settings(NamedTuple):
    choices: Choices = Choices(driver_root="", dev_root="")
    """An empty root: not configured. Then options.choices takes the container toolkit's, or /."""
    output: str = OUR_SPEC
    format: str = "yaml"
    on_mismatch: str = KEEP_WHILE_VALID
    """What becomes of the spec while the loaded module and the libraries are of different versions."""
    settle_s: float = 0.05
    settle_at_most_s: float = 0.5
    probe_limit_s: float = 60.0
    retry_first_s: float = 0.5
    retry_at_most_s: float = 60.0
    sweep_s: float = 300.0
    mig_poll_s: float = 3.0
    ready_wait_s: float = 10.0
    """How long READY=1 waits for a driver where NVIDIA hardware is present."""
    log_level: int = LOG_LEVELS["info"]
    """A syslog priority: less important lines (higher numbers) are not logged."""
    device_nodes: str = "auto"
    """Whether missing device nodes of the driver are made: yes, no, or auto, which the process that probes decides."""
    dev_char_links: bool = True
    prefix: str = ""
    """Where the host's / is; "" if it is our own. All other paths here are the host's."""
    expected_gpus: int = 0
    """How many NVIDIA GPUs the host should have; 0: not configured."""
    textfile: str = ""
    """The metrics file; "" for none. The path is our own, whatever the prefix."""
    metric_uuids: bool = False
    nfd_features: str = ""
    """The file of labels for Node Feature Discovery; "" for none. The path is our own."""

    @property
    def here(self) -> Choices:
        """The choices, with the host's paths as they are here."""
        return below(self.choices, self.prefix)
