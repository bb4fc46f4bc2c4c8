"""Asks the container runtimes for their versions, in the probe's child: no other process waits for them."""

from cdi_refreshd.core.checks.container_runtimes import INSTALLATIONS
from cdi_refreshd.core.nvidia.inventory import InstalledRuntime
from cdi_refreshd.host import runtime_config, runtime_versions


def probe() -> tuple[InstalledRuntime, ...]:
    """Those of INSTALLATIONS that are installed and used."""
    return used(runtime_versions.installed(INSTALLATIONS))


def used(found: tuple[InstalledRuntime, ...]) -> tuple[InstalledRuntime, ...]:
    """Beside k3s or rke2, which bring their own, the distribution's containerd counts only if a kubelet asks it; alone
    it may serve `ctr` and the like."""
    kubelet, carried = runtime_config.has_kubelet(), runtime_config.carried()
    kept = [one for one in found if one.name != "containerd" or kubelet or not carried]
    # If their data are elsewhere, so is the program; the configuration is sufficient.
    kept += [InstalledRuntime(name) for name in carried if all(one.name != name for one in found)]
    return tuple(one._replace(serves=kubelet) if one.name == "containerd" else one for one in kept)
