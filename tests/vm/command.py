"""`python -m tests.vm`: see the package's first lines."""

import argparse
import json
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

from . import vm
from .image import RELEASES, image, image_with
from .scenarios import played
from .scenarios.booting import BOOTS

HERE = Path(__file__).parent
TOP = HERE.parent.parent
LIMIT_S = 3600
OLDEST = min(RELEASES)
SOURCES = ("cdi_refreshd", "debian", "systemd")


def scenarios(debian, names, out=None, limit_s=LIMIT_S):
    """Plays scenarios in a fresh machine: the result of each, in order, and the log that has them."""
    with new_job() as job:
        shutil.copytree(HERE / "job", job, dirs_exist_ok=True)
        (job / "product").mkdir()
        shutil.copy(package(), job / "product")
        (job / "names").write_text(" ".join(names))
        return outcome(vm.run(job, Path(out) if out else job.parent / "out", limit_s, image(debian)))


def chosen(debian, names):
    """For each machine, those of the named scenarios that the release plays; without names, all."""
    wanted = [[name for name in every if name in names or not names] for every in played(debian).values()]
    return [names for names in wanted if names]


def booted(name, debian, out=None, limit_s=LIMIT_S):
    """Boots a machine with the package and container runtimes, and lets it check itself: the results, and the log."""
    with new_job() as job:
        for file in ("nvidia-modprobe", "nvidia.rules"):
            shutil.copy(HERE / "guest" / file, job)
        script(job / "prepare", BOOTS[name].prepare)
        script(job / "run", f"exec python3 -m scenarios.booting {name}")
        made_of = image_with(package(), debian)
        out = Path(out) if out else job.parent / "out"
        return outcome(vm.run(job, out, limit_s, made_of, "init=/usr/local/sbin/prepare"))


@contextmanager
def new_job():
    with tempfile.TemporaryDirectory(prefix="vm-job-") as folder:
        job = Path(folder) / "job"
        shutil.copytree(HERE / "scenarios", job / "scenarios", ignore=shutil.ignore_patterns("__pycache__"))
        yield job


def booting(debian):
    """The boots of a release."""
    return [name for name, one in BOOTS.items() if debian in one.debian]


def script(path, lines):
    path.write_text(f"#!/bin/sh -e\n{lines}\n")
    path.chmod(0o755)


def outcome(ended):
    return [json.loads(line) for line in ended.log.splitlines() if line.startswith('{"scenario"')], ended


def package():
    """The Debian package that `make deb` made. A warning is printed where it is older than its sources."""
    built = sorted((TOP / "dist").glob("cdi-refreshd_*_all.deb"), key=lambda path: path.stat().st_mtime)
    if not built:
        sys.exit("There is no package in dist/: make deb")
    sources = [path for name in SOURCES for path in (TOP / name).rglob("*") if "__pycache__" not in path.parts]
    newer = [path for path in sources if path.is_file() and path.stat().st_mtime > built[-1].stat().st_mtime]
    if newer:
        print(f"{built[-1]} IS OLDER THAN {newer[0]}: make deb", file=sys.stderr, flush=True)
    return built[-1]


def table(results):
    width = max((len(one["scenario"]) for one in results), default=0)
    for one in results:
        seconds = "  never" if one["seconds"] is None else f"{one['seconds']:7.2f}"
        limits = f"of {one['limit_s']:<4g} (bare start {one['bare_start_s']:.2f} s)"
        yield f"{one['debian']} {one['scenario']:<{width}} {seconds} s  {limits} {one['wrong']}".rstrip()


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description="cdi-refreshd in a virtual machine")
    commands = parser.add_subparsers(dest="command", required=True)
    play = commands.add_parser("scenarios", help="play scenarios and time them")
    boots = commands.add_parser("boots", help="boot in each of several ways, and check the result")
    for command in (play, boots):
        command.add_argument("names", nargs="*", metavar="NAME", help="all of them where none is named")
        command.add_argument("--out", metavar="FOLDER", help="keep the journal and the consoles there")
    run = commands.add_parser("run", help="boot, run FOLDER/run as root, bring back /out")
    run.add_argument("folder", type=Path)
    run.add_argument("out", type=Path)
    run.add_argument("--append", default="", help="more words for the kernel's command line")
    for command in (play, boots, run):
        command.add_argument("--limit", type=float, default=LIMIT_S, metavar="SECONDS")
        command.add_argument("--debian", type=int, choices=RELEASES, default=OLDEST, help=f"default: {OLDEST}")
    asked = parser.parse_args()
    if asked.command == "run":
        ended = vm.run(asked.folder, asked.out, asked.limit, image(asked.debian), asked.append)
        print(ended.log, end="")
        return ended.status
    if asked.command == "boots":
        folder = Path(asked.out) if asked.out else None
        plays = (
            booted(name, asked.debian, folder and folder / name, asked.limit)
            for name in asked.names or booting(asked.debian)
        )
    else:
        plays = (scenarios(asked.debian, names, asked.out, asked.limit) for names in chosen(asked.debian, asked.names))
    played = []
    for every, ended in plays:
        print(ended.log, flush=True)
        played.append((every, ended))
    results = [one for every, _ in played for one in every]
    print(*table(results), sep="\n")
    print(f"\n{len(results)} scenarios in {sum(ended.wall_s for _, ended in played):.0f} s, {vm.accelerator()}")
    return max(ended.status for _, ended in played) or int(any(one["wrong"] for one in results))
