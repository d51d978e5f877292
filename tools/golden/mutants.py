"""Proves that the parity directories see mistakes: the reference itself, run with one setting wrong, must miss by ten tolerances or more.

`python mutants.py [part of a name]`; directories whose class this version of transformers does not have are left out, and said to be.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(sys.path.pop(0))  # this folder last: it has files that are called like libraries

import json
import shutil

import torch
import transformers

from fileformat import FIXTURES, read_json, read_tensors, with_prefix
from make_models import forward, load

DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 50.0}

MUTANTS = [
    ("gpt2-base", {"activation_function": "gelu"}),
    ("gpt2-base", {"scale_attn_weights": False}),
    ("gpt2-base", {"n_head": 6}),
    ("gpt2-gelu", {"activation_function": "gelu_new"}),
    ("gpt2-gelu", {"activation_function": "quick_gelu"}),
    ("gpt2-relu", {"activation_function": "gelu"}),
    ("gpt2-relu", {"scale_attn_weights": True}),
    ("gpt2-inverse-layer", {"scale_attn_by_inverse_layer_idx": False}),
    ("gpt2-untied", {"layer_norm_epsilon": 1e-5}),
    ("gpt2-positions", "no position_ids"),
    ("gpt2-inverse-layer", "no position_ids"),
    ("gpt2-base", "no attention_mask"),
    ("llama-base", "no attention_mask"),
    ("llama-base", {"rms_norm_eps": 1e-5}),
    ("llama-base", {"hidden_act": "gelu"}),
    ("llama-base", {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}),
    ("llama-llama3", {"rope_parameters": DEFAULT_ROPE}),
    ("llama-llama3", {"rope_parameters.high_freq_factor": 1.5}),
    ("llama-llama3", {"rope_parameters.low_freq_factor": 0.7}),
    ("llama-llama3", {"rope_parameters.original_max_position_embeddings": 64}),
    ("llama-yarn", {"rope_parameters": DEFAULT_ROPE}),
    ("llama-yarn", {"rope_parameters.attention_factor": 1.0}),
    ("llama-yarn", {"rope_parameters.truncate": False}),
    ("llama-linear", {"rope_parameters.factor": 1.0}),
    ("llama-dynamic", {"max_position_embeddings": 64}),
    ("llama-dynamic", {"max_position_embeddings": 9}),
    ("llama-tied", {"hidden_act": "silu"}),
    ("llama-mqa", "no position_ids"),
    ("llama-legacy", {"rms_norm_eps": 1e-5}),
    ("llama-legacy", {"rope_scaling": None}),
    ("llama-legacy", {"rope_theta": 10000.0}),
    ("llama-legacy-minimal", {"rms_norm_eps": 1e-5}),
    ("llama-legacy-minimal", {"rope_theta": 500000.0}),
    ("mistral-full", {"sliding_window": 5}),
    ("llama-linear-long", {"rope_parameters.factor": 2.6}),
    ("llama-dynamic-long", {"rope_parameters.factor": 2.1}),
    ("llama-dynamic-long", {"max_position_embeddings": 17}),
    ("llama-yarn-long", {"rope_parameters": DEFAULT_ROPE}),
    ("llama-yarn-long", {"rope_parameters.original_max_position_embeddings": 32}),
    ("llama-llama3-long", {"rope_parameters": DEFAULT_ROPE}),
    ("llama-llama3-long", {"rope_parameters.original_max_position_embeddings": 32}),
    ("llama-longrope", {"rope_parameters.original_max_position_embeddings": 32}),
    ("llama-longrope", {"rope_parameters.attention_factor": 1.0}),
    ("llama-longrope-crossing", {"rope_parameters.original_max_position_embeddings": 12}),
    ("mistral-window", {"sliding_window": 4}),
    ("mistral-window", {"sliding_window": 6}),
    ("mistral-window", {"sliding_window": None}),
    ("qwen3-window", {"layer_types": ["sliding_attention"] * 3}),
    ("qwen3-window", {"layer_types": ["full_attention"] * 3}),
    ("qwen3-tied", {"rope_parameters.rope_theta": 10000.0}),
    ("qwen3-untied", {"rms_norm_eps": 1e-5}),
    ("qwen3-untied", {"rope_theta": 10000.0}),
    ("transfo-xl-published", {"same_length": False}),
    ("transfo-xl-published", {"clamp_len": 4}),
    ("transfo-xl-published", {"mem_len": 7}),
    ("transfo-xl-long-memory", {"mem_len": 8}),
    ("transfo-xl-long-memory", {"same_length": True}),
    ("transfo-xl-long-memory", {"clamp_len": 8}),
    ("transfo-xl-short-memory", {"same_length": False}),
    ("transfo-xl-one-table", {"pre_lnorm": False}),
    ("transfo-xl-one-table", {"clamp_len": -1}),
    ("transfo-xl-own-output", {"layer_norm_epsilon": 1e-5}),
]


def change(config: dict, edits: dict) -> None:
    for key, value in edits.items():
        *outer, last = key.split(".")
        inner = config
        for name in outer:
            inner = inner[name]
        inner[last] = value


def overshoot(name: str, mutation) -> float:
    """The largest error of any output under the mutation, in tolerances."""
    source = FIXTURES / "parity" / name
    tensors = read_tensors(source / "parity.safetensors")
    inputs = with_prefix(tensors, "inputs.")
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / name
        shutil.copytree(source, directory)
        if isinstance(mutation, dict):
            config = read_json(directory / "config.json")
            change(config, mutation)
            (directory / "config.json").write_text(json.dumps(config))
        else:
            inputs.pop(mutation.removeprefix("no "))
        parity = read_json(directory / "parity.json")
        if "segments" in parity:
            from make_transfo_xl import segments_at

            actual = segments_at(directory, inputs, parity["segments"], "float32")
        else:
            actual = forward(load(directory), inputs)
    # Memories of another length cannot be compared, but what was made of them can.
    same = {key: entry for key, entry in parity["outputs"].items() if actual[key].shape == tensors[f"outputs.{key}"].shape}
    return max(share(actual[key], key, entry, tensors) for key, entry in same.items())


def share(actual: torch.Tensor, key: str, entry: dict, tensors: dict) -> float:
    """The largest error of one output, as a multiple of what is allowed there."""
    expected = tensors[f"outputs.{key}"]
    shares = (actual - expected).abs() / (entry["atol"] + entry["rtol"] * expected.abs())
    return (shares[tensors[f"inputs.{entry['where']}"] == 1] if "where" in entry else shares).max().item()


def main() -> None:
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    unseen = left_out = 0
    wanted = [mutant for mutant in MUTANTS if len(sys.argv) < 2 or sys.argv[1] in mutant[0]]
    for name, mutation in wanted:
        if not hasattr(transformers, read_json(FIXTURES / "parity" / name / "parity.json")["architecture"]):
            left_out += 1
            continue
        times = overshoot(name, mutation)
        unseen += times < 10
        print(f"{'seen  ' if times >= 10 else 'UNSEEN'} {name:<22} {times:10.1f} tolerances  {mutation}")
    print(f"{len(wanted)} mutants, {unseen} unseen, {left_out} left out: their class is not in transformers {transformers.__version__}")
    sys.exit(1 if unseen else 0)


if __name__ == "__main__":
    main()
