"""Makes `fixtures/layers/<module>.json` and `.safetensors`: single functions with their gradients, optimizers step by step."""

import torch

from fileformat import FIXTURES, reference_line, write_json, write_tensors
from precision import RTOL, distance, generator, tolerance
from references import DIFFERENTIABLE, REFERENCES, run

LEAST = {"rope": 1e-5, "adamw": 1e-6, "sgd": 1e-6, "lion": 1e-6, "muon": 1e-5}
"""Least tolerances; 2e-6 where a module is not named."""

Random = torch.Generator


def normal(random: Random, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=random)


def attention_cases(random: Random) -> dict:
    def qkv(batch, heads, kv_heads, queries, keys, width, value_width=None):
        return {
            "query": normal(random, batch, heads, queries, width),
            "key": normal(random, batch, kv_heads, keys, width),
            "value": normal(random, batch, kv_heads, keys, value_width or width),
        }

    allowed = torch.randint(0, 2, (2, 1, 6, 13), generator=random)
    allowed[..., 4] = 1
    empty = torch.randint(0, 2, (2, 3, 5, 11), generator=random)
    empty[..., 3] = 1
    empty[0, :, 2] = 0
    empty[1, 1, 0] = 0
    padding = (torch.arange(17) >= torch.tensor([0, 6])[:, None]).long()[:, None, None, :]
    hard = qkv(1, 2, 2, 9, 9, 8)
    hard["query"] *= 12
    causal = {"is_causal": True}
    return {
        "causal": (qkv(2, 2, 2, 9, 9, 6), causal),
        "causal_odd": (qkv(1, 3, 3, 37, 37, 7), causal),
        "causal_long": (qkv(1, 1, 1, 131, 131, 5), causal),
        "grouped": (qkv(1, 6, 3, 14, 14, 10), causal | {"enable_gqa": True}),
        "one_key_head": (qkv(2, 7, 1, 5, 12, 9), {"enable_gqa": True}),
        "cross": (qkv(1, 3, 3, 7, 23, 10), {}),
        "more_queries": (qkv(1, 2, 2, 19, 4, 5), {}),
        "one_query": (qkv(2, 4, 2, 1, 33, 8), {"enable_gqa": True}),
        "one_key": (qkv(1, 2, 2, 6, 1, 8), {}),
        "scale": (qkv(1, 2, 2, 8, 8, 12), causal | {"scale": 0.8}),
        "mask": (qkv(2, 2, 2, 6, 13, 10, 7) | {"mask": normal(random, 2, 2, 6, 13)}, {"scale": 0.45}),
        "bool_mask": (qkv(2, 2, 2, 6, 13, 10) | {"bool_mask": allowed}, {}),
        "left_padding": (qkv(2, 4, 2, 17, 17, 6) | {"bool_mask": padding * torch.ones(17, 17).tril().long()}, {"enable_gqa": True}),
        "empty_rows": (qkv(2, 3, 3, 5, 11, 6) | {"bool_mask": empty}, {}),
        "large_scores": (hard, causal),
    }


def projected(random: Random, batch: int, length: int, dim: int, names: str) -> dict:
    """x and linear layers at a scale at which the softmax is neither flat nor one-hot."""
    given = {"x": normal(random, batch, length, dim)}
    for name in (*names.split(), "output"):
        given[f"{name}_weight"] = 1.3 / dim**0.5 * normal(random, dim, dim)
        given[f"{name}_bias"] = 0.15 * normal(random, dim)
    return given


def longformer_cases(random: Random) -> dict:
    local, all_six = "query key value", "query key value query_global key_global value_global"

    def case(window: int, length: int, marks: list[list[int]], names: str = all_six, padding: tuple = ()) -> tuple:
        mask = torch.ones(len(marks), length, dtype=torch.long)
        for row, marked in enumerate(marks):
            for position in marked:
                mask[row, position] = 2
        for row, count in enumerate(padding):
            if count:
                mask[row, -count:] = 0
        return projected(random, len(marks), length, 12, names) | {"mask": mask}, {"heads": 3, "window": window}

    return {
        "windows": case(4, 16, [[], []], local),
        "one_chunk": case(8, 8, [[]], local),
        "corners": case(4, 8, [[0]]),
        "ragged": case(4, 16, [[5], [0, 3, 15]]),
        "some_without": case(4, 16, [[], [7, 8]]),
        "padding": case(8, 24, [[0, 1], [12]], padding=(0, 9)),
        "wide": case(16, 96, [[0, 40, 95]], padding=(0,)),
    }


def big_bird_cases(random: Random) -> dict:
    def case(block: int, length: int, layer: int, training: bool, heads: int = 3, padding: tuple = (0,), random_blocks: int = 3) -> tuple:
        mask = torch.ones(len(padding), length, dtype=torch.long)
        for row, count in enumerate(padding):
            if count:
                mask[row, -count:] = 0
        options = {"heads": heads, "block_size": block, "random_blocks": random_blocks, "layer": layer, "training": training}
        return projected(random, len(padding), length, 4 * heads, "query key value") | {"mask": mask}, options

    return {
        "evaluation": case(2, 24, 0, False),
        "training": case(2, 24, 3, True),
        "other_layer": case(2, 26, 1, True),
        "two_random_blocks": case(4, 40, 5, True, random_blocks=2),
        "padding": case(2, 24, 2, True, padding=(0, 3, 7)),
        "evaluation_padding": case(2, 24, 2, False, padding=(2, 5)),
        "paper_length": case(64, 1024, 0, True, heads=2),
    }


def ended(length: int, *padding: int) -> torch.Tensor:
    """A mask [batch, length]: 0 at the padding after each row."""
    return (torch.arange(length) < length - torch.tensor(padding)[:, None]).long()


def bloom_cases(random: Random) -> dict:
    def case(heads: int, length: int, *padding: int) -> tuple:
        given = projected(random, len(padding), length, 4 * heads, "query key value")
        return given | {"mask": ended(length, *padding)}, {"heads": heads}

    return {"four_heads": case(4, 11, 0), "six_heads": case(6, 13, 0), "padding": case(3, 9, 0, 4)}


def mpt_cases(random: Random) -> dict:
    def case(heads: int, length: int, *padding: int, **options) -> tuple:
        given = projected(random, len(padding), length, 4 * heads, "query key value")
        given = {name: value for name, value in given.items() if not name.endswith("_bias")}
        return given | {"mask": ended(length, *padding)}, {"heads": heads, "max_bias": 8} | options

    return {
        "four_heads": case(4, 11, 0),
        "six_heads": case(6, 13, 0),
        "largest_exponent": case(3, 9, 0, max_bias=5),
        "scale": case(2, 9, 0, 4, scale=0.8),
    }


def t5_cases(random: Random) -> dict:
    def case(decoder: bool, length: int, *padding: int, num_buckets: int = 8, max_distance: int = 20) -> tuple:
        dim, heads, width = 10, 3, 4
        given = {"x": normal(random, len(padding), length, dim), "relative_bias": normal(random, num_buckets, heads)}
        for name in ("query", "key", "value"):
            given[f"{name}_weight"] = normal(random, heads * width, dim) / dim**0.5
        given["output_weight"] = normal(random, dim, heads * width) / (heads * width) ** 0.5
        options = {"heads": heads, "decoder": decoder, "num_buckets": num_buckets, "max_distance": max_distance}
        return given | {"mask": ended(length, *padding)}, options

    return {
        "encoder": case(False, 27, 0),
        "encoder_padding": case(False, 13, 0, 4),
        "encoder_published": case(False, 150, 0, num_buckets=32, max_distance=128),
        "decoder": case(True, 27, 0),
        "decoder_padding": case(True, 13, 5, 0),
        "decoder_published": case(True, 150, 0, num_buckets=32, max_distance=128),
    }


def gpt_neox_cases(random: Random) -> dict:
    def case(width: int, rotary: float, theta: float, position: torch.Tensor, *padding: int) -> tuple:
        heads, length = 3, position.shape[-1]
        given = projected(random, len(padding), length, heads * width, "query key value")
        given |= {"mask": ended(length, *padding), "position": position.repeat(len(padding), 1)}
        return given, {"heads": heads, "rotary": rotary, "theta": theta}

    return {
        "quarter": case(8, 0.25, 10000.0, torch.arange(11), 0),
        "half": case(8, 0.5, 100.0, torch.arange(11), 0, 4),
        "whole": case(4, 1.0, 100.0, torch.arange(9), 0),
        "gap": case(8, 0.5, 100.0, torch.tensor([0, 1, 2, 3, 9, 10, 11, 40]), 0),
    }


def norm_cases(random: Random) -> dict:
    def affine(x: torch.Tensor, bias: bool = False) -> dict:
        width = x.shape[-1]
        given = {"x": x, "weight": 1 + 0.4 * normal(random, width)}
        return given | ({"bias": 0.4 * normal(random, width)} if bias else {})

    constant = normal(random, 4, 1).expand(4, 21).clone()
    mixed = normal(random, 6, 33) * torch.logspace(-4, 4, 6)[:, None]
    cases = {
        "layer_norm": (affine(normal(random, 3, 5, 29), True), {"eps": 1e-5}),
        "layer_norm_plain": ({"x": normal(random, 7, 13)}, {"eps": 1e-5}),
        "layer_norm_no_bias": (affine(normal(random, 5, 31)), {"eps": 1e-5}),
        "layer_norm_shifted": (affine(1e4 + normal(random, 4, 67), True), {"eps": 1e-5}),
        "layer_norm_constant": (affine(constant, True), {"eps": 1e-5}),
        "layer_norm_scales": (affine(mixed, True), {"eps": 1e-5}),
        "layer_norm_eps_small": (affine(1e-3 * normal(random, 5, 23), True), {"eps": 1e-12}),
        "layer_norm_eps_large": (affine(normal(random, 5, 23), True), {"eps": 0.7}),
        "layer_norm_one": (affine(normal(random, 5, 1), True), {"eps": 1e-5}),
        "layer_norm_wide": (affine(normal(random, 2, 1031), True), {"eps": 1e-5}),
        "rms_norm": (affine(normal(random, 3, 5, 29)), {"eps": 1e-6}),
        "rms_norm_plain": ({"x": normal(random, 7, 13)}, {"eps": 1e-5}),
        "rms_norm_shifted": (affine(1e4 + normal(random, 4, 67)), {"eps": 1e-6}),
        "rms_norm_zero": (affine(torch.cat([torch.zeros(2, 19), normal(random, 2, 19)])), {"eps": 1e-6}),
        "rms_norm_scales": (affine(mixed.clone()), {"eps": 1e-6}),
        "rms_norm_eps_large": (affine(normal(random, 5, 23)), {"eps": 0.7}),
        "rms_norm_one": (affine(normal(random, 5, 1)), {"eps": 1e-6}),
        "rms_norm_wide": (affine(normal(random, 2, 1031)), {"eps": 1e-6}),
    }
    return cases


def rope_cases(random: Random) -> dict:
    def turned(heads, kv_heads, width, position):
        batch, time = position.shape
        return {"query": normal(random, batch, heads, time, width), "key": normal(random, batch, kv_heads, time, width), "position": position}

    count = torch.arange(11).repeat(2, 1)
    padded = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 1, 2, 3]])
    far = torch.randint(0, 4000, (1, 9), generator=random)
    return {
        "half_split": (turned(3, 1, 10, count), {"theta": 10000.0, "d": 10}),
        "partial": (turned(2, 2, 13, count), {"theta": 10000.0, "d": 6}),
        "one_pair": (turned(1, 1, 5, count), {"theta": 500000.0, "d": 2}),
        "left_padding": (turned(2, 2, 8, padded), {"theta": 100.0, "d": 8}),
        "far": (turned(2, 1, 16, far), {"theta": 500000.0, "d": 16}),
    }


def softmax_cases(random: Random) -> dict:
    large = 1e4 * normal(random, 4, 15)
    cases = {}
    for name in ("softmax", "log_softmax"):
        cases[name] = ({"x": 3 * normal(random, 3, 4, 17)}, {})
        cases[f"{name}_large"] = ({"x": large}, {})
        cases[f"{name}_one"] = ({"x": normal(random, 5, 1)}, {})
        cases[f"{name}_wide"] = ({"x": 500 + normal(random, 2, 1031)}, {})
    return cases


def activation_cases(random: Random) -> dict:
    special = torch.tensor([0.0, -0.0, 1e-8, -1e-8, 0.7517916, -0.7517916, -1.2784645, 5.9, -5.9, 12.0, -12.0, 100.0, -100.0, 1e4, -1e4])
    x = torch.cat([special, torch.linspace(-9, 9, 145), 2 * normal(random, 41)])
    gate, up = 3 * normal(random, 5, 37), normal(random, 5, 37)
    cases = {name: ({"x": x}, {}) for name in ("gelu", "gelu_tanh", "silu", "relu")}
    return cases | {"swiglu": ({"gate": gate, "up": up}, {})}


def cross_entropy_cases(random: Random) -> dict:
    def scored(rows: int, classes: int, size: float = 2.0, ignored: int = 0) -> dict:
        target = torch.randint(0, classes, (rows,), generator=random)
        target[torch.randperm(rows, generator=random)[:ignored]] = -100
        return {"logits": size * normal(random, rows, classes), "target": target}

    shifted = scored(9, 31, ignored=2)
    shifted["logits"] += 1000.0
    return {
        "plain": (scored(7, 29), {}),
        "ignored": (scored(13, 53, ignored=5), {}),
        "one_left": (scored(6, 11, ignored=5), {}),
        "large": (scored(8, 23, size=1e4), {}),
        "shifted": (shifted, {}),
        "sum": (scored(9, 17, ignored=3), {"reduction": "sum"}),
        "none": (scored(9, 17, ignored=3), {"reduction": "none"}),
        "other_index": (scored(8, 19), {"ignore_index": 3}),
        "wide": (scored(3, 1543), {}),
        "one_class": (scored(4, 1), {}),
    }


def embedding_cases(random: Random) -> dict:
    def looked_up(rows: int, width: int, *shape: int, only: int | None = None) -> dict:
        ids = torch.randint(0, only or rows, shape, generator=random)
        return {"weight": normal(random, rows, width), "ids": ids}

    return {
        "repeated": (looked_up(11, 7, 3, 13), {}),
        "few_of_many": (looked_up(97, 5, 2, 9, only=4), {}),
        "same_id": (looked_up(5, 9, 1, 201, only=1), {}),
        "one_token": (looked_up(6, 3, 1), {}),
    }


def performer_cases(random: Random) -> dict:
    def case(kernel: str, causal: bool, eps: float, length: int, dim: int, features: int, batch: int = 2, heads: int = 2, size: float = 1.0):
        given = {name: size * normal(random, batch, heads, length, dim) for name in ("query", "key", "value")}
        return given, {"kernel": kernel, "causal": causal, "eps": eps, "projection": normal(random, features, dim).tolist()}

    return {
        "softmax": case("softmax", False, 1e-4, 9, 4, 6),
        "softmax_causal": case("softmax", True, 1e-4, 9, 4, 6),
        "softmax_causal_past_a_chunk": case("softmax", True, 1e-4, 70, 3, 5, batch=1),
        "softmax_large": case("softmax", False, 1e-4, 7, 4, 6, size=3.0),
        "relu": case("relu", False, 1e-3, 9, 4, 6),
        "relu_causal": case("relu", True, 1e-3, 11, 4, 6),
    }


def stepped(random: Random, steps: int, *shape: int, size: float = 1.0) -> dict:
    """A start and gradients of changing size; one element never gets a gradient, one gets its first at step 3."""
    grads = size * normal(random, steps, *shape) * torch.linspace(0.2, 3, steps).reshape(-1, *[1] * len(shape))
    flat = grads.reshape(steps, -1)
    flat[:, 0] = 0
    flat[:3, 1] = 0
    return {"start": normal(random, *shape), "grads": grads}


def adamw_cases(random: Random) -> dict:
    return {
        "default": (stepped(random, 6, 5, 7), {}),
        "options": (stepped(random, 6, 5, 7), {"lr": 0.02, "betas": [0.8, 0.95], "eps": 1e-6, "weight_decay": 0.3}),
        "no_decay": (stepped(random, 6, 13), {"lr": 0.01, "weight_decay": 0.0}),
        "large_eps": (stepped(random, 6, 13, size=1e-3), {"lr": 0.01, "eps": 1e-2}),
        "small_gradients": (stepped(random, 6, 3, 5, size=1e-6), {"lr": 0.01, "eps": 1e-8}),
        "large_gradients": (stepped(random, 6, 3, 5, size=1e6), {"lr": 0.01, "weight_decay": 0.1}),
        "betas_zero": (stepped(random, 6, 9), {"lr": 0.01, "betas": [0.0, 0.99]}),
    }


def sgd_cases(random: Random) -> dict:
    return {
        "plain": (stepped(random, 6, 5, 7), {"lr": 0.05}),
        "momentum": (stepped(random, 6, 5, 7), {"lr": 0.05, "momentum": 0.9}),
        "nesterov": (stepped(random, 6, 5, 7), {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
        "dampening": (stepped(random, 6, 11), {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
        "decay": (stepped(random, 6, 11), {"lr": 0.05, "weight_decay": 0.2}),
    }


def lion_cases(random: Random) -> dict:
    return {
        "default": (stepped(random, 6, 5, 7), {"lr": 1e-2, "betas": [0.9, 0.99], "weight_decay": 0.0}),
        "decay": (stepped(random, 6, 5, 7), {"lr": 3e-2, "betas": [0.95, 0.98], "weight_decay": 0.4}),
    }


def muon_cases(random: Random) -> dict:
    def matrices(rows: int, columns: int) -> dict:
        return {"start": normal(random, rows, columns), "grads": normal(random, 4, rows, columns)}

    return {
        "wide": (matrices(5, 11), {"lr": 0.02, "adjust_lr_fn": "original"}),
        "tall": (matrices(13, 6), {"lr": 0.02, "adjust_lr_fn": "original"}),
        "wide_rms": (matrices(5, 11), {"lr": 0.02, "weight_decay": 0.3, "adjust_lr_fn": "match_rms_adamw"}),
        "tall_rms": (matrices(13, 6), {"lr": 0.02, "adjust_lr_fn": "match_rms_adamw"}),
        "square": (matrices(8, 8), {"lr": 0.02, "momentum": 0.8, "nesterov": False, "weight_decay": 0.0, "ns_steps": 3}),
        "default": (matrices(7, 9), {}),
    }


MODULES = {
    "scaled_dot_product_attention": (
        attention_cases,
        "torch.nn.functional.scaled_dot_product_attention, math backend. Shapes are [batch, heads, length, width]. With enable_gqa query head h "
        "reads key-value head floor(h / (heads / key-value heads)). `mask` is additive, `bool_mask` holds 1 where attention is allowed; both "
        "broadcast. In `empty_rows` some queries may see no key: their output is 0 and they send no gradient. In `large_scores` softmax is nearly "
        "one-hot. is_causal is used only where queries and keys are equally many.",
    ),
    "longformer_attention": (
        longformer_cases,
        "transformers' LongformerSelfAttention with its output projection, without dropout and norm: x [batch, length, dim], weights [out, in]. `window` "
        "counts both sides; mask is 0 at padding, 1 at a token, 2 at a global token.",
    ),
    "big_bird_attention": (
        big_bird_cases,
        "transformers' BigBirdBlockSparseAttention with its output projection, without dropout and norm: x [batch, length, dim], weights [out, in]. `layer` "
        "is the seed, max_position_embeddings 4096; random blocks are seeded in `training` and 0 else; mask is 0 at padding. In `paper_length` some random "
        "blocks are seen anyway.",
    ),
    "bloom_attention": (
        bloom_cases,
        "transformers' BloomAttention (ALiBi) without residual and dropout: x [batch, length, dim], weights [out, in], query, key and value apart; mask is 0 at "
        "padding, which comes last.",
    ),
    "mpt_attention": (
        mpt_cases,
        "transformers' MptAttention (ALiBi): x [batch, length, dim], weights [out, in], query, key and value apart, no biases; max_bias is alibi_bias_max; mask is "
        "0 at padding, which comes last.",
    ),
    "t5_attention": (
        t5_cases,
        "transformers' T5Attention, scores not scaled: x [batch, length, dim], weights [out, in]; relative_bias [buckets, heads]; an encoder looks both ways, a "
        "decoder back; mask is 0 at padding, which comes last.",
    ),
    "gpt_neox_attention": (
        gpt_neox_cases,
        "transformers' GPTNeoXAttention: the first `rotary` of each head turns, pairs (i, i + half). x [batch, length, dim], weights [out, in], query, key and value "
        "apart; mask is 0 at padding, which comes last; position [batch, length].",
    ),
    "performer": (
        performer_cases,
        "performer-pytorch 1.1.4's softmax_kernel or generalized_kernel with linear_attention or causal_linear_attention_noncuda: query, key and value [batch, "
        "heads, length, width], projection [features, width]. Softmax's keys are divided by their largest exponential, later ones included, before eps is added; the causal sum of keys has 1e-6 more in each entry.",
    ),
    "norms": (
        norm_cases,
        "torch.nn.functional.layer_norm (cases layer_norm*) and rms_norm (cases rms_norm*) over the last dimension. In `*_shifted` x is "
        "1e4 + N(0, 1), in `layer_norm_constant` every row is constant, in `*_scales` row i has size 1e-4 ... 1e4, in `rms_norm_zero` two rows are 0.",
    ),
    "rope": (
        rope_cases,
        "Rotary positions, half-split pairs (i, i + d / 2), with transformers' apply_rotary_pos_emb; the first d dimensions turn by "
        "position * theta^(-2 i / d), the others pass. query and key are [batch, heads, length, width], position is [batch, length].",
    ),
    "softmax": (softmax_cases, "torch.nn.functional.softmax (cases softmax*) and log_softmax (cases log_softmax*) over the last dimension."),
    "activations": (
        activation_cases,
        "torch.nn.functional: gelu (erf), gelu_tanh (approximate='tanh'), silu, relu on x; swiglu is silu(gate) * up. x runs through special "
        "values first, among them +-1e4.",
    ),
    "cross_entropy": (
        cross_entropy_cases,
        "torch.nn.functional.cross_entropy of logits [rows, classes] with target [rows]; ignore_index is -100 and reduction is the mean over rows "
        "that are not ignored, unless options say otherwise.",
    ),
    "embedding": (embedding_cases, "torch.nn.functional.embedding: rows of weight by ids; the gradient adds up where an id repeats."),
    "adamw": (
        adamw_cases,
        "torch.optim.AdamW, its defaults: lr 1e-3, betas 0.9 and 0.999, eps 1e-8, weight_decay 1e-2. Element 0 never has a gradient, "
        "element 1 from the fourth step on.",
    ),
    "sgd": (sgd_cases, "torch.optim.SGD. Its momentum buffer starts as the first gradient, without dampening; weight decay is added to the gradient."),
    "lion": (
        lion_cases,
        "Lion, arXiv 2302.06675 algorithm 2: p -= lr * (sign(beta1 m + (1 - beta1) g) + weight_decay * p), m = beta2 m + (1 - beta2) g. No element "
        "comes near a change of sign by rounding; sign(0) is 0.",
    ),
    "muon": (
        muon_cases,
        "torch.optim.Muon, its defaults: lr 1e-3, weight_decay 0.1, momentum 0.95, nesterov, ns_steps 5, adjust_lr_fn 'original'. torch "
        "orthogonalises in bfloat16 (`parameters`, wide tolerance); `parameters_float32` is the same recipe in float32. Rows are outputs.",
    ),
}


FROM_TRANSFORMERS = {name for name in MODULES if name == "rope" or name.endswith("_attention") and name != "scaled_dot_product_attention"}


def case_tolerance(module: str, name: str, value: torch.Tensor, exact: dict) -> float:
    """Twenty times the distance to float64, less what rtol allows; for Muon's bfloat16 twice the distance to the exact recipe."""
    if module == "muon" and name == "outputs.parameters":
        return tolerance(distance(value, exact["outputs.parameters_float32"]) / 10, 1e-4)
    off = (value.double() - exact[name]).abs() - RTOL / 20 * exact[name].abs()
    return tolerance(max(0.0, off.max().item()), LEAST.get(module, 2e-6))


def check_signs(inputs: dict, options: dict) -> None:
    """Lion's direction must not hang on rounding."""
    moment, (beta1, beta2) = torch.zeros_like(inputs["start"]).double(), options["betas"]
    for gradient in inputs["grads"].double():
        mixed = beta1 * moment + (1 - beta1) * gradient
        assert not ((mixed != 0) & (mixed.abs() < 1e-5)).any(), "a sign of Lion hangs on rounding: draw again"
        moment = beta2 * moment + (1 - beta2) * gradient


def make_module(module: str) -> None:
    make_cases, notes = MODULES[module]
    random = generator(module)
    tensors, cases = {}, {}
    for case, (inputs, options) in make_cases(random).items():
        if module == "lion":
            check_signs(inputs, options)
        cotangents = None
        if module in DIFFERENTIABLE:
            shapes = {k: v.shape for k, v in REFERENCES[module](case, inputs, options).items()}
            cotangents = {k: torch.randn(shape, generator=random) for k, shape in shapes.items()}
        values = run(module, case, inputs, options, cotangents, torch.float32)
        exact = run(module, case, inputs, options, cotangents, torch.float64)
        assert all(v.isfinite().all() for v in values.values()), f"{module}.{case} is not finite"
        outputs = {name: {"atol": case_tolerance(module, name, value, exact), "rtol": RTOL} for name, value in values.items()}
        cases[case] = ({"options": options} if options else {}) | {"outputs": outputs}
        tensors |= {f"{case}.inputs.{k}": v for k, v in inputs.items()}
        tensors |= {f"{case}.cotangents.{k}": v for k, v in (cotangents or {}).items()}
        tensors |= {f"{case}.{k}": v for k, v in values.items()}
    folder = FIXTURES / "layers"
    write_tensors(folder / f"{module}.safetensors", tensors)
    reference = reference_line(module in FROM_TRANSFORMERS) if module != "lion" else "numpy " + __import__("numpy").__version__
    write_json(folder / f"{module}.json", {"reference": reference, "notes": notes, "cases": cases})
    widest = max((entry["atol"], case, name) for case, c in cases.items() for name, entry in c["outputs"].items())
    print(f"{module}: {len(cases)} cases, {(folder / f'{module}.safetensors').stat().st_size // 1000} kB, widest {widest}")


def make_layers(only: str = "") -> None:
    for module in MODULES:
        if only in module:
            make_module(module)
