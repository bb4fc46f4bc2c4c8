"""The image of the containers in the guest: Debian's C library, busybox, and a program that loads given libraries.

It is of the format that podman, Docker and containerd read alike: layers and what they are, in an archive.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "behaviour/podman/loads.c"
NAME = "localhost/loads:latest"
PLACE = "srv/image.tar"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
DIRECTORIES = ("dev", "etc", "proc", "sys", "run", "tmp", "usr/bin", "usr/lib64", LIBRARIES)
# What a pod's first container runs: it only has to exist.
COMMAND = ["/usr/bin/busybox", "sleep", "1000000"]


def make(root: Path, work: Path, inside) -> None:
    """Makes the image in a guest, from the guest's own files. `inside` executes a command there."""
    shutil.copy(PROGRAM, root / "usr/src/loads.c")
    tree = root / "srv/image"
    for name in DIRECTORIES:
        (tree / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    inside(root, ["gcc", "-O1", "-fno-builtin", "-o", "/srv/image/usr/bin/loads", "/usr/src/loads.c"])
    for path in ("usr/bin/busybox", LOADER, f"{LIBRARIES}/libc.so.6"):
        inside(root, ["cp", "-L", f"/{path}", f"/srv/image/{path}"])
    work.mkdir()
    pack(tree, work, root / PLACE)
    for folder in (work, tree):
        shutil.rmtree(folder)


def pack(tree: Path, work: Path, place: Path) -> None:
    layer = work / "layer.tar"
    subprocess.run(["tar", "-C", tree, "--owner=0", "--group=0", "-cf", layer, "."], check=True)
    of_layer = f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": COMMAND, "Env": ["PATH=/usr/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [of_layer]},
    }
    (work / "config.json").write_text(json.dumps(config))
    manifest = [{"Config": "config.json", "RepoTags": [NAME], "Layers": [layer.name]}]
    (work / "manifest.json").write_text(json.dumps(manifest))
    subprocess.run(["tar", "-C", work, "-cf", place, "manifest.json", "config.json", layer.name], check=True)
