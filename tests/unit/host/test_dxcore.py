"""Driver stores, out of a stand-in libdxcore.so through the real calls. Run in a child each: a library stays open."""

import pytest

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import dxcore

from .children import answer
from .dxcore import build


def stores(library):
    return answer(lambda: "\n".join(dxcore.driver_stores(library)).encode()).decode().splitlines()


@pytest.mark.parametrize("only_2", [False, True])
def test_adapters_report_their_stores_by_either_call(tmp_path, only_2):
    library = build(tmp_path / "libdxcore.so", adapters=3, only_2=only_2)
    assert stores(library) == ["/0tore", "/store"]


def test_an_adapter_of_an_older_driver_model_is_passed_over(tmp_path):
    assert stores(build(tmp_path / "libdxcore.so", adapters=2, wddm=2699)) == ["/store"]
    assert stores(build(tmp_path / "new.so", adapters=2, wddm=2700)) == ["/0tore", "/store"]


def test_no_adapter_and_no_store_are_not_a_fault(tmp_path):
    assert stores(build(tmp_path / "none.so", adapters=0)) == []
    assert stores(build(tmp_path / "libdxcore.so", store_status=1)) == []


def test_a_failure_to_list_is_reported_with_its_status(tmp_path):
    library = build(tmp_path / "libdxcore.so", enum_status="(int)0xc000000d")
    with pytest.raises(Fault, match="failed with status 0xc000000d"):
        stores(library)


def test_a_library_without_the_calls_is_reported(tmp_path):
    with pytest.raises(Fault, match=r"libm.so.6: does not report where the driver is .*wsl --update"):
        stores("libm.so.6")
    with pytest.raises(Fault, match=r"/nowhere/libdxcore.so: "):
        stores("/nowhere/libdxcore.so")


def test_whether_it_can_be_opened_is_reported(tmp_path):
    library = build(tmp_path / "libdxcore.so")

    def can_open(library):
        return answer(lambda: b"%d" % dxcore.can_open(library))

    assert can_open(library) == b"1"
    assert can_open(str(tmp_path / "none.so")) == b"0"
