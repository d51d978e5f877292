"""Reads and writes parity directories and layer files (see README.md)."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "fixtures"


def reference_line(with_transformers: bool = True) -> str:
    """The text that `parity.json` stores under `reference`."""
    import transformers

    torch_part = f"torch {torch.__version__}"
    return f"transformers {transformers.__version__}, {torch_part}" if with_transformers else torch_part


def to_json(value, indent: int = 0, width: int = 140) -> str:
    """JSON that puts a value on one line where it fits, so that a list of tokens or a tolerance stays readable."""
    flat = json.dumps(value)
    if not isinstance(value, (dict, list)) or len(flat) + indent <= width and depth(value) <= 1:
        return flat
    pad, inner = " " * indent, " " * (indent + 2)
    if isinstance(value, dict):
        lines = [f"{inner}{json.dumps(k)}: {to_json(v, indent + 2, width)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{pad}}}"
    if all(not isinstance(v, (dict, list)) for v in value):
        return flat
    if all(isinstance(v, list) for v in value) and len(flat) <= 1000:
        return flat
    return "[\n" + ",\n".join(inner + to_json(v, indent + 2, width) for v in value) + f"\n{pad}]"


def depth(value) -> int:
    """How deeply dictionaries nest in a JSON value; a list counts only through the dictionaries that it holds."""
    if isinstance(value, dict):
        return 1 + max((depth(v) for v in value.values()), default=0)
    if isinstance(value, list):
        return max((depth(v) for v in value), default=0)
    return 0


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(value) + "\n")


def read_json(path: Path):
    return json.loads(path.read_text())


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Writes float32 and int64 tensors, sorted by name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {}
    for name in sorted(tensors):
        tensor = tensors[name].detach()
        kept[name] = (tensor.float() if tensor.is_floating_point() else tensor.long()).contiguous().clone()
    save_file(kept, path, metadata={"format": "pt"})


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
