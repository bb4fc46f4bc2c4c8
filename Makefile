# Everything is installed in .venv; `make` lists the targets.

VENV := .venv
PYTHON := $(VENV)/bin/python
PIP = umask 022 && $(PYTHON) -m pip --disable-pip-version-check --quiet
READY := $(VENV)/.ready
# umask: tests of other users import from .venv.
# compat: a plain path in site-packages. The other kind of editable install costs every start 25 ms.
EDITABLE := --config-settings editable_mode=compat --editable
BECOME_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n env PYTHONDONTWRITEBYTECODE=1)

.NOTPARALLEL:
.PHONY: help setup run test test-latest random-machines deb deb-test rpm rpm-test image image-test vm-test lint lock bench generated clean newest
.PHONY: packages-run packages-test packages-deb packages-deb-test packages-rpm packages-rpm-test packages-image packages-image-test packages-vm

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 26

setup: packages-test $(READY) ## .venv, and the packages that the tests need

run: packages-run $(READY) ## see it work: on this host's GPUs, or else in a made-up machine
	@$(PYTHON) -m tests.demo

test: packages-test $(READY) ## all tests, linters included
	@tests/all

test-latest: packages-test ## the same, in .venv-latest with the newest version of everything instead of the locked ones
	[ -x .venv-latest/bin/python ] || (umask 022 && python3 -m venv .venv-latest)
	$(MAKE) --no-print-directory VENV=.venv-latest newest
	@VENV=.venv-latest tests/all

deb: packages-deb ## the Debian package, into dist/; nvidia-ml-py's wheel is fetched once, into debian/vendor
	@tests/package/build dist

deb-test: packages-deb-test $(READY) ## the package installed, upgraded, removed and purged in a fresh Debian: root
	@debian/fetch
	@$(BECOME_ROOT) $(PYTHON) -m pytest tests/package/test_deb.py

rpm: packages-rpm ## the rpm for Fedora and its like, into dist/
	@packaging/rpm/build dist

rpm-test: packages-rpm-test $(READY) ## the rpm: rpmlint, and the same files in it as in the Debian package
	@$(PYTHON) -m pytest tests/package/test_rpm.py

image: packages-image deb ## the container image of the node agent, by buildah: root; BASE= names what to build it on
	@$(BECOME_ROOT) deploy/build

image-test: packages-image-test $(READY) ## the image as the DaemonSet runs it, under podman: root
	@$(BECOME_ROOT) $(PYTHON) -m pytest tests/image

random-machines: packages-test $(READY) ## oneshot and check compared over 300 random machines: root, ten minutes
	@$(BECOME_ROOT) env RANDOM_MACHINES=300 $(PYTHON) -m pytest -q tests/behaviour/agreement

vm-test: deb packages-vm $(READY) ## the package under a real systemd: virtual machines, root, an hour
	@$(BECOME_ROOT) $(PYTHON) -m pytest tests/vm

lint: $(READY) ## ruff, mypy and codespell
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m codespell_lib

bench: $(READY) ## measurements: how long things take here
	@for file in tests/bench/[a-z]*.py; do \
	    echo "== $$file"; $(PYTHON) -m "tests.bench.$$(basename "$$file" .py)" || exit 1; \
	done

generated: $(READY) ## make the files that come from the tables of keys, options and rules: configuration, man page, completions, docs
	$(PYTHON) -c 'from cdi_refreshd.core.config.template import template; print(template(), end="")' > systemd/cdi-refreshd.conf
	$(PYTHON) man/generate.py > man/cdi-refreshd.conf.5
	$(PYTHON) docs/generate.py
	$(PYTHON) completion/generate.py bash > completion/cdi-refreshd.bash
	$(PYTHON) completion/generate.py zsh > completion/_cdi-refreshd
	$(PYTHON) completion/generate.py fish > completion/cdi-refreshd.fish

clean: ## remove .venv, caches and builds
	rm -rf .venv .venv-latest build dist debian/vendor *.egg-info .hypothesis .mypy_cache .ruff_cache "$${XDG_CACHE_HOME:-$$HOME/.cache}/cdi-refreshd"
	find . -name __pycache__ -prune -exec rm -rf {} +

packages-run packages-test packages-deb packages-deb-test packages-rpm packages-rpm-test packages-image packages-image-test packages-vm:
	@tests/packages $(@:packages-%=%)

# Hashes for all versions of Python from 3.10 on and for all platforms; uv is what makes them, pip is what reads them.
LOCK = build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes \
    --custom-compile-command "make lock"

lock: ## write the newest versions and their hashes into lock/: for the tests, and for the package's wheel
	[ -x build/lock/bin/uv ] || { python3 -m venv build/lock && build/lock/bin/pip install --quiet uv; }
	echo setuptools | $(LOCK) --output-file lock/build.txt -
	$(LOCK) --extra test --output-file lock/test.txt pyproject.toml
	echo nvidia-ml-py | $(LOCK) --output-file debian/nvidia-ml-py.txt -

# The build backend first: what is built is built with it, and nothing that is not locked is fetched.
$(READY): pyproject.toml lock/build.txt lock/test.txt
	[ -x $(PYTHON) ] || (umask 022 && python3 -m venv $(VENV))
	$(PIP) install --require-hashes --requirement lock/build.txt
	$(PIP) install --require-hashes --no-build-isolation --use-pep517 --requirement lock/test.txt
	$(PIP) install --no-deps --no-build-isolation $(EDITABLE) .
	$(PYTHON) -m compileall -q cdi_refreshd
	@touch $@

newest:
	$(PIP) install --upgrade pip setuptools
	$(PIP) install --upgrade --upgrade-strategy eager $(EDITABLE) '.[test]'
	$(PIP) freeze --exclude-editable
