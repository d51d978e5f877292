"""Makes `fixtures/parity/transfo-xl-<variant>/`: consecutive segments with the memory carried from one to the next.

TransfoXLLMHeadModel was last in transformers 4.57.6: this script runs in an environment of `requirements-transfo-xl.txt`.
"""

import shutil
import tempfile
import warnings
from pathlib import Path

import torch
import transformers

from fileformat import FIXTURES, read_tensors, reference_line, write_json, write_tensors
from precision import RTOL, disturb, distance, float64_everywhere, generator, redraw, tolerance

SIZES = {"vocab_size": 37, "d_model": 10, "n_head": 2, "d_head": 3, "d_inner": 11, "n_layer": 2, "eos_token_id": 0}
PLAIN = {"dropout": 0.0, "dropatt": 0.0, "clamp_len": -1, "same_length": False, "pre_lnorm": False, "untie_r": True}

VARIANTS: dict[str, tuple[dict, tuple[int, ...]]] = {
    # Three tails of shrinking width: the order of the clusters shows. Every token sees six positions, the furthest of them as one distance.
    "published": (
        {"cutoffs": [7, 15, 24], "d_embed": 12, "div_val": 2, "mem_len": 6, "clamp_len": 3, "same_length": True, "tie_projs": [False, True, True, True]},
        (7, 5, 6),
    ),
    # The memory outlasts a segment, so the third sees zeros, the first and the second; no distance is clamped.
    "long-memory": ({"cutoffs": [9, 20], "d_embed": 10, "div_val": 3, "mem_len": 9, "tie_projs": [False, False, True]}, (4, 3, 6)),
    # The memory is shorter than a segment.
    "short-memory": ({"cutoffs": [9, 20], "d_embed": 8, "div_val": 2, "mem_len": 2, "same_length": True, "tie_projs": [True, True, False]}, (5, 6)),
    # One table, projected, for all clusters; norms before; u and v of all layers; a segment of one token, which has no loss.
    "one-table": (
        {
            **{"cutoffs": [5, 11], "d_embed": 6, "div_val": 1, "mem_len": 5, "clamp_len": 3, "pre_lnorm": True, "untie_r": False},
            **{"tie_projs": [False, True, True]},
        },
        (5, 1, 4),
    ),
    # One table of the model's width: nothing is projected. Tables of input and output apart.
    "own-output": (
        {"cutoffs": [19], "d_embed": 10, "div_val": 1, "mem_len": 4, "layer_norm_epsilon": 1e-2, "tie_projs": [False, False], "tie_word_embeddings": False},
        (6, 4),
    ),
}


def repair() -> None:
    """The released forward calls `type_as(dtype=...)`, which torch has never had: a cast is meant."""
    original = torch.Tensor.type_as
    torch.Tensor.type_as = lambda self, other=None, *, dtype=None: self.to(dtype) if other is None else original(self, other)


repair()


def load(directory: Path) -> torch.nn.Module:
    """Made anew and filled: `from_pretrained` would give every layer a u and v of its own, drawn at random, where all share one."""
    config = transformers.TransfoXLConfig.from_pretrained(directory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = transformers.TransfoXLLMHeadModel(config).eval()
    state = read_tensors(directory / "model.safetensors")
    left, unknown = model.load_state_dict({k: v for k, v in state.items() if not k.endswith("inv_freq")}, strict=False)
    parameters = {n for n, _ in model.named_parameters()}
    assert not unknown and not parameters.intersection(left), (unknown, left)
    return model


def segments_of(model: torch.nn.Module, inputs: dict[str, torch.Tensor], names: list[str]) -> dict[str, torch.Tensor]:
    """Every output that the format names, of one call after the other: scores, hidden states, memories, loss and its gradients."""
    outputs, mems = {}, None
    for name in names:
        ids = inputs[f"{name}.input_ids"]
        result = model(ids, mems=mems, output_hidden_states=True)
        outputs |= {f"{name}.prediction_scores": result.prediction_scores}
        outputs |= {f"{name}.hidden_states.{i}": h for i, h in enumerate(result.hidden_states)}
        outputs |= {f"{name}.mems.{i}": m for i, m in enumerate(result.mems)}
        if ids.shape[1] > 1:
            model.zero_grad()
            loss = model(ids, mems=mems, labels=ids).loss
            loss.backward()
            outputs |= {f"{name}.loss": loss} | {f"{name}.grad.{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        mems = result.mems
    return {name: value.detach().clone() for name, value in outputs.items()}


def segments_at(directory: Path, inputs: dict, names: list[str], kind: str) -> dict[str, torch.Tensor]:
    """As stored ("float32"), in float64 with frequencies of float64, or with weights off by one last bit ("bit<n>")."""
    model = load(directory)
    if kind == "float64":
        with float64_everywhere():
            exact = type(model)(model.config).double().eval()
            exact.load_state_dict({n: v for n, v in model.state_dict().items() if not n.endswith("inv_freq")}, strict=False)
            return segments_of(exact, inputs, names)
    if kind.startswith("bit"):
        disturb(model, generator(kind), None)
    return segments_of(model, inputs, names)


def make(name: str, options: dict, lengths: tuple[int, ...]) -> None:
    random = generator(f"transfo-xl-{name}")
    config = transformers.TransfoXLConfig(**(SIZES | PLAIN | options))
    names = ["first", "second", "third"][: len(lengths)]
    inputs = {f"{n}.input_ids": torch.randint(0, config.vocab_size, (2, length), generator=random) for n, length in zip(names, lengths)}
    target = FIXTURES / "parity" / f"transfo-xl-{name}"
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory = Path(folder)
        torch.manual_seed(0)
        model = transformers.TransfoXLLMHeadModel(config).eval()
        redraw(model, random)
        # Of u and v that all layers share, one name is saved.
        model._dynamic_tied_weights_keys = [rf"transformer\.layers\.\d+\.dec_attn\.{bias}" for bias in ("r_w_bias", "r_r_bias") if not config.untie_r]
        model.save_pretrained(directory)
        (directory / "generation_config.json").unlink(missing_ok=True)
        expected = segments_at(directory, inputs, names, "float32")
        # Of gradients the last segment's, which has the most to remember.
        expected = {k: v for k, v in expected.items() if ".grad." not in k or k.startswith(names[-1])}
        others = [segments_at(directory, inputs, names, kind) for kind in ("float64", "bit0", "bit1", "bit2")]
        outputs = {k: {"atol": tolerance(max(distance(v, o[k]) for o in others), 1e-5), "rtol": RTOL} for k, v in expected.items()}
        tensors = {f"inputs.{k}": v for k, v in inputs.items()} | {f"outputs.{k}": v for k, v in expected.items()}
        write_tensors(directory / "parity.safetensors", tensors)
        parity = {"architecture": "TransfoXLLMHeadModel", "reference": reference_line(), "segments": names, "outputs": outputs}
        write_json(directory / "parity.json", parity)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(directory, target)
    size = sum(f.stat().st_size for f in target.iterdir())
    widest = max((entry["atol"], k) for k, entry in outputs.items())
    print(f"{target.name}: {len(outputs)} outputs, {size // 1000} kB, widest {widest}", flush=True)


def make_transfo_xl(only: str = "") -> None:
    """Makes every directory whose variant contains `only`."""
    for name, (options, lengths) in VARIANTS.items():
        if only in f"transfo-xl-{name}":
            make(name, options, lengths)
