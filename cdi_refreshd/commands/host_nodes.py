"""`cdi-refreshd host-nodes`: make the driver's device nodes and their links in /dev/char, as the daemon does."""

import sys

from cdi_refreshd import config
from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.findings import printable
from cdi_refreshd.core.nvidia.device_node_plan import LEAVE
from cdi_refreshd.probe import device_node_setup

DESCRIPTION = """Make the device nodes of the NVIDIA driver that are missing, with the numbers, modes and owners that
it reports, and keep their links in /dev/char. Loads no module, and follows no symbolic link. This does both whatever
[host] in the configuration says; dev-root is the configuration's. Exit status: 0 all is in order now (with --dry-run:
would be); 1 something could not be done, or is in the way; 2 usage; 78 the configuration is broken."""
FAILED = 1
NOTHING = "nothing to do"


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd host-nodes", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--dry-run", "-n", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument("--config-file", metavar="FILE", help="read only this configuration file")
    parsed = parser.parse_args(argv)
    dev_root = config.load(parsed.config_file).settings.here.dev_root
    if parsed.dry_run:
        actions = device_node_setup.planned(dev_root, True, True)
        for action in actions:
            print(printable(str(action)))
        if not actions:
            print(NOTHING)
        return FAILED if any(action.do == LEAVE for action in actions) else 0
    done = device_node_setup.ordered(dev_root, True, True)
    for one in done:
        if one.fault or one.action.do == LEAVE:
            print(f"cdi-refreshd: {device_node_setup.finding(one)}", file=sys.stderr)
        else:
            print(printable(f"{one.action.path}: {one.action.past()}"))
    if not done:
        print(NOTHING)
    return FAILED if any(one.fault or one.action.do == LEAVE for one in done) else 0
