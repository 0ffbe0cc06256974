# Each target sets up what it needs in .venv: Python >= 3.11 and g++ are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c .ci/constraints.txt
SOURCES := CMakeLists.txt pyproject.toml $(wildcard cpp/*.cpp cpp/*.hpp cpp/*/*.hpp cuda/*)
# CUDA kernels: AUTO (where there is a compiler), ON or OFF; those in .venv for some GPUs only.
CUDA ?= AUTO
# Warnings of compilers are errors: ON in continuous integration.
WERROR ?= OFF
CUDA_ARCHITECTURES ?= 80-real;90
KERNEL_TESTS := tests/jagged/test_jagged.py $(addprefix tests/kernels/test_,$(addsuffix .py,padding \
  aggregate select dimuon nearest histogram histogram_cuts pyramid pages rows nested))

.PHONY: demo test lint docs sanitize cuda gpu mutants mutants-python docs-numbers bench wheel manylinux servers slow clean

demo: $(VENV)/.search
	$(BIN)/fastjag info
	mkdir -p demo
	$(BIN)/fastjag toys demo/toys.root --events 300000 --seed 1
	$(BIN)/fastjag spectrum demo/toys.root --out demo/spectrum --muon-id tightId
	$(BIN)/fastjag convert demo/toys.root --out demo/tensors --columns 'Muon_*' --columns 'Jet_pt' \
	  --columns 'MET_*' --pad Muon=4:pt --format parquet
	$(BIN)/fastjag dimuon toys demo/search/toys.root --seed 1
	$(BIN)/fastjag dimuon run demo/search/search.toml --out demo/search
	$(BIN)/fastjag diphoton run --sample --out demo/diphoton
	@echo "Look at the report.html in demo/spectrum, demo/search/report and demo/diphoton/report"

test: $(VENV)/.test
	$(MAKE) -j2 -C tests/cuda_emulation PYTHON=$(CURDIR)/$(BIN)/python
	FASTJAG_EXPECT_EMULATION=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

# What does not fit into the time of continuous integration: tests with pytest's marker "slow", and wheels.
slow: $(VENV)/.test
	$(BIN)/python -m pytest -q -m slow
	$(MAKE) wheel

# What tests need beyond Python and g++: Debian packages, as root.
servers:
	$(PYTHON) tests/debian.py

lint: $(VENV)/.test $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=python $(BIN)/stubtest fastjag._cpu
	$(BIN)/clang-format --dry-run --Werror cpp/*.?pp cpp/*/*.hpp cuda/*.cu* cuda/*.?pp tests/cpp/*.cpp \
	  tests/cuda_emulation/*.?pp tests/cuda_emulation/*.h tests/cuda_emulation/cub/*/* tests/cuda_emulation/planted/* \
	  benchmarks/*.cpp benchmarks/root_loops/*.?pp
	$(BIN)/codespell README.md CHANGELOG.md CMakeLists.txt Makefile docs cpp cuda python tests benchmarks \
	  --skip '*.png,__pycache__'

# The site of documentation, in build/docs: pages of docs/ and generated ones. Needs no network.
docs: $(VENV)/.docs
	PYTHONPATH=docs $(BIN)/python -W error -m docsite.pages build/docs-source
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html -c docs build/docs-source build/docs
	PYTHONPATH=docs $(BIN)/python -m docsite.check build/docs

# The kernel tests with AddressSanitizer and UndefinedBehaviorSanitizer. The base interpreter sees
# the packages of .venv by PYTHONPATH, which leaves out its editable fastjag.
SITE = $(shell $(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
SANITIZED = LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
  ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=$(CURDIR)/build/sanitize/site:$(SITE) \
  FASTJAG_EXPECT_SANITIZED=1 \
  $$($(BIN)/python -c 'import sys; print(sys._base_executable)') -m pytest -q
sanitize: $(VENV)/.test
	$(PIP) --no-deps --upgrade --target build/sanitize/site -Cbuild-dir=build/sanitize/cmake \
	  -Ccmake.define.FASTJAG_SANITIZE=ON -Ccmake.define.FASTJAG_CUDA=OFF \
	  -Ccmake.define.FASTJAG_WERROR=$(WERROR) .
	$(SANITIZED) $(KERNEL_TESTS) tests/kernels/test_sanitized.py
	FASTJAG_SIMD=v2 $(SANITIZED) $(addprefix tests/kernels/test_,$(addsuffix .py,padding aggregate dimuon pages rows \
	  pyramid))

# The machine code of the CUDA kernels: registers, spills, occupancy and widths of accesses against
# benchmarks/gpu_ceilings.json. Without a CUDA compiler it says so and does nothing.
cuda: $(VENV)/.test $(VENV)/.cuda
	$(BIN)/python benchmarks/static_gpu.py --check

# On a machine with a GPU: CuPy, all tests on the device, too, compute-sanitizer, the benchmark; one summary.
gpu: $(VENV)/.test
	$(PIP) $$($(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["cuda"])')
	$(MAKE) -j2 -C tests/cuda_emulation PYTHON=$(CURDIR)/$(BIN)/python
	SITE= PYTHON=$(CURDIR)/$(BIN)/python bash benchmarks/gpu_node.sh tests sanitize bench study ncu

# Defects put into the CUDA kernels, one at a time, that the emulation has to find: half an hour.
mutants: $(VENV)/.test
	$(BIN)/python tests/mutants.py --write

# The same with the package's Python, of some modules: make mutants-python SEED=2 NUMBER=50
SEED ?= 1
NUMBER ?= 200
mutants-python: $(VENV)/.test
	$(BIN)/python tests/mutants_python.py $(SEED) $(NUMBER) $(MODULES)

# Every number of README.md, and pictures that the same commands make. Some only: NUMBERS='races kernels'
docs-numbers: $(VENV)/.search
	$(BIN)/python benchmarks/docs_numbers.py $(NUMBERS)

# Some only: make bench BENCH='spectrum histogram'
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py $(BENCH)

# The sdist, and wheels made from it for the Pythons that are here, each tried in a clean environment.
PYTHONS ?=
WHEEL_ARCHITECTURES ?= all
wheel: $(VENV)/.wheel
	mkdir -p build
	$(BIN)/python tests/wheels.py --cuda $(CUDA) --architectures '$(WHEEL_ARCHITECTURES)' $(if $(PYTHONS),--pythons $(PYTHONS))

# Wheels for other machines, in dist/manylinux, by cibuildwheel: needs Docker or Podman.
manylinux: $(VENV)/.wheel
	$(BIN)/python -m cibuildwheel --output-dir dist/manylinux

$(VENV)/.created:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.package: $(VENV)/.created $(SOURCES)
	$(PIP) -Ccmake.define.FASTJAG_CUDA=$(CUDA) -Ccmake.define.FASTJAG_WERROR=$(WERROR) \
	  -Ccmake.define.FASTJAG_CUDA_ARCHITECTURES='$(CUDA_ARCHITECTURES)' -e '.[cli]'
	touch $@

$(VENV)/.search: $(VENV)/.package pyproject.toml
	$(PIP) --group search
	touch $@

$(VENV)/.test: $(VENV)/.package
	$(PIP) --group test
	touch $@

$(VENV)/.docs: $(VENV)/.package pyproject.toml
	$(PIP) --group docs
	touch $@

$(VENV)/.cuda: $(VENV)/.created pyproject.toml
	$(PIP) --group cuda
	touch $@

$(VENV)/.wheel: $(VENV)/.created pyproject.toml
	$(PIP) --group wheel
	touch $@

$(VENV)/.lint: $(VENV)/.created pyproject.toml
	$(PIP) --group lint
	touch $@

# A peer that cannot be installed leaves a line in the tables, and the others run. Of the two without
# dependencies, what we compare with needs nothing more than the group brings.
$(VENV)/.bench: $(VENV)/.package pyproject.toml
	$(PIP) --group bench
	-$(PIP) --no-deps weaver-core
	-$(PIP) --no-deps fbgemm-gpu-cpu==1.8.0
	-$(PIP) coffea
	-$(PIP) root
	touch $@

clean:
	rm -rf $(VENV) build dist demo
