import os

import pytest


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No variable of the environment that the tests run in counts."""
    for name in os.environ:
        if name.startswith(("NVIDIA_CTK_", "CDI_REFRESHD_")):
            monkeypatch.delenv(name)


@pytest.fixture
def roots(tmp_path):
    """Empty /etc, /run and /usr/lib, in the order of precedence."""
    return [str(tmp_path / name) for name in ("etc", "run", "lib")]


@pytest.fixture
def write(roots):
    """write(0, "10-a.conf", text): a drop-in of the first root; "" is the main file."""

    def write(root, name, content):
        path = f"{roots[root]}/cdi-refreshd.conf" + (f".d/{name}" if name else "")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return path

    return write
