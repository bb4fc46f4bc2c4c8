"""Where specs are: the directories that runtimes read, and the file that we publish."""

SPEC_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""As runtimes read them where nothing is configured. Lowest priority first."""
OUR_SPEC = "/var/run/cdi/nvidia.yaml"
"""What the daemon and `oneshot` publish where nothing is configured."""
OUR_KIND = "nvidia.com/gpu"
OUR_PARTS = ("coherent", "noncoherent")
"""Specs beside our own, where GPUs that are coherent with the processor are told apart."""


def part_path(path: str, name: str) -> str:
    """The file of a part beside the spec at `path`: /run/nvidia.yaml and /run/nvidia.coherent.yaml."""
    stem, dot, ending = path.rpartition(".")
    return f"{stem}.{name}{dot}{ending}"


def our_paths(path: str) -> tuple[str, ...]:
    """Every file that a pass may write for the output `path`."""
    return (path, *(part_path(path, name) for name in OUR_PARTS))
