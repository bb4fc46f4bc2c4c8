"""`cdi-refreshd COMMAND`: finds the command, and turns faults into one line and an exit status."""

import io
import os
import sys
from typing import NoReturn

from cdi_refreshd.core.findings import Fault, UsageFault

COMMANDS = {
    "run": "the daemon: follow this host (systemd starts it)",
    "oneshot": "probe once, publish the spec, exit by what was found",
    "generate": "print a spec (the options of nvidia-ctk cdi generate)",
    "check": "are the published specs up to date? Of any vendor, without root",
    "diff": "what would change if the spec were published now",
    "validate": "is a file a valid CDI spec?",
    "list": "the devices that a container runtime would find, and where",
    "adopt": "move forgotten specs of the same devices aside, so that one is left",
    "status": "the daemon's last report on this host",
    "host-nodes": "make missing device nodes of the driver, and their links in /dev/char",
    "refresh": "make the daemon probe now, and wait until it has",
    "hold": "keep the daemon off the driver for a while, before rmmod or a GPU reset",
    "config": "the configuration in effect, and where each value comes from",
    "bundle": "one document with what a bug report needs, without private data",
    "install-units": "write the systemd units, for installations without a package",
}
FAILED, USAGE, BROKEN_CONFIGURATION = 1, 2, 78


def main() -> NoReturn:
    """Ends the process: taking the interpreter apart is not worth the time."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a file's name is not an error
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or FAILED
    os._exit(status)


def run(argv: list[str]) -> int:
    if argv[:1] == ["cdi"]:  # `nvidia-ctk cdi generate` with only its name changed
        argv = argv[1:]
    command = argv[0] if argv else ""
    if command in ("", "-h", "--help", "help"):
        print(help_text())
        return 0 if command else USAGE
    if command in ("-V", "--version", "version"):
        from cdi_refreshd import __version__  # noqa: PLC0415

        print(f"cdi-refreshd {__version__}")
        return 0
    try:
        if command not in COMMANDS:
            from cdi_refreshd.core.config.generate_options import nearest  # noqa: PLC0415
            from cdi_refreshd.core.findings import quoted  # noqa: PLC0415

            raise UsageFault(quoted(command), "there is no such command", nearest(command, tuple(COMMANDS)))
        name = command.replace("-", "_")
        commands = __import__("cdi_refreshd.commands", fromlist=[name])  # importlib would be one import more
        status: int = getattr(commands, name).run(argv[1:])
        return status
    except Fault as fault:
        print(f"cdi-refreshd: {fault}", file=sys.stderr)
        return status_of(fault)
    except BrokenPipeError:  # the reader of our output is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILED
    except KeyboardInterrupt:
        return 130


def status_of(fault: Fault) -> int:
    if not isinstance(fault, UsageFault):
        return FAILED
    from cdi_refreshd.core.config.settings import BrokenConfiguration  # noqa: PLC0415 - only a mistake needs it

    return BROKEN_CONFIGURATION if isinstance(fault, BrokenConfiguration) else USAGE


def help_text() -> str:
    commands = "\n".join(f"  {command:<13} {text}" for command, text in COMMANDS.items())
    return f"usage: cdi-refreshd COMMAND [OPTION ...]\n\n{commands}\n\ncdi-refreshd COMMAND --help has its options."
