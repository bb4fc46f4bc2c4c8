"""`cdi-refreshd COMMAND`: finds the command, and turns faults into one line and an exit status."""

import io
import os
import sys
from typing import Any, NoReturn, TextIO

from cdi_refreshd.core.findings import Fault, UsageFault

COMMANDS = {
    "run": "the daemon: follow this host (systemd starts it)",
    "oneshot": "probe once, publish the spec, exit with the status of the host",
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
FAILED, USAGE, BROKEN_CONFIGURATION, INTERRUPTED = 1, 2, 78, 130


class Printed(io.FileIO):
    """Standard output."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise Fault("standard output", f"cannot be written: {error.strerror}") from None


class Messages(io.FileIO):
    """Standard error. That nobody gets a message is no reason not to publish."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or len(data)
        except OSError:
            return len(data)


def main() -> NoReturn:
    """Ends the process: taking the interpreter apart is not worth the time."""
    make_streams_usable()
    os._exit(run(sys.argv[1:]))


def make_streams_usable() -> None:
    """Also those that the caller has closed: else the next file gets their number, and what a library prints, and our
    messages go to standard output, into the spec."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            # What is printed to this stdout is an error, since a spec is missed; messages are not.
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for the whole life of the process
    # Always buffered: without it (PYTHONUNBUFFERED), what a full disk does not take is lost without an error.
    printed, messages = Printed(1, "w", closefd=False), Messages(2, "w", closefd=False)
    sys.stdout = _text(printed, sys.stdout, line_buffering=printed.isatty())
    sys.stderr = _text(messages, sys.stderr, line_buffering=True)


def _text(raw: io.FileIO, before: TextIO | None, line_buffering: bool) -> io.TextIOWrapper:
    encoding = before.encoding if before else "utf-8"
    # A terminal that cannot show a file's name is not an error.
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=line_buffering)


def run(argv: list[str]) -> int:
    """The exit status, with everything printed. No exception that has its cause outside of the program escapes."""
    status = 0
    try:
        status = status_of_command(argv)
        sys.stdout.flush()
    except Fault as fault:
        print(f"cdi-refreshd: {fault}", file=sys.stderr)
        return status or status_of(fault)
    except BrokenPipeError:  # the reader of our output is gone
        return status or FAILED
    except OSError as error:  # too little memory, processes, descriptors
        place = error.filename or "".join(argv[:1])
        print(f"cdi-refreshd: {Fault(str(place), error.strerror or type(error).__name__)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def status_of_command(argv: list[str]) -> int:
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
    if command not in COMMANDS:
        from cdi_refreshd.core.config.generate_options import nearest  # noqa: PLC0415
        from cdi_refreshd.core.findings import quoted  # noqa: PLC0415

        raise UsageFault(quoted(command), "there is no such command", nearest(command, tuple(COMMANDS)))
    name = command.replace("-", "_")
    commands = __import__("cdi_refreshd.commands", fromlist=[name])  # importlib would be one import more
    try:
        status: int = getattr(commands, name).run(argv[1:])
    except SystemExit as end:  # argparse has printed its help, or a mistake
        status = end.code if isinstance(end.code, int) else FAILED
    return status


def status_of(fault: Fault) -> int:
    if not isinstance(fault, UsageFault):
        return FAILED
    from cdi_refreshd.core.config.settings import BrokenConfiguration  # noqa: PLC0415 - only a mistake needs it

    return BROKEN_CONFIGURATION if isinstance(fault, BrokenConfiguration) else USAGE


def help_text() -> str:
    commands = "\n".join(f"  {command:<13} {text}" for command, text in COMMANDS.items())
    return f"usage: cdi-refreshd COMMAND [OPTION ...]\n\n{commands}\n\ncdi-refreshd COMMAND --help has its options."
