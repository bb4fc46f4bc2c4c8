"""One hash of everything that a spec depends on except NVML: it decides whether to wake a sleeping GPU."""

import json

from cdi_refreshd import __version__
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import Presence
from cdi_refreshd.host import char_devices, pci, procfs, sha256
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe import files
from cdi_refreshd.probe.driver_libraries import versioned
from cdi_refreshd.probe.libraries import Libraries

MODES = ("auto", "nvml", "management")
"""The modes that use NVML and whose inputs are all hashed below."""
NODES = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/nvidia-caps-imex-channels/*", "/dev/dri/*")


def fingerprint(choices: Choices, seen: Presence, tree: Tree, libraries: Libraries, hook: HookProgram) -> str:
    """For hosts with a GPU that may sleep: elsewhere a probe costs nothing. "" if the spec has further inputs."""
    if choices.mode not in MODES or seen.tegra or seen.wsl:
        return ""
    dev_root = "" if choices.dev_root == "/" else choices.dev_root
    driver = versioned(libraries, "", seen.module_version, choices)
    driver = files.beside(tree, driver, choices, procfs.machine(), True)
    facts = (
        __version__,
        choices,
        [function._replace(suspended=False) for function in seen.functions],
        seen.module_version,
        driver,
        files.firmware(tree, driver.version, procfs.release(), procfs.firmware_path()) if driver.version else (),
        [node for pattern in NODES for node in char_devices.matching(dev_root + pattern)],
        [pci.drm_names(function.address) for function in seen.functions],
        procfs.mig_instances(),
        char_devices.links(
            f"{dev_root}/dev/dri/by-path/pci-{f.address}-{k}" for f in seen.functions for k in pci.BY_PATH
        ),
        hook,
    )
    return sha256.hexdigest(json.dumps(facts).encode())
