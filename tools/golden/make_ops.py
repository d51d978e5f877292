"""Makes `fixtures/ops/sampling.json` and `fixtures/ops/schedules.json`."""

import math

import torch
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel
from transformers import optimization as schedules

from fileformat import FIXTURES, reference_line, write_json
from precision import generator

SAMPLING_NOTES = (
    "Logits after transformers' processors, in the order in which `generate` builds them from the options (repetition penalty, temperature, "
    "top-k, top-p, min-p), in float32. `ids` is prompt and output so far. null stands for -infinity. Tokens that are kept agree within atol + "
    "rtol * |expected|; which are kept agrees exactly."
)


def sampling_vectors(random: torch.Generator) -> dict[str, torch.Tensor]:
    return {
        "plain": 2.5 * torch.randn(12, generator=random),
        "ties": torch.tensor([1.0, 3.0, 2.0, 3.0, 2.0, 2.0, -1.0, 0.5, 2.0]),
        "equal": torch.full((7,), -1.5),
        "peaked": torch.tensor([0.0, 40.0, -3.0, 1.0, 2.0]),
        "close": torch.tensor([0.1, 0.2, 0.3, 0.15, 0.25, -0.3, -0.2, 0.05]),
        "large": 1000.0 + 5 * torch.randn(9, generator=random),
        "with_infinity": torch.tensor([0.3, -math.inf, 1.7, -math.inf, 0.9, -0.4]),
        "one": torch.tensor([0.7]),
    }


SAMPLING_OPTIONS = [
    {},
    {"temperature": 0.5},
    {"temperature": 1.7},
    {"top_k": 1},
    {"top_k": 3},
    {"top_k": 100},
    {"top_p": 0.3},
    {"top_p": 0.9},
    {"top_p": 1e-6},
    {"min_p": 0.05},
    {"min_p": 0.5},
    {"min_p": 1.0},
    {"repetition_penalty": 1.3},
    {"repetition_penalty": 0.7},
    {"temperature": 0.8, "top_k": 5, "top_p": 0.8},
    {"temperature": 1.5, "top_p": 0.7, "min_p": 0.1},
    {"repetition_penalty": 1.2, "temperature": 0.6, "top_k": 4, "top_p": 0.85, "min_p": 0.02},
]


def processed(logits: torch.Tensor, ids: list[int], options: dict) -> torch.Tensor:
    """The logits as `generate` would hand them to the draw; options that are not given are off (top-k too, which is 50 by default)."""
    config = GPT2Config(n_embd=4, n_layer=1, n_head=1, vocab_size=len(logits), n_positions=8, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    generation = GenerationConfig(**({"top_k": 0, "do_sample": True, "num_beams": 1, "max_length": 8} | options))
    processors = model._get_logits_processor(generation_config=generation, input_ids_seq_length=len(ids))
    return processors(torch.tensor([ids]), logits[None].clone())[0]


def certain(logits: torch.Tensor, options: dict, kept: torch.Tensor, ids: list[int]) -> bool:
    """Whether logits disturbed by rounding keep the same tokens, and no tie is split, which would hang on how a sort orders equals."""
    scaled = processed(logits, ids, {k: v for k, v in options.items() if k in ("temperature", "repetition_penalty")})
    dropped = scaled[kept.isinf() & ~scaled.isinf()]
    if torch.isin(dropped, scaled[~kept.isinf()]).any():
        return False
    for factor in (1 - 3e-6, 1 + 3e-6):
        if not torch.equal(processed(logits * factor, ids, options).isinf(), kept.isinf()):
            return False
        moved = {k: v * factor if k in ("top_p", "min_p") and v * factor <= 1 else v for k, v in options.items()}
        if not torch.equal(processed(logits, ids, moved).isinf(), kept.isinf()):
            return False
    return True


def values(tensor: torch.Tensor) -> list[float | None]:
    """float32 values as short decimals that read back to the same float32."""
    return [None if math.isinf(v) else float(f"{v:.9g}") for v in tensor.tolist()]


def make_sampling() -> None:
    cases, left_out = [], 0
    for name, logits in sampling_vectors(generator("sampling")).items():
        ids = [i % len(logits) for i in (1, 0, 1, 4, 1)]
        for options in SAMPLING_OPTIONS:
            result = processed(logits, ids, options)
            if not certain(logits, options, result, ids):
                left_out += 1
                continue
            cases.append({"name": name, "options": options, "ids": ids, "logits": values(logits), "expected": values(result)})
    content = {"reference": reference_line(), "notes": SAMPLING_NOTES, "atol": 1e-5, "rtol": 1e-5, "cases": cases}
    write_json(FIXTURES / "ops" / "sampling.json", content)
    print(f"sampling: {len(cases)} cases, {left_out} left out since rounding or the order of equals decides them")


SCHEDULE_NOTES = (
    "Learning rates of steps 0, 1, 2, ... from transformers.optimization in float64, base rate `lr`. `function` and `options` are the library's; "
    "past the end of training the last value or what the formula gives holds."
)

SCHEDULES = [
    ("get_constant_schedule_with_warmup", {"num_warmup_steps": 4}),
    ("get_linear_schedule_with_warmup", {"num_warmup_steps": 5, "num_training_steps": 23}),
    ("get_linear_schedule_with_warmup", {"num_warmup_steps": 0, "num_training_steps": 11}),
    ("get_cosine_schedule_with_warmup", {"num_warmup_steps": 5, "num_training_steps": 23}),
    ("get_cosine_schedule_with_warmup", {"num_warmup_steps": 0, "num_training_steps": 11}),
    ("get_cosine_schedule_with_warmup", {"num_warmup_steps": 2, "num_training_steps": 23, "num_cycles": 1.5}),
    ("get_cosine_with_min_lr_schedule_with_warmup", {"num_warmup_steps": 5, "num_training_steps": 23, "min_lr_rate": 0.1}),
    ("get_cosine_with_min_lr_schedule_with_warmup", {"num_warmup_steps": 0, "num_training_steps": 17, "min_lr": 1e-4}),
    ("get_wsd_schedule", {"num_warmup_steps": 4, "num_stable_steps": 9, "num_decay_steps": 8, "decay_type": "linear"}),
    ("get_wsd_schedule", {"num_warmup_steps": 4, "num_stable_steps": 9, "num_decay_steps": 8, "decay_type": "cosine", "min_lr_ratio": 0.1}),
    ("get_wsd_schedule", {"num_warmup_steps": 0, "num_stable_steps": 5, "num_decay_steps": 10, "decay_type": "1-sqrt"}),
    ("get_wsd_schedule", {"num_warmup_steps": 3, "num_stable_steps": 0, "num_decay_steps": 9, "decay_type": "1-sqrt", "min_lr_ratio": 0.05}),
    ("get_inverse_sqrt_schedule", {"num_warmup_steps": 6}),
]


def schedule_rates(function: str, options: dict, lr: float, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = getattr(schedules, function)(optimizer, **options)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return rates


def make_schedules() -> None:
    lr, steps = 1e-3, 27
    cases = [{"function": f, "options": options, "lr": lr, "rates": schedule_rates(f, options, lr, steps)} for f, options in SCHEDULES]
    content = {"reference": reference_line(), "notes": SCHEDULE_NOTES, "rtol": 1e-9, "cases": cases}
    write_json(FIXTURES / "ops" / "schedules.json", content)
    print(f"schedules: {len(cases)} cases")


def make_ops() -> None:
    make_sampling()
    make_schedules()
