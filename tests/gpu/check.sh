#!/usr/bin/env bash
# Run the networks on this machine's GPU as the stages do, and write what was measured into a folder; within eight minutes.
#   tests/gpu/check.sh OUT [section ...]
# Needs a python3 with torch and CUDA, numpy, pandas and scipy; nibabel, zennit and captum come from wheels in .whl where the
# machine has no network: pip download --no-deps -d .whl nibabel==5.4.2 zennit==0.5.1 captum==0.9.0
set -euo pipefail
cd "$(dirname "$0")/../.."
out=$1
shift
mkdir -p "$out"
if [ -d .whl ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/site .whl/*.whl
fi
PYTHONPATH=src:/tmp/site PYTHONUNBUFFERED=1 python3 tests/gpu/check.py "$out" "$@"
