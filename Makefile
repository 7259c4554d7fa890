# make demo   set up and train a small network on drawn images, under a minute once set up
# make test   set up and run every check that CI runs
# make test-gpu   the tests that need a GPU, which make test leaves out
# make test-slow  the long repetitions that make test leaves out, some minutes
# make docs   the documentation as a site, on this machine: http://127.0.0.1:8000
.PHONY: demo test test-gpu test-slow docs coverage setup lock clean

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
UV_VERSION := 0.13.8
READY := $(VENV)/.ready

demo: $(READY)
	$(RUN) train.py data=synthetic data.num_train=5000 optimizer=muon scheduler=onecycle max_epochs=4 name=demo
	@$(RUN) scripts/report.py path="$$(ls -td outputs/runs/demo/*/ | head -n 1)" > /dev/null
	@echo "open       $$(ls -td outputs/runs/demo/*/ | head -n 1)report.html"

test: $(READY)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadgroup

test-slow: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadgroup -m slow

# With CIFARLAB_GPU_TESTS=cpu before it, the same tests on the CPU: it tries the tests, not the GPU.
test-gpu: $(READY)
	$(RUN) -m pytest -m gpu tests/gpu

# Built strictly: a dead link fails. Another port: make docs PORT=8001
docs: $(READY)
	$(RUN) scripts/docs.py --serve --port $(or $(PORT),8000)

# Of statements and branches, runs that tests start included, by module and by room; no threshold.
coverage: $(READY)
	OMP_NUM_THREADS=1 $(RUN) -m pytest -n auto --dist loadgroup --cov --cov-report=term
	@for room in src/cifarlab/*/; do \
		share=$$($(RUN) -m coverage report --include="$$room*" --format=total 2> /dev/null) \
			&& printf '%-30s %3s %%\n' "$$room" "$$share"; \
	done

setup: $(READY)

# Byte code is compiled here, once: without it every start of Lightning takes seconds longer.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "cifarlab needs Python 3.11 or newer: make PYTHON=<path> ..."; exit 2; }
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(RUN) -m uv pip install --quiet --python $(RUN) --require-hashes --compile-bytecode -r requirements.lock
	$(RUN) -m uv pip install --quiet --python $(RUN) --no-deps --editable .
	@touch $@

# After a change of the dependencies in pyproject.toml. The lock names no host.
lock: $(READY)
	$(RUN) -m uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade --quiet -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis .coverage*
