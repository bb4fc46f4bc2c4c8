"""The package takes only the wheel whose hash is locked; one that is there already needs no network."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

FETCH = Path(__file__).parents[2] / "debian/fetch"
WHEEL = "nvidia_ml_py-13.0.0-py3-none-any.whl"


@pytest.fixture
def debian(tmp_path):
    folder = tmp_path / "debian"
    (folder / "vendor").mkdir(parents=True)
    shutil.copy(FETCH, folder)
    locked = hashlib.sha256(b"the wheel").hexdigest()
    (folder / "nvidia-ml-py.txt").write_text(
        f"nvidia-ml-py==13.0.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{locked}\n"
    )
    return folder


def offline(debian):
    return subprocess.run([debian / "fetch", "--offline"], capture_output=True, text=True, check=False)


def test_a_wheel_with_a_locked_hash_is_taken_without_a_network(debian):
    (debian / "vendor" / WHEEL).write_bytes(b"the wheel")
    (debian / "vendor" / WHEEL.replace("13", "12")).write_bytes(b"an older one")
    assert (done := offline(debian)).returncode == 0
    assert done.stdout == f"debian/vendor/{WHEEL}\n"


@pytest.mark.parametrize("content", [None, b"another wheel", b""])
def test_a_missing_or_different_wheel_is_refused(debian, content):
    if content is not None:
        (debian / "vendor" / WHEEL).write_bytes(content)
    assert (done := offline(debian)).returncode == 1
    assert done.stdout == ""
    assert "debian/fetch gets one" in done.stderr
