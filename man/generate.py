"""Writes cdi-refreshd.conf(5) from the table of keys: `python man/generate.py`."""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cdi_refreshd.core.config.schema import KEYS, SECTIONS, Key, shown
from cdi_refreshd.core.config.settings import Settings

HEAD = r""".\" Made by man/generate.py: `make generated`.
.Dd October 1, 2026
.Dt CDI-REFRESHD.CONF 5
.Os
.Sh NAME
.Nm cdi-refreshd.conf
.Nd configuration of cdi-refreshd
.Sh SYNOPSIS
.Bl -item -compact
.It
.Pa /etc/cdi-refreshd/cdi-refreshd.conf
.It
.Pa /etc/cdi-refreshd/cdi-refreshd.conf.d/*.conf
.El
.Sh DESCRIPTION
None is needed: every key has a default.
The files are found as
.Xr systemd 1
finds its own.
.Pa cdi-refreshd.conf
is read from
.Pa /etc/cdi-refreshd ,
else from
.Pa /run/cdi-refreshd ,
else from
.Pa /usr/lib/cdi-refreshd .
Then come the files
.Pa cdi-refreshd.conf.d/*.conf
of all three, in the order of their names; of two with the same name only the first counts, and
an empty file or a link to
.Pa /dev/null
masks the others.
.Pp
A line is
.Ql key = value
below its
.Ql [section] ;
a comment begins with
.Ql #
or
.Ql \&; .
Lists are separated by commas, and a key given again adds to them.
An empty value restores the default.
Spans of time are like
.Ql 300 , 5min , 500ms ;
without a unit they are seconds.
.Pp
An unknown key is reported with its file and line, and ignored.
A wrong value ends the program with status 78 at its start; on reload the running configuration stays.
.Ic cdi-refreshd config
shows what is in effect, and where each value comes from.
The command line and the environment variables of
.Ic nvidia-ctk cdi generate
take precedence over the files."""
TAIL = r""".Sh EXPECTED GPUS
.Cm expected\-gpus
is held against the NVIDIA GPUs on the PCI bus, by
.Ic oneshot ,
by
.Ic check
and by the daemon alike.
With fewer the state is
.Li degraded ,
or
.Li failed
where there is none at all.
.Bl -bullet -compact
.It
A GPU counts whatever has it: the nvidia driver, vfio\-pci for a virtual machine, another driver or none, and one that
the module excludes
.Pq Li NVreg_ExcludedGpus .
That it cannot be given to a container is reported in other words.
.It
A GPU that is cut into MIG slices is one.
.It
A virtual function
.Pq SR\-IOV
does not count, since its GPU does; one that was given to a virtual machine is a GPU there.
.It
Under WSL and on Tegra, where the GPU is not on the PCI bus, and where
.Pa /sys
cannot be read, nothing is compared.
.El
.Sh EXAMPLES
The driver is in a container, and tools look for the spec in
.Pa /etc/cdi :
.Bd -literal -offset indent
[generate]
driver-root = /run/nvidia/driver
dev-root = /

[output]
spec-dir = /etc/cdi
.Ed
.Pp
Without
.Cm dev\-root
the nodes would be those of the driver's container, whose
.Pa /dev
may have some that the host lacks, and lack some that it has.
.Pp
The service may write to
.Pa /etc/cdi
only if that is there when it starts: make the directory, then restart the service.
Any other directory that is not below
.Pa /run
needs
.Li ReadWritePaths=
in a drop-in of the unit, too.
.Sh SEE ALSO
.Xr cdi-refreshd 8"""


def page() -> Iterator[str]:
    yield HEAD
    for section in SECTIONS:
        yield f".Sh [{section}]"
        yield ".Bl -tag -width indent"
        for key in KEYS:
            if key.section == section:
                yield from _key(key)
        yield ".El"
    yield TAIL


def _key(key: Key) -> Iterator[str]:
    yield f".It Cm {_safe(key.name)}"
    yield _safe(key.help)
    default = shown(Settings(), key)
    if default:
        yield f"Default:\n.Ql {_safe(default)} ."


def _safe(text: str) -> str:
    """What mandoc would read as more than text: backslashes, dashes, and dots and quotes that begin a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = text.replace(". ", ".\n")  # a sentence, a line
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    for line in page():
        print(line)
