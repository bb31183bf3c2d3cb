# Two commands do everything: `make run` and `make test`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python
export PORT HOST KUBECONFIG
# A kubeconfig of the environment is not meant for us; `make run KUBECONFIG=FILE` is.
ifeq ($(origin KUBECONFIG),environment)
unexport KUBECONFIG
endif
# Tools that load Django's settings without serving anything.
CHECK_ENV := SECRET_KEY=only-for-checks-0123456789-0123456789-0123456789-012345 DATABASE_URL=postgres:///none REDIS_URL=redis://localhost

.PHONY: help run manage test check bench secrets lock clean install install-dev

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: install  ## everything on this machine, with a demo fleet; PORT=8000 HOST=127.0.0.1 KUBECONFIG=file
	@exec $(RUN) -m secretsdash.local

manage: install  ## manage.py against a running `make run`: make manage ARGS="createtoken NAME"
	@$(RUN) -m secretsdash.local.manage $(ARGS)

test: install-dev  ## install what tests need, then all checks and all tests
	@$(RUN) -m tests.chromium
	@$(RUN) -m tests.envtest
	@$(MAKE) --no-print-directory check
	@$(RUN) -m pytest

check: install-dev  ## lint, types, import contracts, Django's checks, missing migrations
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(CHECK_ENV) $(RUN) -m mypy
	.venv/bin/lint-imports --no-cache
	$(CHECK_ENV) $(RUN) manage.py check --fail-level WARNING
	$(CHECK_ENV) $(RUN) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run

bench: install-dev  ## the promises with figures; fails when a bound is missed
	@$(RUN) -m benchmarks

secrets: install  ## passwords and keys for docker-compose.yml into deploy/secrets/, once
	@$(RUN) -m secretsdash.local.deployment_secrets deploy/secrets

# Universal: the same file serves every platform and every Python from 3.11 on. The smaller locks are held to the pins
# of the largest, so that installing it serves `make run` too. The container image takes requirements.lock.
LOCK := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command "make lock"

lock: install-dev  ## newest versions into the lock files
	$(LOCK) --upgrade --extra local --extra dev --output-file requirements-dev.lock pyproject.toml
	$(LOCK) --upgrade --extra local --constraints requirements-dev.lock --output-file requirements-local.lock pyproject.toml
	$(LOCK) --upgrade --constraints requirements-dev.lock --output-file requirements.lock pyproject.toml
	echo uv | $(LOCK) --upgrade --output-file requirements-bootstrap.lock -

clean:  ## remove the virtual environment and all local data
	@$(PYTHON) -m secretsdash.local.clean

install:
	@$(PYTHON) -m secretsdash.local.install run

install-dev:
	@$(PYTHON) -m secretsdash.local.install dev
