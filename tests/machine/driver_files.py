"""The files that an NVIDIA driver installs, in the places where distributions put them."""

import functools
import hashlib
import os
import platform
import subprocess
from pathlib import Path

from .elf import shared_library
from .hidden import TRIPLET
from .tree import SCRIPT, File, Link, Tree, text

MULTIARCH = f"/usr/lib/{TRIPLET}"
LAYOUTS = {
    "debian": MULTIARCH,
    "debian-alternatives": MULTIARCH,
    "rhel": "/usr/lib64",
    "arch": "/usr/lib",
    "cache": "/opt/nvidia/lib64",  # found by ld.so.cache alone
}

# Libraries named NAME.VERSION, and their sonames.
WITH_SONAME = {
    "libcuda.so": "libcuda.so.1",
    "libcudadebugger.so": "libcudadebugger.so.1",
    "libnvcuvid.so": "libnvcuvid.so.1",
    "libnvidia-encode.so": "libnvidia-encode.so.1",
    "libnvidia-opticalflow.so": "libnvidia-opticalflow.so.1",
    "libnvidia-opencl.so": "libnvidia-opencl.so.1",
    "libnvidia-ptxjitcompiler.so": "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-nvvm.so": "libnvidia-nvvm.so.4",
    "libnvidia-cfg.so": "libnvidia-cfg.so.1",
    "libnvidia-fbc.so": "libnvidia-fbc.so.1",
    "libnvidia-allocator.so": "libnvidia-allocator.so.1",
    "libnvidia-ngx.so": "libnvidia-ngx.so.1",
    "libnvoptix.so": "libnvoptix.so.1",
    "libnvidia-sandboxutils.so": "libnvidia-sandboxutils.so.1",
    "libnvidia-vksc-core.so": "libnvidia-vksc-core.so.1",
    "libnvidia-api.so": "libnvidia-api.so.1",
    "libGLX_nvidia.so": "libGLX_nvidia.so.0",
    "libEGL_nvidia.so": "libEGL_nvidia.so.0",
    "libGLESv1_CM_nvidia.so": "libGLESv1_CM_nvidia.so.1",
    "libGLESv2_nvidia.so": "libGLESv2_nvidia.so.2",
}
# The same, but the soname is the file's name, so there is no link.
WITHOUT_LINK = (
    "libnvidia-glvkspirv.so",
    "libnvidia-glcore.so",
    "libnvidia-glsi.so",
    "libnvidia-eglcore.so",
    "libnvidia-tls.so",
    "libnvidia-rtcore.so",
    "libnvidia-gpucomp.so",
    "libnvidia-pkcs11.so",
    "libnvidia-pkcs11-openssl3.so",
    "libnvidia-present.so",
    "libnvidia-wayland-client.so",
    "libnvidia-gtk3.so",
)
# Libraries with a version of their own.
OWN_VERSION = {
    "libnvidia-egl-gbm.so.1.1.2": "libnvidia-egl-gbm.so.1",
    "libnvidia-egl-wayland.so.1.1.20": "libnvidia-egl-wayland.so.1",
    "libnvidia-egl-xcb.so.1.0.3": "libnvidia-egl-xcb.so.1",
    "libnvidia-egl-xlib.so.1.0.3": "libnvidia-egl-xlib.so.1",
}
PROGRAMS = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-xconfig",
    "nvidia-settings",
    "nv-fabricmanager",
    "nvidia-imex",
    "nvidia-imex-ctl",
    "nvidia-modprobe",
    "nvidia-bug-report.sh",
    "nvidia-ngx-updater",
)
# Files that Debian's alternatives choose: the real file is in a directory of the driver.
ALTERNATIVE_LIBRARIES = (
    "libcuda.so",
    "libcuda.so.1",
    "libnvidia-ml.so.1",
    "libnvcuvid.so.1",
    "libnvidia-encode.so.1",
    "libnvidia-cfg.so.1",
    "libnvidia-fbc.so.1",
    "libnvidia-opticalflow.so.1",
    "libnvidia-ptxjitcompiler.so.1",
    "libGLX_nvidia.so.0",
)
ALTERNATIVE_PROGRAMS = ("nvidia-smi", "nvidia-debugdump", "nvidia-bug-report.sh")


@functools.cache
def nvml() -> bytes:
    """The stand-in libnvidia-ml.so.1, compiled once for each state of its source and kept in the user's cache."""
    source = Path(__file__).with_name("nvml.c")
    key = hashlib.sha256(source.read_bytes() + platform.machine().encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdi-refreshd"
    built = cache / f"nvml-{key}.so"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"nvml-{key}.{os.getpid()}"
        command = ["gcc", "-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1", "-o", fresh, source]
        subprocess.run(command, check=True)
        fresh.rename(built)
    return built.read_bytes()


def driver_files(version: str, layout: str) -> Tree:
    """A driver's files by their paths below the driver root."""
    folder = LAYOUTS[layout]
    tree = libraries(folder, version) | graphics(folder, version) | settings(version)
    tree |= {f"/usr/bin/{name}": SCRIPT for name in PROGRAMS}
    # Debian's ldconfig does not search rhel's directory by default.
    tree["/etc/ld.so.conf.d/nvidia-driver.conf"] = text(f"{MULTIARCH}\n/usr/lib64\n{folder}\n")
    return with_alternatives(tree) if layout == "debian-alternatives" else tree


def versioned(folder, name, soname, version):
    file = f"{name}.{version}"
    tree = {f"{folder}/{file}": File(shared_library(soname or file))}
    if soname:
        tree[f"{folder}/{soname}"] = Link(file)
    return tree


def libraries(folder, version):
    tree = {}
    for name, soname in WITH_SONAME.items():
        tree |= versioned(folder, name, soname, version)
    for name in WITHOUT_LINK:
        tree |= versioned(folder, name, None, version)
    for file, soname in OWN_VERSION.items():
        tree[f"{folder}/{file}"] = File(shared_library(soname))
        tree[f"{folder}/{soname}"] = Link(file)
    tree[f"{folder}/libcuda.so"] = Link("libcuda.so.1")
    tree[f"{folder}/libnvidia-ml.so.{version}"] = File(nvml())
    tree[f"{folder}/libnvidia-ml.so.1"] = Link(f"libnvidia-ml.so.{version}")
    return tree


def graphics(folder, version):
    xorg = "/usr/lib/xorg/modules"
    tree = versioned(f"{folder}/vdpau", "libvdpau_nvidia.so", "libvdpau_nvidia.so.1", version)
    tree |= versioned(f"{xorg}/extensions", "libglxserver_nvidia.so", "libglxserver_nvidia.so", version)
    tree[f"{xorg}/drivers/nvidia_drv.so"] = File(shared_library("nvidia_drv.so"))
    tree[f"{folder}/gbm/nvidia-drm_gbm.so"] = Link(f"../libnvidia-allocator.so.{version}")
    for path in (
        "/usr/share/glvnd/egl_vendor.d/10_nvidia.json",
        "/usr/share/egl/egl_external_platform.d/15_nvidia_gbm.json",
        "/usr/share/egl/egl_external_platform.d/10_nvidia_wayland.json",
        "/etc/vulkan/icd.d/nvidia_icd.json",
        "/usr/share/vulkan/icd.d/nvidia_icd.json",
        "/usr/share/vulkan/implicit_layer.d/nvidia_layers.json",
    ):
        tree[path] = text("{}")
    tree["/usr/share/X11/xorg.conf.d/10-nvidia.conf"] = text("# empty\n")
    return tree


def settings(version):
    firmware = f"/usr/lib/firmware/nvidia/{version}"
    return {
        f"{firmware}/gsp_ga10x.bin": text("gsp"),
        f"{firmware}/gsp_tu10x.bin": text("gsp"),
        "/usr/share/nvidia/nvoptix.bin": text("x"),
        f"/usr/share/nvidia/nvidia-application-profiles-{version}-rc": text("x"),
        "/etc/OpenCL/vendors/nvidia.icd": text("libnvidia-opencl.so.1\n"),
    }


def with_alternatives(tree):
    """As Debian's packages: the chosen files are elsewhere, behind absolute links through /etc/alternatives."""
    chosen = {f"{MULTIARCH}/{name}": f"{MULTIARCH}/nvidia/current" for name in ALTERNATIVE_LIBRARIES}
    chosen |= {f"/usr/bin/{name}": "/usr/lib/nvidia/current" for name in ALTERNATIVE_PROGRAMS}
    moved = dict(tree)
    for path, folder in chosen.items():
        name = os.path.basename(path)
        entry = moved.pop(path)
        if isinstance(entry, Link) and (real := f"{MULTIARCH}/{entry.target}") not in chosen:
            moved[f"{folder}/{entry.target}"] = moved.pop(real)
        moved[f"{folder}/{name}"] = entry
        alternative = f"/etc/alternatives/nvidia--{name}" + (f"-{TRIPLET}" if ".so" in name else "")
        moved[path] = Link(alternative)
        moved[alternative] = Link(f"{folder}/{name}")
    return moved
