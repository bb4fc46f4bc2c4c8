import pytest

from cdi_refreshd.core.refresh.driver_unload import is_sign


@pytest.mark.parametrize(
    "words",
    [
        "module remove nvidia_uvm",
        "module remove nvidia_drm",
        "module remove nvidia_fs",
        "drm remove card1",
        "/dev/dri/renderD128 deleted (node)",
        "/dev/dri/by-path is gone (node)",
        "/run/nvidia-persistenced/socket deleted (socket)",
        "/run/nvidia-persistenced is gone (socket)",
    ],
)
def test_parts_of_the_driver_go_and_the_rest_may_follow(words):
    assert is_sign(words)


@pytest.mark.parametrize(
    "words",
    [
        "module remove nvidia",
        "module remove nvidia_current",
        "module add nvidia_uvm",
        "drivers remove nvidia",
        "pci unbind 0000:65:00.0",
        "pci remove 0000:65:00.0",
        "drm add card1",
        "/dev/nvidia0 deleted (node)",
        "/dev/nvidia-uvm deleted (node)",
        "/run/nvidia-persistenced/socket is there (socket)",
        "/run/cdi/nvidia.yaml deleted (spec)",
    ],
)
def test_what_is_true_at_once_or_comes_is_no_such_sign(words):
    assert not is_sign(words)
