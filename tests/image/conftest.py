"""`make image-test` names this folder: the other tests build no image, which takes minutes."""

import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
NAME = "localhost/cdi-refreshd-test:latest"


def pytest_ignore_collect(collection_path, config):
    named = any("tests/image" in argument for argument in config.args)
    return True if collection_path.name.startswith("test_") and not named else None


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """The image's root, as a folder."""
    for command in ([TOP / "tests/package/build", TOP / "dist"], [TOP / "deploy/build", NAME]):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    container = printed("buildah", "from", NAME)
    root = tmp_path_factory.mktemp("image") / "root"
    try:
        subprocess.run(["cp", "-a", printed("buildah", "mount", container), root], check=True)
        yield root
    finally:
        subprocess.run(["buildah", "rm", container], check=False, capture_output=True)
        shutil.rmtree(root, ignore_errors=True)


def printed(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
