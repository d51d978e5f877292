"""Makes `fixtures/parity/<family>-<variant>/`: one forward call with its gradients, and generations."""

import shutil
import tempfile
from pathlib import Path

import torch
import transformers

from families import SPECS, Spec
from fileformat import FIXTURES, read_json, reference_line, write_json, write_tensors
from precision import RTOL, disturb, distance, float64_everywhere, generator, redraw, tolerance

MARGIN = 0.005
DISTURBANCE = 3e-5
ATTEMPTS = 400


def load(directory: Path, attention: str = "eager") -> torch.nn.Module:
    """A fresh model in evaluation mode: dynamic rotary tables remember the longest call, so models are not reused."""
    architecture = read_json(directory / "config.json")["architectures"][0]
    model_class = getattr(transformers, architecture)
    return model_class.from_pretrained(directory, attn_implementation=attention, dtype=torch.float32).eval()


def in_float64(model: torch.nn.Module) -> torch.nn.Module:
    """The same model with float64 weights and rotary tables; to be called under `float64_everywhere`."""
    copy = type(model)(model.config).double()
    copy.load_state_dict(model.state_dict())
    return copy.train(model.training)


def make_inputs(spec: Spec, random: torch.Generator) -> dict[str, torch.Tensor]:
    """Tokens padded on the left, mask, labels (-100 at padding, at each row's first token and at one more place), positions."""
    vocabulary, time = spec.config.vocab_size, max(spec.lengths)
    ids = torch.randint(3, vocabulary, (len(spec.lengths), time), generator=random)
    mask = torch.tensor([[0] * (time - n) + [1] * n for n in spec.lengths])
    ids = torch.where(mask == 1, ids, spec.config.pad_token_id)
    labels = torch.where(mask.cumsum(1) > 1, ids, -100)
    labels[0, time // 2] = -100
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    counted = (mask.cumsum(1) - 1).clamp(min=0)
    if spec.positions == "mask":
        inputs["position_ids"] = counted
    if spec.positions == "gaps":
        inputs["position_ids"] = counted + 3 * (torch.arange(time) > time // 2) + 1
    return inputs


def forward(model: torch.nn.Module, inputs: dict, arguments: dict | None = None) -> dict[str, torch.Tensor]:
    """Every output that the format names: logits, loss, hidden states and the gradients of the loss."""
    result = model(**inputs, **(arguments or {}), output_hidden_states=True)
    outputs = {"logits": result.logits, **{f"hidden_states.{i}": h for i, h in enumerate(result.hidden_states)}}
    if "labels" in inputs:
        outputs["loss"] = result.loss
        model.zero_grad()
        result.loss.backward()
        outputs.update({f"grad.{name}": p.grad for name, p in model.named_parameters() if p.grad is not None})
    return {name: value.detach().clone() for name, value in outputs.items()}


def forward_at(directory: Path, inputs: dict, kind: str) -> dict[str, torch.Tensor]:
    """The forward call as stored ("float32"), in float64, or with weights off by one last bit ("bit<n>")."""
    model = load(directory)
    if kind == "float64":
        with float64_everywhere():
            return forward(in_float64(model), inputs)
    if kind.startswith("bit"):
        disturb(model, generator(kind), None)
    return forward(model, inputs)


def generate(model: torch.nn.Module, inputs: dict, settings: dict):
    """What the reference's `generate` returns, with the logits and scores of every step."""
    prompt = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        return model.generate(
            **prompt, **settings, do_sample=False, return_dict_in_generate=True, output_logits=True, output_scores=True
        )


def margin(result, prompt_length: int) -> float:
    """Smallest lead of the best logit over the second along a greedy generation."""
    best = torch.stack(result.logits).topk(2).values
    assert result.sequences.shape[1] == prompt_length + best.shape[0]
    return (best[..., 0] - best[..., 1]).min().item()


def stable(directory: Path, inputs: dict, settings: dict, expected) -> bool:
    """Whether weights disturbed by 3e-5 of their size leave the sequences as they are."""
    for draw in range(4):
        model = load(directory)
        disturb(model, generator("stability", draw), DISTURBANCE)
        if not torch.equal(generate(model, inputs, settings).sequences, expected):
            return False
    return True


def generations(spec: Spec, directory: Path, inputs: dict) -> list[dict] | None:
    """The entries of `generate`, or None when rounding might decide one of them."""
    entries = []
    for settings in spec.generate:
        result = generate(load(directory), inputs, settings)
        sequences = result.sequences.tolist()
        time = inputs["input_ids"].shape[1]
        if settings["num_beams"] == 1 and margin(result, time) < MARGIN:
            return None
        if any(len(set(row[time:])) < 3 for row in sequences):
            return None
        if not stable(directory, inputs, settings, result.sequences):
            return None
        names = {name: f"inputs.{name}" for name in ("input_ids", "attention_mask")}
        entry = {"inputs": names, **settings, "sequences": sequences}
        if settings["num_beams"] > 1:
            entry["scores"] = [round(score, 6) for score in result.sequences_scores.tolist()]
            entry["scores_atol"] = 0.0001
        entries.append(entry)
    return entries


def choose_end(spec: Spec, model: torch.nn.Module, inputs: dict) -> None:
    """Sets the end token to the third token that the last row generates, so that the row finishes early."""
    spec.config.eos_token_id = model.config.eos_token_id = model.generation_config.eos_token_id = None
    sequences = generate(model, inputs, spec.generate[0]).sequences
    end = int(sequences[-1, inputs["input_ids"].shape[1] + 2])
    spec.config.eos_token_id = model.config.eos_token_id = model.generation_config.eos_token_id = end


def build(spec: Spec, attempt: int, directory: Path) -> dict[str, torch.Tensor]:
    """Saves one draw of the weights and returns the inputs."""
    random = generator(spec.name, attempt)
    inputs = make_inputs(spec, random)
    torch.manual_seed(0)
    model = getattr(transformers, spec.architecture)._from_config(spec.config, attn_implementation="eager").eval()
    redraw(model, random)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(spec.embedding_scale)
    if spec.finish:
        choose_end(spec, model, inputs)
    model.save_pretrained(directory, max_shard_size=spec.max_shard_size)
    if spec.rewrite:
        spec.rewrite(directory)
    return inputs


def wanted(spec: Spec, name: str) -> bool:
    return not name.startswith("grad.") or spec.gradients is None or any(part in name for part in spec.gradients)


def compare(spec: Spec, directory: Path, inputs: dict) -> tuple[dict, dict]:
    """Expected tensors and their tolerances."""
    expected = {name: value for name, value in forward_at(directory, inputs, "float32").items() if wanted(spec, name)}
    others = [forward_at(directory, inputs, kind) for kind in ("float64", "bit0", "bit1", "bit2")]
    real = inputs["attention_mask"] == 1
    entries = {}
    for name, value in expected.items():
        masked = name == "logits" or name.startswith("hidden_states")
        pick = (lambda t: t[real]) if masked else (lambda t: t)
        floor = max(distance(pick(value), pick(other[name])) for other in others)
        entries[name] = {"atol": tolerance(floor, 1e-5), "rtol": RTOL}
        if masked:
            entries[name]["where"] = "attention_mask"
    return expected, entries


def make(spec: Spec) -> None:
    target = FIXTURES / "parity" / spec.name
    for attempt in range(ATTEMPTS):
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder)
            inputs = build(spec, attempt, directory)
            entries = generations(spec, directory, inputs)
            if entries is None:
                continue
            expected, outputs = compare(spec, directory, inputs)
            tensors = {f"inputs.{k}": v for k, v in inputs.items()} | {f"outputs.{k}": v for k, v in expected.items()}
            write_tensors(directory / "parity.safetensors", tensors)
            parity = {"architecture": spec.architecture, "reference": reference_line(), "outputs": outputs, "generate": entries}
            write_json(directory / "parity.json", parity)
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(directory, target)
        size = sum(f.stat().st_size for f in target.iterdir())
        print(f"{spec.name}: draw {attempt}, {len(outputs)} outputs, {len(entries)} generations, {size // 1000} kB", flush=True)
        return
    raise RuntimeError(f"{spec.name}: none of {ATTEMPTS} draws has generations that rounding cannot decide")


def make_models(only: str = "") -> None:
    """Makes every directory whose name contains `only`."""
    for spec in SPECS:
        if only in spec.name:
            make(spec)
