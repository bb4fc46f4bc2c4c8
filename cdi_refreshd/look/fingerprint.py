"""Everything that a spec depends on, but for NVML's word, as one hash: whether to wake a sleeping GPU is told by it."""

import hashlib
import json

from cdi_refreshd import __version__
from cdi_refreshd.core.choices import Choices
from cdi_refreshd.core.inventory import Presence
from cdi_refreshd.host import kernel, nodes, pci
from cdi_refreshd.host.tree import Tree
from cdi_refreshd.look import files
from cdi_refreshd.look.libraries import Libraries, versioned

NODES = ("/dev/nvidia*", "/dev/nvidia-caps/*", "/dev/dri/*")


def fingerprint(choices: Choices, seen: Presence, tree: Tree, libraries: Libraries) -> str:
    """ "" where no GPU may sleep: then there is nothing to spare, and the look is the better answer."""
    if not any(function.may_suspend for function in seen.functions):
        return ""
    dev_root = "" if choices.dev_root == "/" else choices.dev_root
    explicit = "enable-explicit-driver-libraries" in choices.feature_flags
    driver = versioned(libraries, "", seen.module_version, explicit)
    driver = files.beside(tree, driver, choices.config_search_paths, kernel.machine(), True)
    facts = (
        __version__,
        choices,
        [function._replace(suspended=False) for function in seen.functions],
        seen.module_version,
        driver,
        files.firmware(tree, driver.version, kernel.release(), kernel.firmware_path()) if driver.version else (),
        [node for pattern in NODES for node in nodes.matching(dev_root + pattern)],
        [pci.drm_names(function.address) for function in seen.functions],
        kernel.mig_instances(),
        files.program(Tree("/"), choices.hook_path)
        if choices.hook_path
        else files.program(Tree("/"), "nvidia-cdi-hook"),
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
