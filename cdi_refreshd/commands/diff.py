"""`cdi-refreshd diff`: probe this host, and report what publishing would change. Writes nothing."""

import json
import os
import sys

from cdi_refreshd import command_line, config, last_pass, options, pipeline
from cdi_refreshd.core.cdi.diff import differences
from cdi_refreshd.core.cdi.host_prefix import outside
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.config.generate_options import below
from cdi_refreshd.core.findings import printable
from cdi_refreshd.core.nvidia.build.coherent import parts
from cdi_refreshd.core.refresh import states
from cdi_refreshd.inspect import spec_files
from cdi_refreshd.pipeline import Known
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request

DESCRIPTION = """Print, device by device, what would change if the spec were published now. The options are those of
oneshot. Exit status: 0 nothing, 1 something, 2 the probe failed, or wrong usage."""
SAME, DIFFERENT, BLIND = 0, 1, 2
JSON_VERSION = 1


def run(argv: list[str]) -> int:
    parser = command_line.parser("diff", DESCRIPTION, output="compare with this file; the ending decides its format")
    parser.add_argument("--config", metavar="FILE", help="the NVIDIA container toolkit's config.toml")
    parser.add_argument("--config-file", metavar="FILE", help="read only this configuration file")
    parser.add_argument("--json", action="store_true", help="for programs, as docs/json.md describes")
    parsed = parser.parse_args(argv)
    loaded = config.read(parsed.config_file)
    settings = loaded.settings
    choices = below(options.choices(parsed, settings.choices), settings.prefix)
    path, form, _ = options.destination(parsed, settings.output)
    target = pipeline.target(settings, path, form)
    known = Known(last_pass.read(path))
    request = Request(choices, gated=True, known_fingerprint=known.last.fingerprint)
    child = runner.start(request)
    verdict = pipeline.judge(runner.Waiting(child, settings.probe_limit_s), request, target, known)
    if verdict.state == "failed":
        print(f"cdi-refreshd: {printable(verdict.reason)}", file=sys.stderr)
        return BLIND
    if verdict.spec:
        verdict = verdict._replace(spec=outside(verdict.spec, target.prefix))
    changes = would_change(verdict, path)
    status = DIFFERENT if changes else SAME
    if parsed.json:
        document = {"version": JSON_VERSION, "status": status, "state": verdict.state, "reason": verdict.reason}
        print(json.dumps({**document, "path": path, "changes": changes}, indent=2))
        return status
    for text in changes:
        print(printable(text))
    if not changes:
        print(printable(f"nothing would change: {verdict.state}: {verdict.reason}"))
    return status


def would_change(verdict: states.Verdict, path: str) -> list[str]:
    if verdict.action == states.PUBLISH and verdict.spec:
        return published(verdict.spec, path)
    if verdict.action == states.KEEP:
        return []
    parts_go = [f"{part} is removed" for part in pipeline.parts_left_over(path, ())]
    if not os.path.exists(path):
        return parts_go if verdict.action == states.WITHDRAW else []
    standing = spec_files.spec_at(path)
    if standing is None:
        return [f"{path} is removed: it is damaged, and {verdict.reason}", *parts_go]
    return [f"{path} is removed: {verdict.reason}", *differences(standing, None), *parts_go]


def published(spec: Spec, path: str) -> list[str]:
    stem, dot, ending = path.rpartition(".")
    changes: list[str] = []
    files = []
    for name, part in parts(spec):
        file = f"{stem}.{name}{dot}{ending}" if name else path
        files.append(file)
        standing = spec_files.spec_at(file)
        if standing is None and os.path.lexists(file):
            changes.append(f"{file} is damaged, and replaced")
        changes += differences(standing, part)
    return changes + [
        f"{file} is removed: its GPUs are no longer separated" for file in pipeline.parts_left_over(path, files)
    ]
