"""How a spec is to be made, as a record: the options of `nvidia-ctk cdi generate`."""

from typing import NamedTuple

CSV_DIR = "/etc/nvidia-container-runtime/host-files-for-container.d"
CSV_FILES = tuple(f"{CSV_DIR}/{name}.csv" for name in ("devices", "drivers", "l4t"))


class Choices(NamedTuple):
    """Paths are absolute and have no slash at the end, except for `/` itself."""

    mode: str = "auto"
    driver_root: str = "/"
    dev_root: str = "/"
    vendor: str = "nvidia.com"
    class_name: str = "gpu"
    name_strategies: tuple[str, ...] = ("index", "uuid")
    device_ids: tuple[str, ...] = ("all",)
    all_device: bool = True
    hooks: str = "auto"
    """Which hooks a spec has: NVIDIA's, none, or auto: NVIDIA's if its program can be executed."""
    hook_path: str = ""
    """An absolute path, or a name to search for; "" is nvidia-cdi-hook."""
    ldconfig_path: str = ""
    disabled_hooks: tuple[str, ...] = ()
    enabled_hooks: tuple[str, ...] = ()
    feature_flags: tuple[str, ...] = ()
    csv_files: tuple[str, ...] = CSV_FILES
    csv_ignore_patterns: tuple[str, ...] = ()
    csv_compat_root: str = "/usr/local/cuda/compat_orin"
    library_search_paths: tuple[str, ...] = ()
    config_search_paths: tuple[str, ...] = ()
    program_search_paths: tuple[str, ...] = ()
    prefix: str = ""
    """Where the host's / is, a prefix for each path above; "" if it is this process's own."""
