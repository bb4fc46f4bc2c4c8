"""`cdi-refreshd bundle`: one JSON document with what a bug report needs, without private data."""

import json
import os
import platform
import sys
from typing import Any

from cdi_refreshd import __version__, command_line, config, options, pipeline
from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks import report
from cdi_refreshd.core.config.schema import KEYS, value_of
from cdi_refreshd.core.config.settings import BrokenConfiguration, Settings
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.inventory import Inventory
from cdi_refreshd.core.refresh.states import Verdict
from cdi_refreshd.core.report import bundle
from cdi_refreshd.daemon import state_file
from cdi_refreshd.host import path_entries, plain_file, regular_file
from cdi_refreshd.inspect import container_runtimes, published, spec_directories, survey
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request

DESCRIPTION = """Print one JSON document to attach to a bug report, or write it to FILE: what the probe found, names,
sizes, link targets and numbers of what it inspected, versions, configuration, findings, the daemon's state. Of files it
contains only the spec and the driver's procfs. UUIDs and the names of the host and of home
directories are replaced. Other options are those of generate."""
SPEC_AT_MOST_BYTES = 2 << 20


def run(argv: list[str]) -> int:
    parser = command_line.parser("bundle", DESCRIPTION, writes_spec=False)
    parser.add_argument("file", metavar="FILE", nargs="?", help="write there instead of printing")
    parser.add_argument("--config", metavar="FILE", help="the NVIDIA container toolkit's config.toml")
    parser.add_argument("--config-file", metavar="FILE", help="read only this configuration file")
    parsed = parser.parse_args(argv)
    loaded, effective = configured(parsed.config_file)
    choices = options.choices(parsed, loaded.settings.choices)
    path, form, _ = options.destination(None, loaded.settings.output)
    request = Request(choices, gated=True)
    asked = container_runtimes.ask()  # they answer while the machine is probed
    target = pipeline.Target(path, form, loaded.settings.on_mismatch)
    child = runner.start(request)
    verdict = pipeline.judge(runner.Waiting(child, loaded.settings.probe_limit_s), request, target)
    inventory = verdict.seen or Inventory()
    seen = spec_directories.gathered(SPEC_DIRECTORIES)
    found, host = published.findings(seen)
    found += container_runtimes.findings(seen, host, asked)
    document = {
        "version": bundle.JSON_VERSION,
        "versions": versions(inventory),
        "configuration": configuration(effective),
        "choices": bundle.named(choices),
        "verdict": judged(verdict),
        "inventory": bundle.named(inventory._replace(findings=())),
        "spec": {"path": path, "published": text_of(path), "made": made(verdict, path, form)},
        "check": report.as_json(found, [file.path for file in seen.files], len(seen.definitions), "info", 0)[
            "findings"
        ],
        "daemon": daemon(),
        **survey.survey(choices, inventory, verdict.spec),
    }
    write(bundle.without_private(json.loads(json.dumps(document)), [platform.node()]), parsed.file)
    return 0


def configured(file: str | None) -> tuple[config.Loaded, config.Loaded]:
    """What the files say, and what is in effect. A broken configuration is part of the report, not the end of it."""
    try:
        return config.read(file), config.load(file)
    except BrokenConfiguration as fault:
        print(f"cdi-refreshd: {fault}", file=sys.stderr)
        broken = config.Loaded(Settings(), {}, (fault.finding,))
        return broken, broken


def versions(inventory: Inventory) -> dict[str, Any]:
    system = os.uname()
    return {
        "cdi-refreshd": __version__,
        "python": platform.python_version(),
        "machine": system.machine,
        "kernel": system.release,
        "distribution": distribution(),
        "systemd": path_entries.systemd_version(),
        "module": inventory.presence.module_version,
        "driver": inventory.driver.version,
        "runtimes": {one.name: one.said.partition("\n")[0] for one in inventory.runtimes},
    }


def distribution() -> str:
    """Such as `debian 12`."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{release.get('ID', '')} {release.get('VERSION_ID', '')}".strip()


def configuration(loaded: config.Loaded) -> dict[str, Any]:
    """Each value in effect, and where it comes from."""
    document = {
        key.name: {"value": key.kind.plain(value_of(loaded.settings, key)), "origin": loaded.origins.get(key.name, "")}
        for key in KEYS
    }
    return {"files": list(loaded.files), "settings": document, "findings": [str(one) for one in loaded.findings]}


def judged(verdict: Verdict) -> dict[str, Any]:
    findings = [bundle.named(finding) for finding in verdict.findings]
    return {"state": verdict.state, "reason": verdict.reason, "action": verdict.action, "findings": findings}


def made(verdict: Verdict, path: str, form: str) -> str | None:
    """The spec that this host should have; None where it should have none."""
    if verdict.spec is None:
        return None
    return next(content for _, content in pipeline.documents(verdict.spec, path, form)).decode()


def text_of(path: str) -> str | None:
    try:
        return regular_file.start(path, SPEC_AT_MOST_BYTES, follow_links=True).decode(errors="replace")
    except OSError:
        return None


def daemon() -> dict[str, Any] | None:
    try:
        document = state_file.read()
    except Fault:
        return None
    return {**document, "running": state_file.is_running(document.get("pid"))}


def write(document: Any, path: str | None) -> None:
    text = json.dumps(document, indent=1) + "\n"
    if path in (None, "-"):
        sys.stdout.write(text)
        return
    try:
        plain_file.replace(str(path), text.encode())
    except OSError as error:
        raise Fault(str(path), f"cannot be written: {error.strerror}") from None
    print(f"cdi-refreshd: {path} can be attached to a report; read it first", file=sys.stderr)
