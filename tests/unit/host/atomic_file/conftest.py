import os
import shutil
import tempfile

import pytest


@pytest.fixture
def shelf():
    """A directory for specs that everybody may read; pytest's own are closed to others."""
    path = tempfile.mkdtemp(prefix="publish-")
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def spec(shelf):
    return os.path.join(shelf, "nvidia.yaml")
