"""`cdi-refreshd run`: the daemon, in the foreground. systemd starts it; a terminal will do too."""

import gc
import sys

from cdi_refreshd import config
from cdi_refreshd.core.config.settings import AUTO, LOG_FORMATS
from cdi_refreshd.core.findings import Fault

DESCRIPTION = """Follow this host: publish its CDI spec, and again whenever GPUs, driver, MIG slices or the files that
containers need change. All settings come from the configuration; see cdi-refreshd config. Exit status: 0 stopped by a
signal, 1 failed, 78 the configuration is broken."""
BROKEN_CONFIGURATION = 78


def run(argv: list[str]) -> int:
    config_file, log_format = given(argv) if argv else (None, AUTO)
    try:
        loaded = config.load(config_file)
    except Fault as fault:
        print(f"cdi-refreshd: {fault}", file=sys.stderr)
        return BROKEN_CONFIGURATION
    import cdi_refreshd.probe.device_node_setup  # noqa: PLC0415
    import cdi_refreshd.probe.machine  # noqa: F401, PLC0415 - here once, not in each child: it saves it 30 ms
    from cdi_refreshd.daemon.service import Service  # noqa: PLC0415
    from cdi_refreshd.host.journal import Journal  # noqa: PLC0415

    # What exists now is never freed. Garbage is collected after each pass, and only what the pass made.
    gc.freeze()
    return Service(loaded, config_file, Journal(loaded.settings.log_level, log_format)).run()


def given(argv: list[str]) -> tuple[str | None, str]:
    """The configuration file and the log format."""
    from cdi_refreshd.command_line import Parser  # noqa: PLC0415 - argparse stays in memory, and systemd gives no options

    parser = Parser(prog="cdi-refreshd run", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--config-file", metavar="FILE", help="read only this configuration file")
    forms = "how to log (default: auto, for the journal): plain and json are for containers"
    parser.add_argument("--log-format", choices=LOG_FORMATS, default=AUTO, help=forms)
    parsed = parser.parse_args(argv)
    return parsed.config_file, parsed.log_format
