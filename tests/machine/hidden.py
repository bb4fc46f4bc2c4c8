"""Paths of the host that cdi-refreshd may inspect: no made-up machine shows them, unless its case says so.

A path that the program inspects from now on belongs here as well.
"""

import functools
import glob
import os
import platform

TRIPLET = f"{platform.machine()}-linux-gnu"
LIBRARY_DIRS = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/lib/i386-linux-gnu",
    f"/usr/lib/{TRIPLET}",
    "/usr/local/lib",
    f"/usr/local/lib/{TRIPLET}",
)
PROGRAM_DIRS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/opt/bin", "/snap/bin")
UNIT_DIRS = ("/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")

RUNTIMES = (
    "buildah",
    "containerd*",
    "crictl",
    "crio*",
    "crun*",
    "docker*",
    "k0s",
    "k3s*",
    "kata-runtime",
    "kubelet",
    "lxc*",
    "nerdctl*",
    "podman*",
    "rke2*",
    "runc",
    "runsc",
    "skopeo",
    "youki",
)
DRIVER_PROGRAMS = ("nvidia-*", "nv-fabricmanager", "nvidia_*", "cdi-refreshd*")
DRIVER_LIBRARIES = (
    "libcuda.so*",
    "libcudadebugger.so*",
    "libdxcore.so*",
    "libnvcuvid.so*",
    "libnvidia*",
    "libnvoptix.so*",
    "lib*_nvidia.so*",
    "gbm/nvidia*",
    "nvidia",
    "vdpau/libvdpau_nvidia*",
    "xorg/nvidia*",
    "xorg/modules/*/*nvidia*",
    # GLVND's and OpenCL's dispatchers: "enable-explicit-driver-libraries" takes them for the driver's.
    *(f"lib{name}.so*" for name in ("EGL", "GL", "GLESv1_CM", "GLESv2", "GLX", "GLdispatch", "OpenCL", "OpenGL")),
)
UNITS = ("*nvidia*", "*nvctk*", "cdi-refreshd*")
UNITS_OF_RUNTIMES = tuple(
    f"{name}.{kind}*"
    for name in ("containerd", "crio", "docker", "k3s*", "kubelet", "podman*", "rke2*")
    for kind in ("service", "socket")
)
PLACES = (
    # Configuration of container runtimes, and files by which a kubelet is noticed.
    "/etc/cdi",
    "/etc/containerd",
    "/etc/containers",
    "/etc/crio",
    "/etc/docker",
    "/etc/kubernetes",
    "/etc/rancher",
    "/snap",
    "/usr/share/containers",
    "/var/lib/kubelet",
    "/var/lib/rancher",
    "/var/snap",
    # NVIDIA's files, in all places that distributions and installers use.
    "/etc/OpenCL/vendors/nvidia*",
    "/etc/X11/xorg.conf.d/*nvidia*",
    "/etc/alternatives/*nvidia*",
    "/etc/cufile.json",
    "/etc/nv_tegra_release",
    "/etc/nvidia*",
    "/lib/firmware/nvidia",
    "/lib/firmware/*/nvidia",
    "/tmp/nvidia-mps",
    "/usr/X11R6",
    "/usr/lib/nvidia",
    "/usr/lib/wsl",
    "/usr/lib*/xorg/modules/*/*nvidia*",
    "/usr/lib*/xorg/modules/*/*/*nvidia*",
    "/usr/local/cuda*/compat*",
    "/usr/local/nvidia",
    *(
        f"{folder}/{name}"
        for folder in ("/etc", "/usr/local/share", "/usr/share")
        for name in (
            "X11/xorg.conf.d/*nvidia*",
            "egl/egl_external_platform.d/*nvidia*",
            "glvnd/egl_vendor.d/*nvidia*",
            "nvidia*",
            "vulkan/*/nvidia*",
        )
    ),
    # The package of cdi-refreshd, where it is installed.
    "/etc/cdi-refreshd",
    "/usr/lib/cdi-refreshd",
    "/usr/share/cdi-refreshd",
    # By systemd's version: before 240 it treated device nodes otherwise.
    "/usr/lib/systemd/libsystemd-shared-2[0-3]?.*",
    "/lib/systemd/libsystemd-shared-2[0-3]?.*",
    # The loader's configuration; a machine has its own, see machine.LOADER.
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d/*",
)


def patterns():
    """Everything above as patterns of absolute paths."""
    yield from PLACES
    for folders, names in (
        (PROGRAM_DIRS, (*RUNTIMES, *DRIVER_PROGRAMS)),
        (LIBRARY_DIRS, DRIVER_LIBRARIES),
        (UNIT_DIRS, (*UNITS, *UNITS_OF_RUNTIMES)),
        (UNIT_DIRS, [f"*.{how}/{name}" for how in ("wants", "requires", "upholds") for name in UNITS]),
    ):
        yield from (f"{folder}/{name}" for folder in folders for name in names)


@functools.cache
def on_this_host(but: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Those that this host has, by paths without links in their directories. Computed once in each process.

    `but` are names of programs that may be seen.
    """
    found = {os.path.join(os.path.realpath(folder), name): None for folder, name in everything()}
    return tuple(path for path in found if os.path.basename(path) not in but)


@functools.cache
def everything():
    return [os.path.split(path) for pattern in patterns() for path in glob.glob(pattern)]
