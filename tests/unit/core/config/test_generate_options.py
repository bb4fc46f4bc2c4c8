"""Checked options: an unknown value is one short line that names the nearest known one."""

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import FEATURE_FLAGS, HOOKS, MODES, absolute, checked, nearest
from cdi_refreshd.core.findings import UsageFault, quoted

DEFAULTS = Choices()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "nvm"}, "--mode: there is no 'nvm'; did you mean nvml?"),
        ({"mode": "xxxx"}, "--mode: there is no 'xxxx'; known: auto, csv, gdrcopy"),
        ({"name_strategies": ("uid",)}, "--device-name-strategy: there is no 'uid'; did you mean uuid?"),
        ({"name_strategies": ()}, "--device-name-strategy: is empty; known: index"),
        ({"disabled_hooks": ("chmd",)}, "--disable-hook: there is no 'chmd'; did you mean chmod?"),
        ({"enabled_hooks": ("all",)}, "--enable-hook: there is no 'all'; known: chmod, "),
        ({"feature_flags": ("no-device-number",)}, "there is no 'no-device-number'; did you mean no-device-numbers?"),
        ({"vendor": "n"}, "--vendor: 'n' has one character"),
        ({"class_name": "g/pu"}, "--class: 'g/pu' must begin with a letter"),
        ({"vendor": ""}, "--vendor: must not be empty"),
        ({"driver_root": "run/nvidia"}, "--driver-root: 'run/nvidia' is not an absolute path"),
        ({"dev_root": "/a/../b"}, "--dev-root: '/a/../b' contains .."),
        ({"dev_root": "/a\udcff"}, "--dev-root: '/a\\udcff' is not printable UTF-8"),
        ({"library_search_paths": ("lib",)}, "--library-search-path: 'lib' is not an absolute path"),
        ({"config_search_paths": ("/a\nb",)}, "--config-search-path: '/a\\nb' is not printable UTF-8"),
        ({"ldconfig_path": "/sbin\n"}, "--ldconfig-path: '/sbin\\n' is not printable"),
        ({"csv_compat_root": "\udcff"}, "--csv.compat-container-root: '\\udcff' is not printable"),
        ({"hook_path": "./hook"}, "--nvidia-cdi-hook-path: './hook' is neither a name nor absolute"),
    ],
)
def test_an_unknown_value_is_reported_with_its_option(change, said):
    with pytest.raises(UsageFault) as fault:
        checked(DEFAULTS._replace(**change))
    assert said in str(fault.value)
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("mode", [*MODES, "NVML", "Auto"])
def test_every_mode_is_known_in_any_case(mode):
    assert checked(DEFAULTS._replace(mode=mode)).mode == mode.lower()


def test_every_hook_and_feature_flag_is_known():
    checked(DEFAULTS._replace(disabled_hooks=(*HOOKS, "all"), enabled_hooks=HOOKS, feature_flags=FEATURE_FLAGS))


@pytest.mark.parametrize(
    ("path", "tidy"),
    [("", "/"), ("/", "/"), ("//", "/"), ("/x/", "/x"), ("/run//nvidia/./driver/", "/run/nvidia/driver")],
)
def test_a_root_has_no_slash_at_its_end(path, tidy):
    assert absolute("--driver-root", path) == tidy


def test_a_directory_given_twice_is_read_once():
    tidy = checked(DEFAULTS._replace(name_strategies=("uuid", "index", "uuid"), device_ids=("1", "0", "1")))
    assert (tidy.name_strategies, tidy.device_ids) == (("uuid", "index"), ("1", "0"))


def test_no_device_id_means_all():
    assert checked(DEFAULTS._replace(device_ids=())).device_ids == ("all",)


def test_a_long_list_of_known_names_is_cut():
    hint = nearest("zzz", [str(number) for number in range(200)])
    assert hint.endswith("8, 9 and 190 more")


def test_a_long_word_is_cut():
    assert len(quoted("x" * 10000)) < 80
