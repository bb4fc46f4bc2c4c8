"""Where NVIDIA's driver and its companions have their files: for the probe and for the watches.

The directories are fixed. The caller's PATH, XDG_DATA_DIRS and working directory have no say: the daemon and a login
shell must see the same machine. All are below the driver root, except for the device nodes.
"""

LIBRARY_DIRS = (
    "/",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib/aarch64-linux-gnu/nvidia/current",
    "/lib64",
    "/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/lib/x86_64-linux-gnu/nvidia/current",
    "/lib/aarch64-linux-gnu/nvidia/current",
)
LIBRARY_DIRS_32 = (
    "/usr/lib/i386-linux-gnu",
    "/usr/lib/i386-linux-gnu/nvidia/current",
    "/usr/lib32",
    "/usr/lib",
    "/lib/i386-linux-gnu",
    "/lib/i386-linux-gnu/nvidia/current",
    "/lib32",
    "/lib",
)
"""Directories of 32-bit libraries. On some distributions /usr/lib has 64-bit ones: the ELF headers decide."""
LIBRARIES = ("*nvidia*", "libcuda.so*", "libcudadebugger.so*", "libnvcuvid.so*", "libnvoptix.so*")
"""All libraries of the driver, as they are watched: those named by its version need no other entry to be mounted.
The upgrade of anything else is no reason to probe."""
OWN_VERSION = tuple(f"libnvidia-egl-{name}.so.*.*" for name in ("gbm", "wayland", "wayland2", "xcb", "xlib"))
"""Libraries for graphics with version numbers of their own."""
OTHER_NAMES = ("libnvidia-nvvm70.so.*",)
"""Libraries whose names have another number than a version."""
EXPLICIT_LIBRARIES = (
    *(f"lib{name}.so" for name in ("EGL", "GL", "GLESv1_CM", "GLESv2", "GLX", "GLdispatch", "OpenCL", "OpenGL")),
    *(f"libnvidia-{name}.so" for name in ("api", "egl-xcb", "egl-xlib")),
)
"""Only with enable-explicit-driver-libraries: other packages have them, too."""
ESSENTIAL_LIBRARIES = ("libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler", "libnvidia-nvvm")
"""Without which CUDA does not start, or fails at the first kernel that is compiled at run time."""
NVVM_SINCE = 495
"""The first driver branch that has libnvidia-nvvm."""
LOADER_CACHE = "/etc/ld.so.cache"
USUAL_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Directories that are in a container's PATH as well."""
PROGRAM_DIRS = (*USUAL_PATH, "/opt/bin")
SMI = "nvidia-smi"
PROGRAMS = (
    SMI,
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-imex",
    "nvidia-imex-ctl",
)
GRAPHICS_PROGRAMS = ("nvidia-xconfig",)
HOOK = "nvidia-cdi-hook"
SOCKET_DIRS = ("/run", "/var/run")
SOCKETS = ("nvidia-persistenced/socket", "nvidia-fabricmanager/socket")
MPS = "/tmp/nvidia-mps"  # noqa: S108 - where NVIDIA's MPS daemon has its pipes
"""World-writable, so it is not watched: no user should be able to start passes by touching it."""
CONFIG_DIRS = ("/etc", "/usr/local/share", "/usr/share")
CONFIGS = (
    *(
        ("/usr/share", name)
        for name in (
            "glvnd/egl_vendor.d/10_nvidia.json",
            "egl/egl_external_platform.d/15_nvidia_gbm.json",
            "egl/egl_external_platform.d/10_nvidia_wayland.json",
            "egl/egl_external_platform.d/09_nvidia_wayland2.json",
            "egl/egl_external_platform.d/20_nvidia_xcb.json",
            "egl/egl_external_platform.d/20_nvidia_xlib.json",
            "nvidia/nvoptix.bin",
            "X11/xorg.conf.d/10-nvidia.conf",
            "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
        )
    ),
    ("/etc", "OpenCL/vendors/nvidia.icd"),
)
VULKAN = ("icd.d/nvidia_icd.json", "icd.d/nvidia_layers.json", "implicit_layer.d/nvidia_layers.json")
XORG_DIRS = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
XORG_MODULES = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")
FIRMWARE = ("gsp*.bin", "ucodes_*.bin")
FIRMWARE_DIRS = ("/lib/firmware/updates", "/lib/firmware")
TEGRA_RELEASE = "/etc/nv_tegra_release"
CHANNEL_DIR = "/dev/nvidia-caps-imex-channels"
NODES = {
    "gds": ("/dev/nvidia-fs*",),
    "gdrcopy": ("/dev/gdrdrv",),
    "mofed": ("/dev/infiniband/uverbs*", "/dev/infiniband/rdma_cm"),
    "nvswitch": ("/dev/nvidia-nvswitchctl", "/dev/nvidia-nvswitch*"),
    "wsl": ("/dev/dxg",),
    "management": (
        "/dev/nvidia*",
        "/dev/nvidia-caps/nvidia-cap*",
        "/dev/nvidia-modeset",
        "/dev/nvidia-uvm-tools",
        "/dev/nvidia-uvm",
        "/dev/nvidiactl",
        f"{CHANNEL_DIR}/channel*",
    ),
}


def essential_libraries(version: str) -> tuple[str, ...]:
    """Stems of the essential libraries that a driver of that version has."""
    branch = version.partition(".")[0]
    newer = not branch.isdigit() or int(branch) >= NVVM_SINCE
    return ESSENTIAL_LIBRARIES if newer else tuple(name for name in ESSENTIAL_LIBRARIES if name != "libnvidia-nvvm")
