"""`cdi-refreshd adopt`: leave one spec of our devices, by moving forgotten ones aside. Nothing is deleted."""

import sys
from typing import NamedTuple

from cdi_refreshd import config
from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.cdi.spec_places import OUR_KIND, SPEC_DIRECTORIES, our_paths
from cdi_refreshd.core.checks import directory_rules
from cdi_refreshd.core.findings import Fault, UsageFault, printable
from cdi_refreshd.host import set_aside, units
from cdi_refreshd.inspect import spec_files

DESCRIPTION = """Move aside the files in the spec directories that define the same devices as the spec that cdi-refreshd
publishes: they get a name that no container runtime reads. Files of other kinds are not touched. Exit status: 0 done,
or nothing to do; 1 something could not be renamed, or you said no; 2 usage."""


class Plan(NamedTuple):
    ours: str
    paths: list[str]


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd adopt", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--dry-run", "-n", action="store_true", help="print what would be done, and do nothing")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument(
        "--spec-dir", metavar="DIR", action="append", help="search here (default: as container runtimes do)"
    )
    parsed = parser.parse_args(argv)
    plan = planned(parsed.spec_dir or list(SPEC_DIRECTORIES), config.read().settings.output)
    rivals = units.enabled(directory_rules.RIVALS)
    if rivals:
        print(f"cdi-refreshd: {directory_rules.rival_unit(rivals, True).finding}", file=sys.stderr)
    if not plan.paths:
        print("nothing to move aside")
        return 0
    if not parsed.yes or parsed.dry_run:  # else each line would be followed by one that says the same of what was done
        for path in plan.paths:
            print(printable(f"{path} -> {set_aside.name_for(path)}"))
    if parsed.dry_run:
        return 0
    if not parsed.yes and not agreed():
        return 1
    return max([put(path) for path in plan.paths])


def planned(directories: list[str], ours: str) -> Plan:
    """Raises Fault if our own spec is missing: then containers depend on the others."""
    loaded = spec_files.load(directories)
    documents = loaded.documents(our_paths(ours))
    mine = next((document for document in documents if document.ours and document.kind), None)
    if mine is None:
        left = directory_rules.same_kind(documents, OUR_KIND)
        if left:
            fact = f"is missing; without it, containers depend on {' and '.join(left)}"
            raise Fault(ours, fact, "cdi-refreshd oneshot, then adopt")
        return Plan(ours, [])
    for one in loaded.broken:
        if one.path not in loaded.kinds:
            text = f"{one.path}: {one.problem.fact}; it stays, since its content is unknown"
            print(f"cdi-refreshd: {printable(text)}", file=sys.stderr)
    return Plan(ours, directory_rules.same_kind(documents, mine.kind))


def agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageFault("adopt", "cannot ask without a terminal", "give --yes, or --dry-run")
    sys.stdout.flush()
    print("Rename? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def put(path: str) -> int:
    try:
        name = set_aside.put(path)
    except Fault as fault:
        print(f"cdi-refreshd: {fault}", file=sys.stderr)
        return 1
    print(printable(f"{path} is now {name}"), file=sys.stderr)
    return 0
