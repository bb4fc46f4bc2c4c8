"""What pyproject.toml cannot say: systemd/ is the one place of the units, and a wheel carries a copy of it."""

import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py

SOURCE, TARGET = "systemd", "cdi_refreshd/units"


class WithUnits(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # a checkout has systemd/ itself
            return
        for file, copy in zip(self._units(), self._copies(), strict=True):
            self.mkpath(str(pathlib.Path(copy).parent))
            self.copy_file(file, copy)

    def get_source_files(self) -> list[str]:
        return [*super().get_source_files(), *self._units()]

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(() if self.editable_mode else self._copies())]

    def _units(self) -> list[str]:
        return sorted(str(path) for path in pathlib.Path(SOURCE).rglob("*") if path.is_file())

    def _copies(self) -> list[str]:
        top = pathlib.Path(self.build_lib, TARGET)
        return [str(top / pathlib.Path(unit).relative_to(SOURCE)) for unit in self._units()]


setup(cmdclass={"build_py": WithUnits})
