"""The result of the last pass, kept across processes, so that a sleeping GPU is not woken for the same answer."""

from typing import NamedTuple

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.inventory import read_back, to_json
from cdi_refreshd.core.refresh.recalled import Recalled
from cdi_refreshd.host import atomic_file, regular_file, sha256

PATH = "/run/cdi-refreshd/last-pass.json"
SIZE_LIMIT_BYTES = 1 << 18
SPEC_LIMIT_BYTES = 1 << 24


class LastPass(NamedTuple):
    fingerprint: str = ""
    """Of the probe; "" where nothing is known."""
    path: str = ""
    """Of the spec."""
    sha256: str = ""
    """Of the spec's bytes."""
    came_to: Recalled = Recalled()


def read(path: str) -> LastPass:
    """Of the spec that stands at `path`; empty where nothing is known of it, or it is not what was published."""
    try:
        known: LastPass = read_back(LastPass, regular_file.read(PATH, SIZE_LIMIT_BYTES))
    except (OSError, ValueError):
        return LastPass()
    return known if known.path == path and known.sha256 == digest_at(path) else LastPass()


def remember(last: LastPass) -> None:
    try:
        atomic_file.publish(PATH, to_json(last))
    except Fault:
        return  # without it the next pass probes again, which costs only a sleeping GPU's rest


def digest(content: bytes) -> str:
    return sha256.hexdigest(content)


def digest_at(path: str) -> str:
    """Of the file there; "" where there is none that could be a spec."""
    try:
        return digest(regular_file.read(path, SPEC_LIMIT_BYTES))
    except OSError:
        return ""
