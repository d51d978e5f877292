"""Which models get a parity directory."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import torch
from transformers import GPT2Config, LlamaConfig, MistralConfig, PretrainedConfig, Qwen2Config, Qwen3Config

from fileformat import read_tensors, write_tensors


@dataclass
class Spec:
    """One parity directory.

    lengths: real tokens of each row; shorter rows are padded on the left.
    positions: "default" leaves `position_ids` out, "mask" counts real tokens as `generate` does, "gaps" jumps ahead in the middle of a row.
    gradients: parts of parameter names, or None for all parameters.
    generate: settings of each generation.
    finish: choose the end token so that a row of the first generation ends early.
    embedding_scale: makes the token embedding small, so that the first norm's eps decides the numbers.
    rewrite: changes the saved directory, for example to the format of older versions.
    """

    name: str
    config: PretrainedConfig
    architecture: str
    lengths: tuple[int, ...] = (13, 9)
    positions: str = "default"
    gradients: tuple[str, ...] | None = None
    generate: list[dict] = field(default_factory=list)
    finish: bool = False
    embedding_scale: float = 1.0
    rewrite: Callable[[Path], None] | None = None
    max_shard_size: str = "5GB"


def greedy(tokens: int = 6) -> dict:
    return {"max_new_tokens": tokens, "num_beams": 1}


def beams(tokens: int = 5, width: int = 3, length_penalty: float = 1.0, early_stopping=False, returned: int = 1) -> dict:
    return {
        "max_new_tokens": tokens,
        "num_beams": width,
        "length_penalty": length_penalty,
        "early_stopping": early_stopping,
        "num_return_sequences": returned,
    }


IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def gpt2(variant: str, **options) -> Spec:
    keys = ("lengths", "positions", "gradients", "generate", "finish", "embedding_scale", "rewrite", "max_shard_size")
    rest = {k: options.pop(k) for k in keys if k in options}
    rest.setdefault("gradients", ("wte", "wpe", "h.1.ln_1", "h.0.attn.c_attn", "h.1.mlp.c_fc.bias", "ln_f", "lm_head"))
    rest.setdefault("generate", [greedy()])
    size = {"n_embd": 28, "n_head": 7, "n_inner": 45, "n_layer": 2, "n_positions": 32, "vocab_size": 53}
    return Spec(f"gpt2-{variant}", GPT2Config(**{**size, **IDS, **options}), "GPT2LMHeadModel", **rest)


def decoder(config_class, architecture: str, family: str, variant: str, **options) -> Spec:
    keys = ("lengths", "positions", "gradients", "generate", "finish", "embedding_scale", "rewrite", "max_shard_size")
    rest = {k: options.pop(k) for k in keys if k in options}
    rest.setdefault("gradients", ("embed_tokens", "layers.0.self_attn", "layers.1.mlp.gate", "layernorm", "model.norm", "lm_head"))
    rest.setdefault("generate", [greedy()])
    size = {
        "hidden_size": 30,
        "intermediate_size": 41,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": 57,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
    }
    given = {k: v for k, v in {**size, **IDS, **options}.items() if v is not None or k == "sliding_window"}
    return Spec(f"{family}-{variant}", config_class(**given), architecture, **rest)


def llama(variant: str, **options) -> Spec:
    return decoder(LlamaConfig, "LlamaForCausalLM", "llama", variant, **options)


def edit_config(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def rewrite(directory: Path) -> None:
        path = directory / "config.json"
        config = json.loads(path.read_text())
        change(config)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")

    return rewrite


def legacy_rope(version: str, rope_scaling, drop: tuple[str, ...] = ()) -> Callable[[Path], None]:
    """Writes `rope_theta`, `rope_scaling` and `torch_dtype` at the top level, as versions before 5 did, and drops keys that equal their default."""

    def change(config: dict) -> None:
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
        config["rope_scaling"] = rope_scaling
        config["torch_dtype"] = config.pop("dtype")
        config["transformers_version"] = version
        for key in drop:
            config.pop(key)

    return edit_config(change)


def legacy_gpt2(directory: Path) -> None:
    """The first GPT-2 files: no `transformer.` prefix, the causal mask stored as `h.N.attn.bias`, `n_ctx` in a config without later keys."""

    def change(config: dict) -> None:
        config["n_ctx"] = config["n_positions"]
        for key in ("dtype", "tie_word_embeddings", "scale_attn_weights", "scale_attn_by_inverse_layer_idx"):
            config.pop(key)
        for key in ("reorder_and_upcast_attn", "add_cross_attention", "use_cache", "transformers_version"):
            config.pop(key)

    edit_config(change)(directory)
    path = directory / "model.safetensors"
    tensors = {name.removeprefix("transformer."): value for name, value in read_tensors(path).items()}
    size = json.loads((directory / "config.json").read_text())["n_positions"]
    for name in [n for n in tensors if n.endswith("attn.c_attn.bias")]:
        tensors[name.replace("c_attn.bias", "bias")] = torch.ones(1, 1, size, size).tril()
    write_tensors(path, tensors)


ROTARY_GRADIENTS = ("layers.0.self_attn.q", "layers.1.self_attn.k", "model.norm")
# Prompts and generations longer than the original length, at which files with a linear or yarn scaling may leave max_position_embeddings.
LONG = {"lengths": (27, 20), "max_position_embeddings": 16, "gradients": ROTARY_GRADIENTS, "generate": [greedy(8)]}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 50.0,
    "short_factor": [1.0, 1.1, 1.3, 1.7],
    "long_factor": [1.2, 2.0, 3.1, 4.0],
    "original_max_position_embeddings": 16,
}
LLAMA_DEFAULTS = ("attention_bias", "attention_dropout", "head_dim", "hidden_act", "initializer_range", "mlp_bias")
LLAMA_DEFAULTS += ("pretraining_tp", "tie_word_embeddings", "use_cache", "num_key_value_heads")

SPECS = [
    gpt2(
        "base",
        n_embd=36,
        n_head=4,
        n_inner=53,
        pad_token_id=2,
        gradients=None,
        finish=True,
        generate=[
            greedy(8),
            beams(5),
            beams(7, length_penalty=0.4, returned=2),
            beams(6, length_penalty=2.0, early_stopping=True),
            beams(6, width=2, length_penalty=-0.7, early_stopping="never"),
        ],
    ),
    gpt2("inverse-layer", scale_attn_by_inverse_layer_idx=True, n_layer=3, positions="mask"),
    gpt2("gelu", activation_function="gelu", n_head=2),
    gpt2("relu", activation_function="relu", n_inner=None, scale_attn_weights=False),
    gpt2("untied", tie_word_embeddings=False, layer_norm_epsilon=1e-2, generate=[greedy(), beams(4, returned=3)]),
    gpt2("sharded", max_shard_size="24KB", n_layer=3, gradients=("wpe", "h.2.attn.c_proj")),
    gpt2("positions", positions="gaps"),
    gpt2("legacy", rewrite=legacy_gpt2, gradients=("wpe", "h.1.attn.c_attn.weight")),
    llama(
        "base",
        hidden_size=36,
        intermediate_size=47,
        vocab_size=47,
        head_dim=10,
        attention_bias=True,
        mlp_bias=True,
        rms_norm_eps=1e-2,
        gradients=None,
        finish=True,
        generate=[greedy(8), beams(5), beams(7, length_penalty=0.4, returned=2), beams(6, length_penalty=2.0, early_stopping=True)],
    ),
    llama(
        "llama3",
        gradients=ROTARY_GRADIENTS,
        head_dim=10,
        eos_token_id=[2, 7, 11],
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 50.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 2.0,
            "original_max_position_embeddings": 16,
        },
        generate=[greedy(), beams(5, length_penalty=0.5)],
    ),
    llama(
        "yarn",
        gradients=ROTARY_GRADIENTS,
        head_dim=10,
        rope_parameters={"rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0, "original_max_position_embeddings": 16},
    ),
    llama("linear", gradients=ROTARY_GRADIENTS, rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 2.5}),
    llama(
        "dynamic",
        gradients=ROTARY_GRADIENTS,
        max_position_embeddings=8,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0},
    ),
    llama("linear-long", **LONG, rope_parameters={"rope_type": "linear", "rope_theta": 100.0, "factor": 2.5}),
    llama("dynamic-long", **LONG, rope_parameters={"rope_type": "dynamic", "rope_theta": 100.0, "factor": 2.0}),
    llama("yarn-long", **LONG, rope_parameters={"rope_type": "yarn", "rope_theta": 50.0, "factor": 4.0, "original_max_position_embeddings": 16}),
    llama(
        "llama3-long",
        **LONG | {"max_position_embeddings": 64},
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 50.0,
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 2.0,
            "original_max_position_embeddings": 16,
        },
    ),
    llama("longrope", **LONG | {"max_position_embeddings": 64}, rope_parameters=LONGROPE),
    llama("longrope-crossing", gradients=ROTARY_GRADIENTS, rope_parameters=LONGROPE, generate=[greedy(7)]),
    llama("tied", tie_word_embeddings=True, hidden_act="gelu"),
    llama("mqa", num_key_value_heads=1, head_dim=10, positions="gaps", max_shard_size="30KB"),
    llama(
        "legacy",
        rms_norm_eps=1e-6,
        embedding_scale=0.01,
        head_dim=None,
        num_attention_heads=5,
        num_key_value_heads=5,
        rope_parameters={"rope_type": "linear", "rope_theta": 300.0, "factor": 2.0},
        rewrite=legacy_rope("4.33.1", {"type": "linear", "factor": 2.0}, LLAMA_DEFAULTS + ("rms_norm_eps",)),
    ),
    llama(
        "legacy-minimal",
        rms_norm_eps=1e-6,
        embedding_scale=0.01,
        head_dim=None,
        num_attention_heads=3,
        num_key_value_heads=3,
        hidden_size=30,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        rewrite=edit_config(lambda config: [config.pop(k) for k in LLAMA_DEFAULTS + ("rms_norm_eps", "rope_parameters", "dtype")]),
    ),
    decoder(
        MistralConfig,
        "MistralForCausalLM",
        "mistral",
        "full",
        sliding_window=None,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        generate=[greedy(), beams(5, length_penalty=1.5, returned=2)],
    ),
    decoder(MistralConfig, "MistralForCausalLM", "mistral", "window", sliding_window=5, generate=[greedy(8), beams(6)]),
    decoder(MistralConfig, "MistralForCausalLM", "mistral", "window-later", sliding_window=15, gradients=ROTARY_GRADIENTS, generate=[greedy(10)]),
    decoder(
        Qwen3Config,
        "Qwen3ForCausalLM",
        "qwen3",
        "window",
        num_hidden_layers=3,
        use_sliding_window=True,
        sliding_window=4,
        max_window_layers=1,
        gradients=ROTARY_GRADIENTS,
        generate=[greedy(8)],
    ),
    decoder(
        Qwen3Config,
        "Qwen3ForCausalLM",
        "qwen3",
        "tied",
        hidden_size=36,
        head_dim=10,
        tie_word_embeddings=True,
        rms_norm_eps=1e-6,
        gradients=None,
        finish=True,
        generate=[greedy(8), beams(6, length_penalty=0.7, returned=2)],
    ),
    decoder(
        Qwen3Config,
        "Qwen3ForCausalLM",
        "qwen3",
        "untied",
        attention_bias=True,
        head_dim=10,
        rms_norm_eps=1e-2,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        rewrite=legacy_rope("4.51.0", None),
    ),
    decoder(Qwen2Config, "Qwen2ForCausalLM", "qwen2", "base", head_dim=None, num_attention_heads=5, num_key_value_heads=1),
]
