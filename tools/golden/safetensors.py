"""Writes a safetensors file with every dtype that torch and the format share, and the values a reader must give, as JSON.

Run by hand: python tools/golden/safetensors.py packages/checkpoint/test/fixtures   (torch 2.13.0, safetensors 0.8.0)
"""
# This file is called like the library: the folder of the script must not be searched for imports.
import sys

sys.path.pop(0)
import json
import math
import pathlib

import torch
from safetensors.torch import save_file

out = pathlib.Path(sys.argv[1])
torch.manual_seed(1)
floats = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
          "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}
integers = {"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
            "U64": torch.uint64, "U32": torch.uint32, "U16": torch.uint16, "U8": torch.uint8}
special = torch.tensor([0.0, -0.0, 1.0, -1.5, math.inf, -math.inf, math.nan, 2.0 ** -9, 2.0 ** -24, 3.14159265358979, 448.0, 57344.0])
tensors, expected = {}, {}


def plain(x):
    return "nan" if math.isnan(x) else "inf" if x == math.inf else "-inf" if x == -math.inf else "-0" if x == 0 and math.copysign(1, x) < 0 else x


def add(name, tensor):
    tensors[name] = tensor
    values = tensor.double() if tensor.is_floating_point() else tensor
    expected[name] = {"shape": list(tensor.shape), "values": [plain(v) for v in values.flatten().tolist()]}


for name, dtype in floats.items():
    add(name, torch.cat([special.double(), torch.randn(7, dtype=torch.float64)]).to(dtype))
for name in ["F8_E4M3", "F8_E5M2"]:
    add(name + ".all", torch.arange(256, dtype=torch.uint8).view(floats[name]))
for name, dtype in integers.items():
    # What our 32-bit types can hold of each.
    least, most = max(torch.iinfo(dtype).min, -2 ** 31), min(torch.iinfo(dtype).max, 2 ** 31 - 1)
    if name in ("U64", "U32"):
        most = 2 ** 32 - 1
    add(name, torch.tensor([[least, most, 0], [1, 2, 100]], dtype=dtype))
add("BOOL", torch.tensor([True, False, True]))
add("scalar", torch.tensor(2.5))
add("empty", torch.zeros(0, 3))
tensors["C64"] = torch.tensor([1 + 2j])
save_file(tensors, out / "every-dtype.safetensors", metadata={"format": "pt", "note": "ä"})
(out / "every-dtype.json").write_text(json.dumps(expected) + "\n")
