# `make` lists the targets. The building itself is CMake's (CMakeLists.txt, CMakePresets.json).
SHELL := /bin/bash
PREFIX ?= /usr/local
NP ?= 2
CFG ?= configs/demo.toml
PYTHON ?= python3
# Tests on several ranks wait for each other: three at a time left a third of two cores idle.
TEST_JOBS ?= $(shell echo $$(($(shell nproc) * 5 / 2)))

# What `make run` builds: all of it in build/ where there is a GPU driver, else the program for CPUs, which takes less long.
RUN_PRESET := $(if $(filter ON,$(CUDA))$(wildcard /proc/driver/nvidia/version),release,cpu)
RUN_BUILD := $(if $(filter cpu,$(RUN_PRESET)),build-cpu,build)

# Only in folders of ours, so that no build folder is searched.
sources = $(shell find src kernels tests benchmarks -name '*.h' -o -name '*.cpp' -o -name '*.cu')

.PHONY: help check-format bench-gpu bench-link cuda deps deps-lint configure program build run run-smollm2 test soak interop bench lint lint-changed format asan bundle bundle-check install clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

deps:  ## install the Debian packages that are missing
	@cmake/install_packages.sh cmake/packages.txt
	@cmake/install_cudnn_frontend.sh

configure:
	@cmake --preset release

program: configure
	@cmake --build build --target lora_dist

build: configure  ## build the program, the tests and the benchmarks in build/
	@cmake --build build

run: deps  ## install, build and run the demo: mpirun -np 2 build/lora_dist --cfg configs/demo.toml (CUDA=ON: for GPUs, as make build)
	@test $(RUN_BUILD) = build || echo "No GPU driver here: the program is built for CPUs alone, in $(RUN_BUILD)/ (make run CUDA=ON: for GPUs too)"
	@cmake --preset $(RUN_PRESET)
	@cmake --build $(RUN_BUILD) --target lora_dist
	@launch/local_mpi.sh mpirun -np $(NP) $(RUN_BUILD)/lora_dist --cfg $(CFG)

run-smollm2: deps  ## the same with a real model, SmolLM2-135M-Instruct: fetch, adapt, compare, export for llama.cpp (12 minutes on two cores)
	@demo/smollm2/fetch_model.sh
	@cmake --preset $(RUN_PRESET)
	@cmake --build $(RUN_BUILD) --target lora_dist
	@demo/smollm2/run.sh $(RUN_BUILD)/lora_dist $(NP)

ifeq ($(MPI),)
test: deps build  ## install, build and run every test (MPI=mpich: those that start MPI, against MPICH, in build-mpich/)
	@ctest --test-dir build --output-on-failure -j$(TEST_JOBS)
else
test: deps
	@cmake/install_packages.sh cmake/packages_$(MPI).txt
	@cmake --preset $(MPI)
	@cmake --build build-$(MPI) --target mpi_tests
	@ctest --test-dir build-$(MPI) --output-on-failure -j2 -R '^(mpi|program|faulty)[.]'
endif

interop: program  ## adapters and merged models of ours read back by PEFT, transformers and llama.cpp (PYTHON=... has them)
	@PYTHONWARNINGS=ignore $(PYTHON) tests/interop/check_interop.py build/lora_dist
	@PYTHONWARNINGS=ignore $(PYTHON) tests/interop/check_llama_cpp.py build/lora_dist

soak: build  ## hours of damaged files, kills, faults and (as root, with SLURM) stopped jobs; tables to benchmarks/results/
	@tests/soak/run.sh build

bench: deps build  ## operators and a training step beside the machine's own rate
	@build/benchmarks/kernels_benchmark
	@OMP_NUM_THREADS=2 build/benchmarks/step_benchmark
	@OMP_NUM_THREADS=1 launch/local_mpi.sh mpirun -np 2 build/benchmarks/step_benchmark
	@OMP_NUM_THREADS=1 launch/local_mpi.sh mpirun -np 2 build/benchmarks/mesh_benchmark
	@OMP_NUM_THREADS=1 launch/local_mpi.sh mpirun -np 2 build/benchmarks/checkpoint_benchmark
	@OMP_NUM_THREADS=2 build/benchmarks/contention_benchmark

bench-gpu: deps build  ## operators and training steps on the GPU beside its own rates, and the same steps in PyTorch (PYTHON=...)
	@build/benchmarks/operators_benchmark
	@echo && build/benchmarks/gpu_step_benchmark --all
	@echo && if command -v $(PYTHON) >/dev/null; then $(PYTHON) benchmarks/peft_step.py --all; \
	  else echo "transformers + PEFT skipped: no $(PYTHON) (PYTHON=... names another)"; fi
	@echo && echo "Results worth keeping: benchmarks/results/<model>_<hardware>_<yyyymm>.md"

bench-link: deps build  ## as root: what two ranks wait over a link of 1 Gbit/s and 0.2 ms, beside what plan predicts
	@benchmarks/slow_link.sh build

cuda:  ## say what a build for NVIDIA GPUs finds here, and what it lacks
	@cmake/show_cuda.sh

bundle: deps  ## pack the program for CPUs and GPUs with its libraries into one archive that runs anywhere, in build-bundle/
	@launch/bundle/make_bundle.sh

bundle-check:  ## as root: unpack that archive in an empty root folder and run its suite there
	@launch/bundle/try_in_empty_root.sh

asan: deps  ## build with AddressSanitizer and UndefinedBehaviorSanitizer in build-asan/ and run every test
	@cmake --preset asan
	@cmake --build build-asan
	@ctest --test-dir build-asan --output-on-failure -j2

deps-lint: deps
	@cmake/install_packages.sh cmake/packages_format.txt cmake/packages_lint.txt

check-format:  ## check the formatting of every source file (clang-format)
	@clang-format-14 --dry-run -Werror $(sources)

lint: deps-lint check-format  ## check formatting and code (clang-tidy), without precompiled headers
	@cmake --preset lint
	@run-clang-tidy-16 -quiet -p build-lint -extra-arg=-Wno-unknown-warning-option "$(CURDIR)/(src|kernels)/.*[.]cpp$$"

lint-changed: deps-lint  ## check the code of files that differ from SINCE (the commit before the last) with clang-tidy
	@cmake/lint_changed.sh $(SINCE)

format: deps-lint  ## format every source file
	@clang-format-14 -i $(sources)

install: build  ## install the program and the configurations under PREFIX (/usr/local)
	@cmake --install build --prefix $(PREFIX)

clean:  ## remove the build folders; what runs wrote under runs/ stays
	@rm -rf build build-cpu build-debug build-asan build-fuzz build-lint build-mpich build-bundle
