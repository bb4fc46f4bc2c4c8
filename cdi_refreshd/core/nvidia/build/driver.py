"""Spec-level edits: the parts of the driver that every container with a GPU gets."""

from cdi_refreshd.core.cdi.model import ContainerEdits, Mount
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build.edits import READ_ONLY, SOCKET, below, config_mount, merged, mount
from cdi_refreshd.core.nvidia.build.hooks import Hooks
from cdi_refreshd.core.nvidia.build.links import graphics_links, library_links, soname_links
from cdi_refreshd.core.nvidia.build.places import Places, once
from cdi_refreshd.core.nvidia.driver_paths import USUAL_PATH
from cdi_refreshd.core.nvidia.inventory import Driver, Link

# Without this, NVIDIA's container runtime would inject the GPUs a second time.
VOID = ContainerEdits(env=("NVIDIA_VISIBLE_DEVICES=void",))


def common(driver: Driver, choices: Choices, hooks: Hooks, with_graphics: bool) -> ContainerEdits:
    """In the order in which NVIDIA's generator emits, since hooks run in order: links, then compat, then ldcache."""
    return merged(
        graphics(driver, choices, hooks) if with_graphics else ContainerEdits(),
        libraries(driver, choices, hooks),
        beside(driver, choices),
        ContainerEdits(hooks=hooks.call("update-application-profile") if with_graphics else ()),
        VOID,
    )


def links(driver: Driver, places: Places, with_graphics: bool) -> list[Link]:
    """All that hooks would make in a container, those of ldconfig included."""
    graphics = [*graphics_links(driver, places), *soname_links(driver.graphics_libraries, places)]
    own = [*library_links(driver.libraries, places), *soname_links(driver.libraries, places)]
    return [*(graphics if with_graphics else ()), *own]


def graphics(driver: Driver, choices: Choices, hooks: Hooks) -> ContainerEdits:
    root = choices.driver_root
    libraries = [item for one in driver.graphics_libraries for item in hooks.places.mounts(one.path, one.bits)]
    modules = (found(driver, root, path) for path in driver.xorg)
    programs = (on_path(found(driver, root, path)) for path in driver.graphics_binaries)
    mounts = (*once(libraries), *modules, *programs, *map(config_mount, driver.configs))
    return ContainerEdits(mounts=mounts, hooks=hooks.links(graphics_links(driver, hooks.places)))


def libraries(driver: Driver, choices: Choices, hooks: Hooks) -> ContainerEdits:
    root = choices.driver_root
    mounts = once(item for one in driver.libraries for item in hooks.places.mounts(one.path, one.bits))
    compat = (f"--host-driver-version={driver.version}",) if driver.version else ()
    directories = ":".join(below(root, path) for path in driver.library_dirs)
    return ContainerEdits(
        env=(f"NVIDIA_CTK_LIBCUDA_DIR={directories}",) if directories else (),
        mounts=mounts,
        hooks=(
            *hooks.links(library_links(driver.libraries, hooks.places)),
            *hooks.call("enable-cuda-compat", *compat),
            *hooks.ldcache(item.container_path for item in mounts),
            *hooks.call("disable-device-node-modification"),
        ),
    )


def beside(driver: Driver, choices: Choices) -> ContainerEdits:
    root = choices.driver_root
    sockets = (found(driver, root, path, SOCKET) for path in driver.sockets)
    firmware = (found(driver, root, path) for path in driver.firmware)
    programs = (on_path(found(driver, root, path)) for path in driver.binaries)
    return ContainerEdits(mounts=(*sockets, *firmware, *programs))


def on_path(program: Mount) -> Mount:
    """A program outside of a container's PATH is mounted in /usr/bin."""
    directory, _, name = program.container_path.rpartition("/")
    return program if directory in USUAL_PATH else program._replace(container_path=f"/usr/bin/{name}")


def found(driver: Driver, root: str, path: str, options: tuple[str, ...] = READ_ONLY) -> Mount:
    """The container path is where it was found; the host path is one that the host can resolve."""
    real = next((link.target for link in driver.astray if link.path == path), path)
    return mount(root, path, options)._replace(host_path=real)
