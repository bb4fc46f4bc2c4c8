"""A spec with hooks compared with one without: one line, and not one for each mount."""

from cdi_refreshd.core.cdi.diff import differences
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build.spec import build
from tests.unit.core.inventories import gpu, inventory

SEEN = inventory(gpu(drm=True), gpu(1, drm=True))
WITH, WITHOUT = (build(SEEN, Choices(hooks=hooks)) for hooks in ("nvidia", "none"))


def test_the_change_from_one_kind_to_the_other_is_one_line():
    came = len(WITHOUT.container_edits.mounts) - len(WITH.container_edits.mounts)
    assert differences(WITH, WITHOUT) == [f"every device: hooks are replaced by {came} mounts"]
    assert differences(WITHOUT, WITH) == [f"every device: {came} mounts are replaced by hooks"]


def test_other_changes_are_reported_as_well():
    fewer = build(SEEN._replace(gpus=SEEN.gpus[:1]), Choices(hooks="none"))
    reported = differences(WITH, fewer)
    assert "nvidia.com/gpu=1 is removed" in reported
    assert sum("hooks are replaced" in line for line in reported) == 1
    assert not [line for line in reported if ": mount " in line or ": hook " in line]
