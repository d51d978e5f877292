"""The reference of every module in `fixtures/layers/`: tensors and options in, named results out, in the precision of the tensors."""

import math
from contextlib import nullcontext
from typing import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from precision import float64_everywhere

Tensors = dict[str, torch.Tensor]


def scaled_dot_product_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    mask = inputs.get("mask")
    if "bool_mask" in inputs:
        mask = inputs["bool_mask"].bool()
    with sdpa_kernel(SDPBackend.MATH):
        output = F.scaled_dot_product_attention(inputs["query"], inputs["key"], inputs["value"], attn_mask=mask, **options)
    return {"output": output}


def norms(case: str, inputs: Tensors, options: dict) -> Tensors:
    x, weight, bias = inputs["x"], inputs.get("weight"), inputs.get("bias")
    if case.startswith("layer_norm"):
        return {"output": F.layer_norm(x, x.shape[-1:], weight, bias, options["eps"])}
    return {"output": F.rms_norm(x, x.shape[-1:], weight, options["eps"])}


def rope(case: str, inputs: Tensors, options: dict) -> Tensors:
    """The first d dimensions turn, in pairs (i, i + d / 2), by position * theta^(-2 i / d); the others pass."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    d, dtype = options["d"], inputs["query"].dtype
    frequency = options["theta"] ** (-torch.arange(0, d, 2, dtype=dtype) / d)
    angle = (inputs["position"][..., None].to(dtype) * frequency).repeat(1, 1, 2)
    query, key = apply_rotary_pos_emb(inputs["query"][..., :d], inputs["key"][..., :d], angle.cos(), angle.sin())
    return {
        "query": torch.cat([query, inputs["query"][..., d:]], -1),
        "key": torch.cat([key, inputs["key"][..., d:]], -1),
    }


def softmax(case: str, inputs: Tensors, options: dict) -> Tensors:
    function = F.log_softmax if case.startswith("log_softmax") else F.softmax
    return {"output": function(inputs["x"], dim=-1)}


def activations(case: str, inputs: Tensors, options: dict) -> Tensors:
    if case.startswith("swiglu"):
        return {"output": F.silu(inputs["gate"]) * inputs["up"]}
    functions: dict[str, Callable] = {
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "relu": F.relu,
    }
    return {"output": functions[case](inputs["x"])}


def cross_entropy(case: str, inputs: Tensors, options: dict) -> Tensors:
    return {"output": F.cross_entropy(inputs["logits"], inputs["target"], **options)}


def embedding(case: str, inputs: Tensors, options: dict) -> Tensors:
    return {"output": F.embedding(inputs["ids"], inputs["weight"])}


def longformer_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    """LongformerSelfAttention as LongformerModel calls it, and the projection behind it. mask holds 0 for padding, 1 for a token, 2 for a global one."""
    from transformers import LongformerConfig
    from transformers.models.longformer.modeling_longformer import LongformerSelfAttention

    x = inputs["x"]
    layer = LongformerSelfAttention(
        LongformerConfig(
            hidden_size=x.shape[-1], num_attention_heads=options["heads"], attention_window=[options["window"]], attention_probs_dropout_prob=0.0
        ),
        0,
    ).eval()
    extended = (1 - inputs["mask"].to(x.dtype)) * torch.finfo(x.dtype).min
    is_global = extended > 0
    with precision_of(x):
        seen = torch.func.functional_call(
            layer,
            projections(inputs),
            (x,),
            {
                "attention_mask": extended,
                "is_index_masked": extended < 0,
                "is_index_global_attn": is_global,
                "is_global_attn": bool(is_global.any()),
            },
        )[0]
    return {"output": F.linear(seen, inputs["output_weight"], inputs["output_bias"])}


def big_bird_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    """BigBirdBlockSparseAttention as BigBirdModel calls it, and the projection behind it. mask holds 0 for padding."""
    from transformers import BigBirdConfig
    from transformers.models.big_bird.modeling_big_bird import BigBirdBlockSparseAttention, BigBirdModel

    x, block = inputs["x"], options["block_size"]
    config = BigBirdConfig(
        hidden_size=x.shape[-1], num_attention_heads=options["heads"], block_size=block, num_random_blocks=options["random_blocks"]
    )
    layer = BigBirdBlockSparseAttention(config, seed=options["layer"]).train(options["training"])
    blocked, band, queries, keys = BigBirdModel.create_masks_for_block_sparse_attn(inputs["mask"].to(x.dtype), block)
    with precision_of(x):
        seen = torch.func.functional_call(layer, projections(inputs), (x, band, queries, keys, blocked, blocked))[0]
    return {"output": F.linear(seen, inputs["output_weight"], inputs["output_bias"])}


def bloom_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    """BloomAttention as BloomModel calls it, without its residual. mask holds 0 for padding; the fused projection holds query, key and value of each head."""
    from transformers import BloomConfig
    from transformers.models.bloom.modeling_bloom import BloomAttention, build_alibi_tensor

    x, heads = inputs["x"], options["heads"]
    with precision_of(x):
        layer = BloomAttention(BloomConfig(hidden_size=x.shape[-1], n_head=heads, hidden_dropout=0.0, attention_dropout=0.0), 0)
        alibi = build_alibi_tensor(inputs["mask"], heads, x.dtype)
        weights = by_heads(inputs, heads) | output_as("dense", inputs)
        return {"output": torch.func.functional_call(layer, weights, (x, torch.zeros_like(x), alibi, hidden(x, inputs["mask"])))[0]}


def mpt_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    """MptAttention as MptModel calls it. The fused projection holds all queries, all keys, all values."""
    from transformers import MptConfig
    from transformers.models.mpt.modeling_mpt import MptAttention, build_mpt_alibi_tensor

    x, heads = inputs["x"], options["heads"]
    with precision_of(x):
        layer = MptAttention(MptConfig(d_model=x.shape[-1], n_heads=heads, attn_config={"softmax_scale": options.get("scale")}), 0)
        alibi = build_mpt_alibi_tensor(heads, x.shape[1], options["max_bias"])
        weights = {"Wqkv.weight": torch.cat([inputs[f"{name}_weight"] for name in QKV])} | output_as("out_proj", inputs)
        seen = torch.func.functional_call(layer, weights, (x, alibi), {"attention_mask": hidden(x, inputs["mask"]) < 0})
        return {"output": seen[0]}


def t5_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    """T5Attention with its relative bias, of an encoder or a decoder. Buckets are computed in float32, as they decide whole numbers."""
    from transformers import T5Config
    from transformers.models.t5.modeling_t5 import T5Attention

    x, heads, decoder = inputs["x"], options["heads"], options["decoder"]
    time = torch.arange(x.shape[1])
    buckets = T5Attention._relative_position_bucket(
        time[None, :] - time[:, None], not decoder, options["num_buckets"], options["max_distance"]
    )
    bias = F.embedding(buckets, inputs["relative_bias"]).permute(2, 0, 1)[None]
    with precision_of(x):
        config = T5Config(d_model=x.shape[-1], d_kv=inputs["query_weight"].shape[0] // heads, num_heads=heads, dropout_rate=0.0)
        config.is_decoder, config._attn_implementation = decoder, "eager"
        layer = T5Attention(config, layer_idx=0).eval()
        weights = {f"{name[0]}.weight": inputs[f"{name}_weight"] for name in (*QKV, "output")}
        mask = hidden(x, inputs["mask"], causal=decoder)
        return {"output": torch.func.functional_call(layer, weights, (x,), {"mask": mask, "position_bias": bias})[0]}


def gpt_neox_attention(case: str, inputs: Tensors, options: dict) -> Tensors:
    """GPTNeoXAttention as GPTNeoXModel calls it: a part of each head turns. The fused projection holds query, key and value of each head."""
    from transformers import GPTNeoXConfig
    from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXAttention, GPTNeoXRotaryEmbedding

    x, heads = inputs["x"], options["heads"]
    rope = {"rope_type": "default", "rope_theta": options["theta"], "partial_rotary_factor": options["rotary"]}
    with precision_of(x):
        config = GPTNeoXConfig(hidden_size=x.shape[-1], num_attention_heads=heads, rope_parameters=rope)
        config._attn_implementation = "eager"
        layer = GPTNeoXAttention(config, 0).eval()
        turned = GPTNeoXRotaryEmbedding(config)(x, inputs["position"])
        weights = by_heads(inputs, heads) | output_as("dense", inputs)
        seen = torch.func.functional_call(layer, weights, (x, hidden(x, inputs["mask"])), {"position_embeddings": turned})
        return {"output": seen[0]}


QKV = ("query", "key", "value")


def performer(case: str, inputs: Tensors, options: dict) -> Tensors:
    """performer-pytorch's kernels and sums, heads already apart."""
    from performer_source import performer_functions

    theirs = performer_functions()
    q, k, v = (inputs[name] for name in QKV)
    projection = torch.tensor(options["projection"], dtype=q.dtype)
    if options["kernel"] == "softmax":
        phi_q, phi_k = (theirs["softmax_kernel"](x, projection_matrix=projection, is_query=x is q, eps=options["eps"]) for x in (q, k))
    else:
        phi_q, phi_k = (theirs["generalized_kernel"](x, projection_matrix=projection, kernel_epsilon=options["eps"]) for x in (q, k))
    attend = theirs["causal_linear_attention_noncuda" if options["causal"] else "linear_attention"]
    return {"output": attend(phi_q, phi_k, v)}


def by_heads(inputs: Tensors, heads: int) -> Tensors:
    """`query_key_value` of Bloom and GPT-NeoX: rows are [head, query | key | value, width]."""
    parts = {part: [inputs[f"{name}_{part}"].unflatten(0, (heads, -1)) for name in QKV] for part in ("weight", "bias")}
    return {f"query_key_value.{part}": torch.stack(three, 1).flatten(0, 2) for part, three in parts.items()}


def output_as(name: str, inputs: Tensors) -> Tensors:
    return {f"{name}.{part}": inputs[f"output_{part}"] for part in ("weight", "bias") if f"output_{part}" in inputs}


def hidden(x: torch.Tensor, mask: torch.Tensor, causal: bool = True) -> torch.Tensor:
    """Additive [batch, 1, length, length]: the lowest number where a key is padding or, if causal, comes later."""
    seen = mask.bool()[:, None, None, :].expand(-1, 1, x.shape[1], -1)
    seen = seen.tril() if causal else seen
    return torch.zeros(seen.shape, dtype=x.dtype).masked_fill(~seen, torch.finfo(x.dtype).min)


def projections(inputs: Tensors) -> Tensors:
    """`query_global_weight` of the inputs as `query_global.weight` of a layer."""
    named = {k: v for k, v in inputs.items() if k.endswith(("_weight", "_bias")) and not k.startswith("output_")}
    return {".".join(k.rsplit("_", 1)): v for k, v in named.items()}


def precision_of(x: torch.Tensor):
    """Model code asks for float32 by name."""
    return float64_everywhere() if x.dtype == torch.float64 else nullcontext()


def selective_scan(case: str, inputs: Tensors, options: dict) -> Tensors:
    """Only to check the given example: nothing here makes this module's file yet."""
    from transformers.models.mamba.modeling_mamba import mamba_selective_scan

    output, last_state = mamba_selective_scan(**inputs, delta_softplus=True, return_last_state=True)
    return {"output": output, "last_state": last_state}


def run_optimizer(optimizer_class, inputs: Tensors, options: dict) -> tuple[torch.Tensor, dict]:
    """The parameter after every step, and the state after the last."""
    parameter = torch.nn.Parameter(inputs["start"].clone())
    optimizer = optimizer_class([parameter], **options)
    after = []
    for gradient in inputs["grads"]:
        parameter.grad = gradient.clone()
        optimizer.step()
        after.append(parameter.detach().clone())
    return torch.stack(after), optimizer.state[parameter]


def adamw(case: str, inputs: Tensors, options: dict) -> Tensors:
    parameters, state = run_optimizer(torch.optim.AdamW, inputs, options)
    return {"parameters": parameters} | {k: state[k] for k in ("exp_avg", "exp_avg_sq")}


def sgd(case: str, inputs: Tensors, options: dict) -> Tensors:
    parameters, state = run_optimizer(torch.optim.SGD, inputs, options)
    buffer = state.get("momentum_buffer")
    return {"parameters": parameters} | ({} if buffer is None else {"momentum_buffer": buffer})


def orthogonalise(gradient: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton-Schulz in the gradient's own precision, with torch.optim.Muon's coefficients."""
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = gradient.shape[0] > gradient.shape[1]
    x = gradient.T if tall else gradient
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


def muon(case: str, inputs: Tensors, options: dict) -> Tensors:
    """torch's Muon, and its recipe without the detour through bfloat16."""
    dtype = inputs["start"].dtype
    parameters, state = run_optimizer(torch.optim.Muon, inputs, options)
    settings = {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True, "ns_steps": 5, "adjust_lr_fn": "original"} | options
    parameter, buffer, after = inputs["start"].clone(), torch.zeros_like(inputs["start"]), []
    rows, columns = parameter.shape
    adjusted = 0.2 * math.sqrt(max(rows, columns)) if settings["adjust_lr_fn"] == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
    for gradient in inputs["grads"]:
        buffer = buffer.lerp(gradient, 1 - settings["momentum"])
        update = gradient.lerp(buffer, settings["momentum"]) if settings["nesterov"] else buffer
        step = orthogonalise(update, settings["ns_steps"])
        parameter = parameter * (1 - settings["lr"] * settings["weight_decay"]) - settings["lr"] * adjusted * step
        after.append(parameter)
    assert dtype == parameter.dtype
    return {"parameters": parameters, "parameters_float32": torch.stack(after), "momentum_buffer": state["momentum_buffer"]}


def lion(case: str, inputs: Tensors, options: dict) -> Tensors:
    """The update of the paper (arXiv 2302.06675, algorithm 2), in numpy."""
    kind = inputs["start"].numpy().dtype.type
    lr, decay = kind(options["lr"]), kind(options["weight_decay"])
    beta1, beta2 = (kind(beta) for beta in options["betas"])
    parameter, moment, after = inputs["start"].numpy().copy(), np.zeros(inputs["start"].shape, kind), []
    for gradient in inputs["grads"].numpy():
        update = np.sign(beta1 * moment + (1 - beta1) * gradient)
        moment = beta2 * moment + (1 - beta2) * gradient
        parameter = parameter - lr * (update + decay * parameter)
        after.append(parameter.copy())
    return {"parameters": torch.from_numpy(np.stack(after)), "exp_avg": torch.from_numpy(moment)}


REFERENCES: dict[str, Callable[[str, Tensors, dict], Tensors]] = {
    function.__name__: function
    for function in (
        scaled_dot_product_attention, norms, rope, softmax, activations, cross_entropy, embedding, longformer_attention,
        big_bird_attention, bloom_attention, mpt_attention, t5_attention, gpt_neox_attention, performer, selective_scan, adamw, muon, sgd, lion,
    )
}  # fmt: skip

DIFFERENTIABLE = {
    *("scaled_dot_product_attention", "norms", "rope", "softmax", "activations", "cross_entropy", "embedding"),
    *("longformer_attention", "big_bird_attention", "bloom_attention", "mpt_attention", "t5_attention", "gpt_neox_attention", "performer"),
}


def run(module: str, case: str, inputs: Tensors, options: dict, cotangents: Tensors | None, dtype: torch.dtype) -> Tensors:
    """Every `outputs.<name>` and `grads.<argument>` of a case, computed in `dtype`."""
    given = {k: v.detach().to(dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    if cotangents is None:
        return {f"outputs.{k}": v.detach() for k, v in REFERENCES[module](case, given, options).items()}
    leaves = {k: v.requires_grad_() for k, v in given.items() if v.is_floating_point()}
    outputs = REFERENCES[module](case, given, options)
    torch.autograd.backward([outputs[k] for k in cotangents], [c.to(dtype) for c in cotangents.values()])
    results = {f"outputs.{k}": v.detach() for k, v in outputs.items()}
    return results | {f"grads.{k}": v.grad for k, v in leaves.items()}
