#!/usr/bin/env bash
# Tests and times remotemod on this machine's accelerator with nothing but what is here: no registry is asked.
#
# usage: scripts/gpu_check.sh [--device cuda|cpu|meta] [--python PYTHON] [--wheels DIR] [--wheel FILE] [--out DIR]
#                             [--skip tests|benchmark] [--quick]
#
#   --device   where the remote modules are (default: cuda); cpu and meta are dry runs
#   --python   a Python with torch (default: python3)
#   --wheels   wheels for what that Python lacks beside torch (default: wheels/), from scripts/fetch_wheels.py
#   --wheel    a wheel of remotemod; by default one is built of this checkout
#   --out      where results go (default: benchmarks/out/gpu)
#   --skip     leaves out the tests, or the benchmark
#   --quick    measures small tensors and few calls
#
# What is installed goes into a folder that is removed at the end. Nothing of the system, and no setting of the GPU,
# is changed. The last lines of the output are the table of times and the verdict.
set -euo pipefail

ROOT=$(cd "$(dirname "$0")/.." && pwd)
device=cuda python=python3 wheels=$ROOT/wheels wheel= out=$ROOT/benchmarks/out/gpu skip= quick=
# Seconds: together with what is installed it stays below five minutes.
TESTS=200 TIMES=70

fail() {
    echo "gpu_check: $*" >&2
    exit 2
}

while (($#)); do
    case $1 in
    --quick) quick=--quick && shift && continue ;;
    --help | -h) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" && exit ;;
    --device | --python | --wheels | --wheel | --out | --skip)
        (($# > 1)) || fail "$1 needs a value"
        declare "${1#--}=$2"
        shift 2
        ;;
    *) fail "unknown option $1 (--help tells)" ;;
    esac
done
case $device in cuda | cuda:[0-9]* | cpu | meta) ;; *) fail "--device is cuda, cpu or meta; got '$device'" ;; esac
case $skip in '' | tests | benchmark) ;; *) fail "--skip is tests or benchmark; got '$skip'" ;; esac
python=$(command -v "$python") || fail "there is no such Python; name one with --python"
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")
[[ -z $wheel || -f $wheel ]] || fail "there is no file $wheel"
[[ -z $wheel ]] || wheel=$(realpath "$wheel")
"$python" - "$device" <<'PYTHON' || exit 2
import sys

try:
    import torch
except ImportError as error:
    sys.exit(f"gpu_check: {sys.executable} has no torch ({error}); name the Python that has it with --python")
if sys.argv[1].startswith("cuda") and not torch.cuda.is_available():
    sys.exit(f"gpu_check: torch {torch.__version__} finds no CUDA device; --device cpu is a dry run")
PYTHON

mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/remotemod-gpu.XXXXXX")
trap 'rm -rf "$work"' EXIT
site=$work/site tree=$work/tree
mkdir "$tree"
export PYTHONPATH=$work/remotemod:$site PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1
# Plugins that happen to be installed are none of ours.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1

install() { # FOLDER WHEEL...
    "$python" -m pip install --quiet --no-index --no-deps --target "$@"
}

echo "== what is missing comes from $wheels =="
"$python" "$ROOT/scripts/needed.py" --wheels "$wheels" >"$work/needed"
mapfile -t needed <"$work/needed"
((${#needed[@]} == 0)) || install "$site" "${needed[@]}"
printf '%s\n' "${needed[@]##*/}"

echo "== remotemod is installed =="
if [[ -z $wheel ]]; then
    # Of a copy: builds leave files behind.
    (cd "$ROOT" && tar -c --exclude=./.git --exclude=./.venv --exclude=./wheels --exclude=./build --exclude=./dist \
        --exclude='*.egg-info' --exclude=__pycache__ --exclude='./.*_cache' --exclude=./benchmarks/out .) |
        tar -x -C "$tree"
    "$python" -m pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir "$work/dist" "$tree"
    wheel=$(echo "$work"/dist/remotemod-*.whl)
    rm -rf "$tree"
    mkdir "$tree"
fi
install "$work/remotemod" "$wheel"
# The tests run outside of the checkout, on what was installed.
cp -R "$ROOT/tests" "$ROOT/benchmarks" "$ROOT/pyproject.toml" "$tree"
cd "$tree"

echo "== the machine =="
"$python" - <<'PYTHON' | tee "$out/environment.txt"
import importlib.metadata as metadata, os, platform
import torch
import remotemod

print("python", platform.python_version(), platform.machine(), os.cpu_count(), "cores", platform.release())
print("torch", torch.__version__, "CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version())
print("remotemod", metadata.version("remotemod"), "from", os.path.dirname(remotemod.__file__))
for index in range(torch.cuda.device_count()):
    found = torch.cuda.get_device_properties(index)
    print(f"cuda:{index} {found.name}, {found.total_memory / 2**30:.0f} GiB, {found.multi_processor_count} processors")
PYTHON
case $(grep ^remotemod "$out/environment.txt") in *"$work"*) ;; *) fail "another remotemod was imported" ;; esac

status=0
if [[ $skip != tests ]]; then
    echo "== tests on $device =="
    # Warnings are no errors here: other versions than the pinned ones may have new ones.
    REMOTEMOD_GPU_DEVICE=$device timeout --kill-after=10 $TESTS "$python" -m pytest tests/gpu -v -W default \
        --tb=short --durations=8 --disable-warnings -p no:cacheprovider -o faulthandler_timeout=75 >"$out/tests.txt" 2>&1 || status=$?
    # The machine may show the end of the output alone: all of it is in the file.
    case $status in
    0)
        awk '/^SKIPPED/ { n = substr($2, 2) + 0; $1 = $2 = $3 = ""; count[$0] += n }
             END { for (why in count) print count[why], "skipped:" why }' "$out/tests.txt"
        tail -n 1 "$out/tests.txt"
        ;;
    124 | 137) echo "the tests took longer than $TESTS s; the last lines:" && tail -n 40 "$out/tests.txt" | cut -c-300 ;;
    *) grep -vE '^SKIPPED| (PASSED|SKIPPED)' "$out/tests.txt" | tail -c 7000 ;;
    esac
fi
if [[ $skip != benchmark ]]; then
    echo "== times on $device =="
    timeout --kill-after=10 $TIMES "$python" -m benchmarks.gpu --device "$device" --out "$out" $quick || {
        status=$?
        echo "the benchmark failed with status $status"
    }
fi
if ((status)); then
    echo "gpu_check: FAILED on $device, see $out" && exit 1
fi
echo "gpu_check: passed on $device, results in $out"
