# Herdmark. `make run` opens the app on a demo project, `make test` proves that it works.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 7860
export PYTHON TORCH CHROMIUM

.PHONY: run test test-long interop lint format screenshots clean

# make run [PHOTOS=dir [LABELS=coco.json]] [TORCH=cpu] [PORT=7860]
run:
	@.ci/setup
	@.venv/bin/python launch.py serve $(if $(PHOTOS),--photos "$(PHOTOS)",) \
		$(if $(LABELS),--labels "$(LABELS)",) --host $(HOST) --port $(PORT)

# Everything that must hold, a real browser included: 16 minutes on two cores of 2.1 GHz with the
# installation, four more than meant. Two files at a time, but what a browser shows is not judged
# while something else takes its processor.
test: export HERDMARK_CACHE = $(CURDIR)/.venv/exports-of-tests
test:
	@.ci/setup test lint browser
	@rm -rf "$$HERDMARK_CACHE"
	.venv/bin/python -m pytest -m "not long and not browser" -n 2 --dist loadfile --no-loadscope-reorder
	.venv/bin/python -m pytest -m "not long and browser"

# Long fuzzing, races and soak.
test-long:
	@.ci/setup test lint browser
	.venv/bin/python -m pytest

# Other people's readers (pycocotools, datumaro, supervision) agree with our exports.
interop:
	@.ci/setup
	@.ci/interop

lint:
	@.ci/setup test lint
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format:
	@.ci/setup test lint
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# Pictures of the running app for the README and docs/, from synthetic scenes only.
screenshots:
	@.ci/setup test lint browser
	.venv/bin/python docs/make_screenshots.py

clean:
	rm -rf .venv .venv-interop build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
