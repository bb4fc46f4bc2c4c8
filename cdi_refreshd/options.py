"""What the options of `nvidia-ctk cdi generate` and their environment variables say, as Choices.

Without argparse: the daemon, which has only the environment, would keep 0.5 MiB of it.
"""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import (
    FORMATS,
    LISTS,
    WORDS,
    E,
    absolute,
    checked,
    nearest,
    printable,
)
from cdi_refreshd.core.findings import UsageFault, quoted

if TYPE_CHECKING:
    import argparse

TOOLKIT_CONFIG = "/etc/nvidia-container-runtime/config.toml"
TOOLKIT_LIMIT_BYTES = 1 << 20
DEFAULTS = Choices(driver_root="", dev_root="")
CONFIG_VARIABLES = ["NVIDIA_CTK_CONFIG", "NVIDIA_CTK_CONFIG_FILE_PATH"]
OUTPUT_VARIABLE, FORMAT_VARIABLE = "NVIDIA_CTK_CDI_OUTPUT_FILE_PATH", E + "OUTPUT_FORMAT"
NO_ALL_VARIABLE = E + "NO_ALL_DEVICE"
TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false", "")


def choices(parsed: "argparse.Namespace | None", base: Choices | None = None) -> Choices:
    """The command line (None: there is none), else the environment, else `base`, where an empty root means unset.

    Raises UsageFault for a value that does not exist.
    """
    base = base or DEFAULTS
    given: dict[str, object] = {}
    for field, _, variables, _ in LISTS:
        texts = getattr(parsed, field, None) or _environment(variables)
        if texts is not None:
            given[field] = tuple(word.strip() for text in texts for word in text.split(",") if word.strip())
    for field, _, variables, _ in WORDS:
        word = getattr(parsed, field, None)
        word = word if word is not None else next(iter(_environment(variables) or ()), None)
        if word is not None:
            given[field] = word
    if no_all := getattr(parsed, "no_all", None) or os.environ.get(NO_ALL_VARIABLE, ""):
        given["all_device"] = not _true("--no-all-device", no_all)
    if "driver_root" not in given:
        given["driver_root"] = base.driver_root or _toolkit_root(getattr(parsed, "config", None))
    given["dev_root"] = given.get("dev_root") or base.dev_root or given["driver_root"]
    csv_files = given.get("csv_files") or base.csv_files
    given["csv_files"] = tuple(map(os.path.abspath, csv_files))  # type: ignore[call-overload]
    return checked(base._replace(**given))  # type: ignore[arg-type]


def variables() -> dict[str, str]:
    """The environment variable that is set, by the field of Choices that it decides, and by `output`."""
    tables = [(field, names) for field, _, names, _ in (*LISTS, *WORDS)]
    tables += [("all_device", [NO_ALL_VARIABLE]), ("output", [OUTPUT_VARIABLE])]
    return {field: name for field, names in tables for name in reversed(names) if os.environ.get(name)}


def destination(parsed: "argparse.Namespace | None", base: str) -> tuple[str, str, str]:
    """As `document_path`: from the command line, else the environment, else `base`."""
    return document_path(output(parsed) or base, output_format(parsed))


def output_format(parsed: "argparse.Namespace | None") -> str:
    word = (getattr(parsed, "format", None) or os.environ.get(FORMAT_VARIABLE, "") or "").lower()
    if word and word not in FORMATS:
        raise UsageFault("--format", f"there is no {quoted(word)}", nearest(word, FORMATS))
    return word


def output(parsed: "argparse.Namespace | None") -> str:
    path = getattr(parsed, "output", None)
    return printable("--output", os.environ.get(OUTPUT_VARIABLE, "") if path is None else path)


def document_path(path: str, wanted: str) -> tuple[str, str, str]:
    """Path, format, and a warning or "". The ending decides; one that no runtime reads gets another."""
    if path.rpartition("/")[2] in ("", ".", ".."):
        raise UsageFault("--output", f"{path} is a directory, not a file", f"write {path.rstrip('/.')}/nvidia.yaml")
    stem, dot, ending = path.rpartition(".")
    if dot and stem and not stem.endswith("/") and ending in ("yaml", "json", "yml"):
        form = "json" if ending == "json" else "yaml"
        if wanted and wanted != form:
            return path, form, f"--format {wanted}: {path} is written as {form}, by its ending"
        return path, form, f"{path}: runtimes read .yaml and .json, not .yml" if ending == "yml" else ""
    form = wanted or "yaml"
    return f"{path}.{form}", form, ""


def _environment(variables: Sequence[str]) -> list[str] | None:
    found = [os.environ[name] for name in variables if os.environ.get(name)]
    return found[:1] or None


def _true(option: str, word: str) -> bool:
    if word.lower() in TRUE:
        return True
    if word.lower() in FALSE:
        return False
    raise UsageFault(option, f"{quoted(word)} is neither true nor false")


def _toolkit_root(path: str | None) -> str:
    """The driver root that the NVIDIA container toolkit is configured with. A file that cannot be read is reported."""
    home = os.environ.get("XDG_CONFIG_HOME")
    beside = f"{home}/nvidia-container-runtime/config.toml" if home else TOOLKIT_CONFIG
    named = path or next(iter(_environment(CONFIG_VARIABLES) or ()), "")
    path = named or (beside if os.path.exists(beside) else TOOLKIT_CONFIG)
    if not os.path.isfile(path):
        if named:
            print(f"cdi-refreshd: {quoted(path)}: is ignored (no such file)", file=sys.stderr)
        return ""
    import importlib  # noqa: PLC0415 - few hosts have this file

    try:
        toml = importlib.import_module("tomllib")
    except ModuleNotFoundError:
        toml = importlib.import_module("tomli")  # Python 3.10
    from cdi_refreshd.host import regular_file  # noqa: PLC0415

    try:
        text = regular_file.read(path, TOOLKIT_LIMIT_BYTES, follow_links=True).decode()
        root = toml.loads(text).get("nvidia-container-cli", {}).get("root", "")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        print(f"cdi-refreshd: {quoted(path)}: is ignored ({error})", file=sys.stderr)
        return ""
    return absolute(f"{path}: nvidia-container-cli.root", root) if isinstance(root, str) else ""
