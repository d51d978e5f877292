"""Makes `fixtures/names/<model>.json`: names, shapes and dtypes of published checkpoints, without their numbers.

The configurations are the published ones, written out here; the shapes come from the class on the meta device, so nothing is downloaded.
"""

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from fileformat import FIXTURES, reference_line, write_json

GPT2 = {
    "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1, "bos_token_id": 50256, "embd_pdrop": 0.1,
    "eos_token_id": 50256, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768,
    "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "vocab_size": 50257,
}  # fmt: skip

LLAMA = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 128000, "eos_token_id": 128001,
    "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02, "intermediate_size": 8192,
    "max_position_embeddings": 131072, "mlp_bias": False, "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16,
    "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": True,
    "rope_scaling": {
        "factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3",
    },
    "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 128256,
}  # fmt: skip

MISTRAL = {
    "architectures": ["MistralForCausalLM"], "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu", "hidden_size": 4096,
    "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 32768, "model_type": "mistral",
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-05, "rope_theta": 10000.0,
    "sliding_window": 4096, "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": 32000,
}  # fmt: skip

QWEN = {
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
    "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "initializer_range": 0.02, "intermediate_size": 3072,
    "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3", "num_attention_heads": 16, "num_hidden_layers": 28,
    "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000, "sliding_window": None,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True, "use_sliding_window": False, "vocab_size": 151936,
}  # fmt: skip

Shapes = dict[str, list[int]]


def as_gpt2_file(shapes: Shapes) -> Shapes:
    """The released file has the base model's names, and the causal mask of every layer as a buffer."""
    renamed = {name.removeprefix("transformer."): shape for name, shape in shapes.items()}
    return renamed | {f"h.{i}.attn.bias": [1, 1, 1024, 1024] for i in range(GPT2["n_layer"])}


def as_qwen_file(shapes: Shapes) -> Shapes:
    """The released file also holds the tied output matrix."""
    return shapes | {"lm_head.weight": [QWEN["vocab_size"], QWEN["hidden_size"]]}


MODELS = {
    "gpt2": (GPT2, GPT2Config, GPT2LMHeadModel, "F32", as_gpt2_file, "attn.bias are buffers (the causal mask), not parameters."),
    "llama-3.2-1b": (LLAMA, LlamaConfig, LlamaForCausalLM, "BF16", dict, "lm_head.weight is tied and absent."),
    "mistral-7b-v0.1": (MISTRAL, MistralConfig, MistralForCausalLM, "BF16", dict, "Published in shards; this is their union."),
    "qwen3-0.6b": (QWEN, Qwen3Config, Qwen3ForCausalLM, "BF16", as_qwen_file, "lm_head.weight is tied and stored nevertheless."),
}


def parameter_shapes(config, model_class) -> Shapes:
    """Shapes of all parameters, a tied one once."""
    with torch.device("meta"):
        model = model_class(config)
    if config.tie_word_embeddings:
        model.tie_weights()
    return {name: list(parameter.shape) for name, parameter in model.named_parameters()}


def make_names() -> None:
    for name, (published, config_class, model_class, dtype, as_file, notes) in MODELS.items():
        shapes = parameter_shapes(config_class.from_dict(dict(published)), model_class)
        parameters = sum(torch.Size(shape).numel() for shape in shapes.values())
        tensors = {k: {"dtype": dtype, "shape": shape} for k, shape in sorted(as_file(shapes).items())}
        content = {"reference": reference_line(), "notes": notes, "parameters": parameters, "config": published, "tensors": tensors}
        write_json(FIXTURES / "names" / f"{name}.json", content)
        print(f"{name}: {len(tensors)} tensors, {parameters} parameters")
