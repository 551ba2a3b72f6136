# make install   .venv with the commands homeport and micropython
# make run       the whole system on this machine, shown step by step; stays up until Ctrl-C
# make test      everything: checks, and all tests, the firmware's on Unix MicroPython too
# make firmware  what goes onto a board: BOARD=esp32 [APP=sunpi] [VARIANT=tiny] [FIRMWARE=MicroPython's own file]
# make hil       a board on the bench: BOARD=esp32 PORT=/dev/ttyUSB0 WIFI=SSID [FIRMWARE=…] [ADDRESS=…]; or BOARD=unix
# make nat       every NAT with every NAT; what was measured goes into docs/nat.md
# make bench     throughput, latency and memory, as ratios within one run

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 4

.PHONY: install run test check firmware hil nat bench fuzz clean

install: $(VENV)/.installed

$(VENV)/.installed: firmware/pyproject.toml host/pyproject.toml requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Homeport needs Python 3.11 or newer; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --disable-pip-version-check -e firmware -e 'host[boards]' -r requirements-dev.txt
	@touch $@

run: install
	$(BIN)/homeport demo

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy host/src firmware/homeport_core
	$(BIN)/python tools/check_layers.py
	$(BIN)/python tools/compile_firmware.py

# Most tests wait for something; a file stays with one worker. Those that take longest begin first.
test: check
	$(BIN)/pytest tests/nat tests/e2e tests/budget tests/micropython tests --ignore=tests/bench \
	  -n $(WORKERS) --dist loadfile --no-loadscope-reorder

firmware: install
	@$(BIN)/python tools/make_firmware.py $(BOARD) $(if $(APP),--app $(APP)) $(if $(VARIANT),--variant $(VARIANT)) \
	  $(if $(FIRMWARE),--firmware $(FIRMWARE))

bench: install
	@for bench in tests/bench/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

hil: install
	HIL_BOARD=$(BOARD) $(if $(PORT),HIL_PORT=$(PORT)) $(if $(ADDRESS),HIL_ADDRESS=$(ADDRESS)) $(if $(WIFI),HIL_WIFI=$(WIFI)) \
	  $(if $(FIRMWARE),HIL_FIRMWARE=$(FIRMWARE)) $(BIN)/pytest tests/hil -v -s -x

nat: install
	NAT_TABLE=docs/nat.md $(BIN)/pytest tests/nat/test_nat_matrix.py

fuzz: install
	FUZZ_SECONDS=60 $(BIN)/pytest tests/fuzz

clean:
	rm -rf $(VENV) .venv-* build
