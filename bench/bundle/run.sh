#!/bin/sh
# run.sh PART [OPTION...]: one part of the measurements, under ten minutes on a GPU. JSON lines on stdout, one per workload, and under $OUT if that is set.
# Options go to the bench (--launches 3, --quick, --only NAME). PyTorch takes part where python3, or the one that BENCH_PYTHON names, has it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
part=${1:-}
[ $# -gt 0 ] && shift
parts="conformance gemm gemm-f16 rows attention lengths train distil torch"
gpu="webgpu --gpu --launches 1"
case $part in
conformance) set -- conformance.ts "$@" ;;
gemm) set -- main.ts $gpu --only gemm-512,gemm-1024,gemm-2048,gemm-4096 "$@" ;;
gemm-f16) set -- main.ts $gpu --only gemm-f16 "$@" ;;
rows) set -- main.ts $gpu --only softmax,layernorm,gelu "$@" ;;
attention) set -- main.ts $gpu --only attention "$@" ;;
lengths) set -- main.ts attention --gpu --quick --against ours/webgpu,ours/webgpu-composed,jax-js/webgpu,tfjs/webgpu "$@" ;;
train) set -- main.ts $gpu --only gpt-step "$@" ;;
distil) set -- main.ts $gpu --only distilgpt2-step "$@" ;;
torch) set -- main.ts $gpu --against ours,torch,ceiling "$@" ;;
*)
  echo "run.sh: expected one of: $parts; received \"$part\"." >&2
  exit 2
  ;;
esac

# The machine's own Vulkan loader comes first; the one in lib/ is for machines that have none.
ldconfig -p 2>/dev/null | grep libvulkan.so.1 >/dev/null || export LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
nvidia=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -r "$nvidia" ]; then export VK_DRIVER_FILES="$nvidia"; fi
if [ -z "${BENCH_PYTHON:-}" ] && python3 -c "import torch, numpy" 2>/dev/null; then export BENCH_PYTHON=python3; fi

script=$1
shift
[ "$script" = conformance.ts ] || set -- "$@" --json --save "$part"
cd "$here/bench" || exit
mkdir -p results
"$here/bin/node" --import "$here/sources.mjs" "src/$script" "$@" | tee "results/$part.jsonl"
if [ -n "${OUT:-}" ]; then cp results/"$part".* "$OUT"; fi
