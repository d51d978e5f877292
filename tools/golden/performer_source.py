"""Functions of performer-pytorch 1.1.4, out of a checkout of github:lucidrains/performer-pytorch that PERFORMER_PYTORCH names: it is in no index, and the layers beside them import more than they need."""

import ast
import os
from pathlib import Path

import torch
from einops import repeat
from torch import nn

NAMES = {"softmax_kernel", "generalized_kernel", "linear_attention", "causal_linear_attention_noncuda"}


def performer_functions() -> dict:
    if "PERFORMER_PYTORCH" not in os.environ:
        raise SystemExit("PERFORMER_PYTORCH must name a checkout of github:lucidrains/performer-pytorch.")
    source = (Path(os.environ["PERFORMER_PYTORCH"]) / "performer_pytorch" / "performer_pytorch.py").read_text()
    found = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name in NAMES]
    names = {"torch": torch, "nn": nn, "repeat": repeat}
    exec(compile(ast.Module(found, []), "performer_pytorch.py", "exec"), names)
    return names
