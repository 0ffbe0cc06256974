#!/usr/bin/env bash
# Everything that needs a GPU, on the machine that has one; no network is needed.
#
#     bash benchmarks/gpu_node.sh                 # build tests sanitize bench study ncu
#     bash benchmarks/gpu_node.sh tests bench     # some stages
#
# build compiles this checkout with the libraries that PYTHON has (CuPy, pybind11, scikit-build-core, pytest, ...) into
# build/gpu/site, which the other stages use. make gpu installs into .venv instead, and runs the other stages there.
# study is the work of awkward's CUDA study; ncu counts what limits each kernel, where Nsight Compute is installed.
# A stage that fails does not stop the next one. The summary, also in $OUT/summary.txt, has a line for each; the exit
# code is 1 where one failed. $OUT (default: build/gpu/out) holds the log of each.
set -u -o pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
OUT=${OUT:-$PWD/build/gpu/out}
SITE=${SITE-$PWD/build/gpu/site} # empty: fastjag as PYTHON has it
EVENTS=${EVENTS:-1e7}
LIMIT=${LIMIT:-1800} # seconds for a stage
[ $# -gt 0 ] || set -- build tests sanitize bench study ncu

gpus=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null) || gpus=
if [ -z "$gpus" ]; then
  echo "there is no GPU here: nvidia-smi finds none" >&2
  exit 1
fi
mkdir -p "$OUT"
[ -z "$SITE" ] || export PYTHONPATH=$SITE${PYTHONPATH:+:$PYTHONPATH}

build() {
  timeout "$LIMIT" "$PYTHON" -m pip install --no-index --no-deps --no-build-isolation --upgrade --target "$SITE" \
    -Ccmake.define.FASTJAG_CUDA=ON . &&
    "$PYTHON" -c 'import fastjag._cuda as c; p = c.problem(); print(p or "kernels run"); raise SystemExit(bool(p))'
}

tests() { # all of them: those with a parameter for devices take the GPU, too
  timeout "$LIMIT" "$PYTHON" -m pytest -q -p no:cacheprovider
}

sanitize() { # every job of the benchmark; memory straight from CUDA, because a pool hides what lies beyond an array
  local tool failed=0
  for tool in memcheck racecheck initcheck synccheck; do
    echo "compute-sanitizer $tool"
    timeout "$LIMIT" compute-sanitizer --tool "$tool" --error-exitcode 9 "$PYTHON" -c '
import sys
sys.path.insert(0, "benchmarks")
import cupy, gpu_jobs
cupy.cuda.set_allocator(None)
for job in gpu_jobs.JOBS:
    job.run(gpu_jobs.to_device(job.arrays(3000)))
    cupy.cuda.Device().synchronize()
    print(job.name, job.work, flush=True)' || failed=1
  done
  return $failed
}

bench() {
  timeout "$LIMIT" "$PYTHON" benchmarks/bench_gpu.py --events "$EVENTS"
}

study() {
  timeout "$LIMIT" "$PYTHON" benchmarks/bench_awkward_study.py
}

ncu() { # duration, and the shares of peak memory traffic and of issued instructions, of every kernel of every job
  type -P ncu >/dev/null || {
    echo "ncu (Nsight Compute) is not installed: nothing was counted"
    return 0
  }
  timeout "$LIMIT" "$(type -P ncu)" --csv --log-file "$OUT/ncu.csv" --kernel-name-base function --metrics \
    gpu__time_duration.sum,dram__throughput.avg.pct_of_peak_sustained_elapsed,sm__inst_issued.avg.pct_of_peak_sustained_active,sm__warps_active.avg.pct_of_peak_sustained_active \
    "$PYTHON" -c '
import sys
sys.path.insert(0, "benchmarks")
import cupy, gpu_jobs
for job in gpu_jobs.JOBS:
    job.run(gpu_jobs.to_device(job.arrays(1_000_000)))
    cupy.cuda.Device().synchronize()
    print(job.name, job.work, flush=True)'
}

failed=0
{
  echo "$(date +%F) $gpus"
  git rev-parse HEAD 2>/dev/null
} >"$OUT/summary.txt"
for stage in "$@"; do
  case $stage in build | tests | sanitize | bench | study | ncu) ;; *)
    echo "unknown stage $stage: build, tests, sanitize, bench, study, ncu" >&2
    exit 2 ;;
  esac
  "$stage" 2>&1 | tee "$OUT/$stage.log"
  code=${PIPESTATUS[0]}
  [ "$code" = 0 ] || failed=1
  echo "$stage: $([ "$code" = 0 ] && echo passed || echo "FAILED ($code)"); $(tail -n 1 "$OUT/$stage.log")" >>"$OUT/summary.txt"
done
cat "$OUT/summary.txt"
exit $failed
