"""A made-up GPU machine to run commands in; by hand, as root, `python -m tests.machine CASE.json -- COMMAND`.

    with booted({"gpus": [{"drm": [1, 128]}, {"mig": [[1, 0]]}]}) as machine:
        machine.run(["cdi-refreshd", "oneshot"])
        machine.path("/dev/nvidia1").unlink()
        machine.run(["cdi-refreshd", "oneshot"])

It has this host's programs and their libraries. Everything that cdi-refreshd inspects comes from the case alone:
container runtimes and their configuration, spec directories, the driver's files and units, the loader's cache and
configuration, locale (hidden.py has the list).

A case is a dict (or JSON). Every key may be left out:

| key | holds |
|---|---|
| `gpus` | a dict for each GPU, see below |
| `driver` | the driver's version |
| `files`, `files_version`, `layout`, `driver_root` | false: no driver files; their version; `debian`, `debian-alternatives`, `rhel`, `arch`, `cache`; the directory that has them |
| `remove`, `add`, `links`, `path_bins` | globs of driver files to leave out; path to text; path to target; paths of executables |
| `nodes`, `extra_nodes`, `dev_root` | which of `ctl modeset uvm uvm-tools caps`; name below /dev to [major, minor]; the directory that has `dev` |
| `uvm_major`, `caps_major`, `drm_mode`, `drm_gid` | numbers; the mode in octal as text |
| `no_module`, `module_version`, `version_file` | no kernel module; the module's version where it differs; true: a module though there is no GPU |
| `unbound` | PCI functions that NVIDIA's driver does not use: {"bdf", "driver": "vfio-pci" or none, "class", "runtime_status"} |
| `sockets` | paths of sockets |
| `nvml` | further lines for the stand-in library, see nvml.c |
| `host_runtimes` | names of this host's container runtimes that are not hidden, such as `podman`; their configuration is |

A document of `cdi-refreshd bundle` is a case, too: the machine of the report.

A GPU: `minor`, `bdf`, `uuid`, `name`, `addressing`, `node` (false: no /dev/nvidiaN), `mode`, `gid`, `drm` [card, render],
`control` (names of further DRM nodes), `mig` ([gi, ci] or [gi, ci, profile] each; [] for MIG mode without instances),
`mig_uuids`, `mig_nodes` (false: no nodes for them), `runtime_status` (the content of /sys/.../power).
"""  # noqa: E501

from .machine import Machine, booted, missing, run_in
from .namespace import CannotBoot

__all__ = ["CannotBoot", "Machine", "booted", "missing", "run_in"]
