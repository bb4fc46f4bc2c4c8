"""Where NVIDIA's driver and its companions have their files: for who probes, and for who watches.

The directories are fixed. The caller's PATH, XDG_DATA_DIRS and working directory have no say: the daemon and a login
shell must see the same machine. All are below the driver root, but for the device nodes.
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
LOADER_CACHE = "/etc/ld.so.cache"
PROGRAM_DIRS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
PROGRAMS = (
    "nvidia-smi",
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
