"""The directories where runtimes read specs, and the file that we publish."""

SPEC_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""The default of container runtimes. Lowest priority first."""
OUR_SPEC = "/var/run/cdi/nvidia.yaml"
"""The default output of the daemon and `oneshot`."""
OUR_KIND = "nvidia.com/gpu"
OUR_PARTS = ("coherent", "noncoherent")
"""Further specs beside our own, if coherent GPUs are separated from the others."""


def part_path(path: str, name: str) -> str:
    """The file for a part, beside the spec at `path`: /run/nvidia.yaml and /run/nvidia.coherent.yaml."""
    stem, dot, ending = path.rpartition(".")
    return f"{stem}.{name}{dot}{ending}"


def our_paths(path: str) -> tuple[str, ...]:
    """Every file that a pass may write for the output `path`."""
    return (path, *(part_path(path, name) for name in OUR_PARTS))
