"""Compares parity directories and layer files with a fresh run of the reference: `python check.py DIRECTORY...`.

Proves that a fixture agrees with itself: it is read as any re-implementation reads it, and computed in another way than when it was made
(fused attention instead of the eager one; layer files and Transformer-XL in float64). One line per output; exit status 1 on any disagreement.
"""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(sys.path.pop(0))  # this folder last: it has files that are called like libraries

import torch
import transformers

from fileformat import read_json, read_tensors, with_prefix
from make_models import forward, generate, load
from make_train import train
from references import REFERENCES, run

FAILED, SKIPPED = [], []


def report(where: str, name: str, passed: bool, text: str) -> None:
    print(f"  {'pass' if passed else 'FAIL'}  {name:<52} {text}")
    if not passed:
        FAILED.append(f"{where}: {name}")


def compare(where: str, name: str, actual: torch.Tensor | None, expected: torch.Tensor, entry: dict, mask=None) -> None:
    """One line: the largest error, absolute and relative to the largest value, where it is, and its share of what is allowed."""
    if actual is None or actual.shape != expected.shape:
        return report(where, name, False, f"shape {None if actual is None else tuple(actual.shape)}, expected {tuple(expected.shape)}")
    actual, expected = actual.double(), expected.double()
    error = (actual - expected).abs()
    if mask is not None:
        error = error * mask.reshape(mask.shape + (1,) * (error.dim() - mask.dim()))
    allowed = entry["atol"] + entry["rtol"] * expected.abs()
    share = (error / allowed).max().item()
    place = [int(i) for i in torch.unravel_index(error.argmax(), error.shape)]
    relative = error.max() / expected.abs().max().clamp(min=1e-30)
    text = f"abs {error.max():.1e}  rel {relative:.1e}  at {place}  {100 * share:.1f} % of the tolerance"
    report(where, name, share <= 1 and bool(actual.isfinite().all()), text)


def check_outputs(where: str, parity: dict, tensors: dict, actual: dict) -> None:
    for name, entry in parity["outputs"].items():
        mask = tensors[f"inputs.{entry['where']}"] if "where" in entry else None
        compare(where, name, actual.get(name), tensors[f"outputs.{name}"], entry, mask)


def check_generations(directory: Path, parity: dict, tensors: dict) -> None:
    for number, entry in enumerate(parity.get("generate", [])):
        fixed = ("inputs", "sequences", "scores", "scores_atol")
        settings = {k: v for k, v in entry.items() if k not in fixed}
        inputs = {argument: tensors[name] for argument, name in entry["inputs"].items()}
        result = generate(load(directory, "sdpa"), inputs, settings)
        same = result.sequences.tolist() == entry["sequences"]
        if "scores" in entry:
            off = (result.sequences_scores - torch.tensor(entry["scores"])).abs().max().item()
            report(str(directory), f"generate.{number}", same and off <= entry["scores_atol"], f"tokens {same}, scores off by {off:.1e}")
        else:
            report(str(directory), f"generate.{number}", same, f"tokens {same}")


def check_directory(directory: Path) -> None:
    print(directory)
    parity = read_json(directory / "parity.json")
    if not hasattr(transformers, parity["architecture"]):
        print(f"  SKIPPED: {parity['architecture']} is not in transformers {transformers.__version__}")
        SKIPPED.append(str(directory))
        return
    tensors = read_tensors(directory / "parity.safetensors")
    inputs = with_prefix(tensors, "inputs.")
    if "segments" in parity:
        from make_transfo_xl import segments_at

        actual = segments_at(directory, inputs, parity["segments"], "float64")
    elif "train" in parity:
        actual = train(load(directory, "sdpa"), inputs["batches"], parity["train"])
    else:
        actual = forward(load(directory, "sdpa"), inputs, parity.get("forward"))
    check_outputs(str(directory), parity, tensors, actual)
    check_generations(directory, parity, tensors)


def check_layers(file: Path) -> None:
    print(file)
    module = file.stem
    if module not in REFERENCES:
        print("  SKIPPED: no reference for this module here")
        SKIPPED.append(str(file))
        return
    tensors = read_tensors(file.with_suffix(".safetensors"))
    for case, content in read_json(file)["cases"].items():
        inputs, cotangents = with_prefix(tensors, f"{case}.inputs."), with_prefix(tensors, f"{case}.cotangents.")
        actual = run(module, case, inputs, content.get("options", {}), cotangents or None, torch.float64)
        for name, entry in content["outputs"].items():
            compare(str(file), f"{case}.{name}", actual.get(name), tensors[f"{case}.{name}"], entry)


def main() -> None:
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for argument in sys.argv[1:]:
        path = Path(argument)
        if path.is_file() and path.suffix != ".json":
            continue
        if (path / "parity.json").exists():
            check_directory(path)
            continue
        files = [path] if path.is_file() else sorted(path.glob("*.json"))
        if not files:
            FAILED.append(f"{path}: neither a parity directory nor a folder of layer files")
        for file in files:
            check_layers(file)
    print(f"\n{len(FAILED)} failed, {len(SKIPPED)} skipped")
    for line in FAILED:
        print(f"  {line}")
    sys.exit(1 if FAILED or not sys.argv[1:] else 0)


if __name__ == "__main__":
    main()
