# Everything lives in .venv; `make` says what there is to type.

PYTHON := .venv/bin/python
READY := .venv/.ready
BECOME_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n env PYTHONDONTWRITEBYTECODE=1)

.NOTPARALLEL:
.PHONY: help setup run test deb deb-test rpm rpm-test vm-test lint bench generated clean
.PHONY: packages-run packages-test packages-deb packages-deb-test packages-rpm packages-rpm-test packages-vm

help:
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 17

setup: packages-test $(READY) ## .venv, and the packages that the tests need

run: packages-run $(READY) ## see it work: on this host's GPUs, or else in a made-up machine
	@$(PYTHON) -m tests.demo

test: packages-test $(READY) ## all tests, linters included
	@tests/all

deb: packages-deb ## the Debian package, into dist/
	@tests/package/build dist

deb-test: packages-deb-test $(READY) ## the package installed, upgraded, removed and purged in a fresh Debian: root
	@$(BECOME_ROOT) $(PYTHON) -m pytest tests/package/test_deb.py

rpm: packages-rpm ## the rpm for Fedora and its like, into dist/
	@packaging/rpm/build dist

rpm-test: packages-rpm-test $(READY) ## the rpm: rpmlint, and the same files in it as in the Debian package
	@$(PYTHON) -m pytest tests/package/test_rpm.py

vm-test: deb packages-vm $(READY) ## the package under a real systemd: a virtual machine, root, half an hour
	@$(BECOME_ROOT) $(PYTHON) -m pytest tests/vm

lint: $(READY) ## ruff and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

bench: $(READY) ## numbers: how long things take here
	@for file in tests/bench/[a-z]*.py; do \
	    echo "== $$file"; $(PYTHON) -m "tests.bench.$$(basename "$$file" .py)" || exit 1; \
	done

generated: $(READY) ## what is made from the tables of keys and options: default configuration, man page, completions
	$(PYTHON) -c 'from cdi_refreshd.core.config.template import template; print(template(), end="")' > systemd/cdi-refreshd.conf
	$(PYTHON) man/generate.py > man/cdi-refreshd.conf.5
	$(PYTHON) completion/generate.py bash > completion/cdi-refreshd.bash
	$(PYTHON) completion/generate.py zsh > completion/_cdi-refreshd
	$(PYTHON) completion/generate.py fish > completion/cdi-refreshd.fish

clean: ## away with .venv, caches and builds
	rm -rf .venv build dist *.egg-info .hypothesis .mypy_cache .ruff_cache "$${XDG_CACHE_HOME:-$$HOME/.cache}/cdi-refreshd"
	find . -name __pycache__ -prune -exec rm -rf {} +

packages-run packages-test packages-deb packages-deb-test packages-rpm packages-rpm-test packages-vm:
	@tests/packages $(@:packages-%=%)

$(READY): pyproject.toml
	[ -x $(PYTHON) ] || python3 -m venv .venv
	# compat: a plain path in site-packages. The other kind of editable install costs every start 25 ms.
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat \
	    --editable '.[test]'
	$(PYTHON) -m compileall -q cdi_refreshd
	@touch $@
