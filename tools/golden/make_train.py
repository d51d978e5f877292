"""Makes `fixtures/parity/train-<family>/`: traces of 20 AdamW steps."""

import shutil
import tempfile
from pathlib import Path

import torch
import transformers
from transformers import GPT2Config, LlamaConfig

from fileformat import FIXTURES, reference_line, write_json, write_tensors
from make_models import in_float64, load
from precision import RTOL, distance, float64_everywhere, generator, redraw, tolerance

SETTINGS = {
    "optimizer": "AdamW",
    "lr": 0.002,
    "betas": [0.85, 0.97],
    "eps": 1e-07,
    "weight_decay": 0.2,
    "clip_norm": 1.5,
    "steps": 20,
    "dropout": 0.0,
    "schedule": "constant",
    "decayed": "parameters with two or more dimensions (embeddings and position tables too)",
}

RUNS = {
    "train-gpt2": (
        "GPT2LMHeadModel",
        GPT2Config(
            n_embd=20, n_head=4, n_inner=37, n_layer=2, n_positions=13, vocab_size=43, bos_token_id=0, eos_token_id=0,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        ),
        2.8,
    ),
    "train-llama": (
        "LlamaForCausalLM",
        LlamaConfig(
            hidden_size=20, intermediate_size=29, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=6,
            vocab_size=43, max_position_embeddings=32, mlp_bias=True, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=0,
            rope_parameters={"rope_type": "default", "rope_theta": 100.0},
        ),
        3.9,
    ),
}  # fmt: skip


def train(model: torch.nn.Module, batches: torch.Tensor, settings: dict) -> dict[str, torch.Tensor]:
    """Losses and gradient norms of every step and the parameters after the last, computed with torch's own AdamW and clipping."""
    model.train()
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings["weight_decay"]},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings["lr"], betas=tuple(settings["betas"]), eps=settings["eps"])
    losses, norms = [], []
    for batch in batches:
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.detach())
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, settings["clip_norm"]))
        optimizer.step()
    outputs = {"losses": torch.stack(losses), "grad_norms": torch.stack(norms)}
    for name, parameter in model.named_parameters():
        value = parameter.detach()
        if name.endswith("c_attn.bias"):
            query, _, last = value.chunk(3)
            outputs |= {f"parameters.{name}.query": query, f"parameters.{name}.value": last}
        else:
            outputs[f"parameters.{name}"] = value
    return outputs


def draw_run(name: str, attempt: int) -> tuple[torch.nn.Module, torch.Tensor]:
    """A model with drawn weights and its batches, in which odd places follow from even ones so that there is something to learn."""
    architecture, config, _ = RUNS[name]
    random = generator(name, attempt)
    torch.manual_seed(0)
    model = getattr(transformers, architecture)._from_config(config, attn_implementation="eager")
    redraw(model, random)
    batches = torch.randint(0, config.vocab_size, (SETTINGS["steps"], 3, 13), generator=random)
    batches[:, :, 1::2] = (batches[:, :, 0:-1:2] * 5 + 2) % config.vocab_size
    return model, batches


def norm_entry(value: torch.Tensor, exact: torch.Tensor) -> dict:
    """Gradient norms may be off by 1e-4 of themselves; the absolute part covers what that leaves of twenty rounding floors."""
    off = (value.double() - exact).abs() - 1e-4 / 20 * exact.abs()
    return {"atol": tolerance(max(0.0, off.max().item()), 2e-5), "rtol": 1e-4}


def make_run(name: str) -> None:
    """Keeps the first draw that rounding moves little (Adam turns a gradient near 0 into a step of any size) and that clips some steps only."""
    architecture, _, clip_norm = RUNS[name]
    settings = SETTINGS | {"clip_norm": clip_norm}
    for attempt in range(100):
        model, batches = draw_run(name, attempt)
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            model.save_pretrained(directory)
            expected = train(load(directory), batches, settings)
            stored = load(directory)
            with float64_everywhere():
                exact = train(in_float64(stored), batches, settings)
            clipped = int((expected["grad_norms"] > clip_norm).sum())
            outputs = {k: {"atol": tolerance(distance(v, exact[k]), 2e-5), "rtol": RTOL} for k, v in expected.items()}
            outputs["grad_norms"] = norm_entry(expected["grad_norms"], exact["grad_norms"])
            worst = max(entry["atol"] for entry in outputs.values())
            if worst > 3e-5 or not 4 <= clipped <= settings["steps"] - 4:
                continue
            tensors = {"inputs.batches": batches} | {f"outputs.{k}": v for k, v in expected.items()}
            write_tensors(directory / "parity.safetensors", tensors)
            parity = {"architecture": architecture, "reference": reference_line(), "train": settings, "outputs": outputs}
            write_json(directory / "parity.json", parity)
            target = FIXTURES / "parity" / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(directory, target)
        losses = expected["losses"]
        print(f"{name}: draw {attempt}, {clipped} steps clipped, loss {losses[0]:.3f} to {losses[-1]:.3f}, largest atol {worst}")
        return
    raise RuntimeError(f"{name}: no draw of 100 is stable under rounding and clips some steps only")


def make_train(only: str = "") -> None:
    for name in RUNS:
        if only in name:
            make_run(name)
