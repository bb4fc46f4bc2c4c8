"""Compiles the stand-in libdxcore.so."""

import subprocess
from pathlib import Path


def build(path, store="/store/", adapters=1, wddm=3100, enum_status=0, store_status=0, only_2=False):
    macros = {
        "STORE": f'u"{store}"',
        "ADAPTERS": adapters,
        "WDDM0": wddm,
        "ENUM_STATUS": enum_status,
        "STORE_STATUS": store_status,
    } | ({"ONLY_2": 1} if only_2 else {})
    defines = [f"-D{name}={value}" for name, value in macros.items()]
    source = Path(__file__).with_name("dxcore.c")
    subprocess.run(["gcc", "-shared", "-fPIC", *defines, "-o", path, source], check=True)
    return str(path)
