"""Random draws, float64 runs and tolerances."""

import math
import zlib
from contextlib import contextmanager

import torch

RTOL = 1e-5


def generator(name: str, attempt: int = 0) -> torch.Generator:
    """A stream that depends on the fixture's name only, so that fixtures can be made one by one."""
    return torch.Generator().manual_seed(zlib.crc32(f"{name}/{attempt}".encode()))


def redraw(model: torch.nn.Module, random: torch.Generator) -> None:
    """Draws every parameter at a scale at which attention, gates and norms matter.

    Matrices N(0, 1.3^2 / fan-in); one-dimensional parameters keep their initial value plus N(0, 0.15^2).
    GPT-2's `Conv1D` stores [in, out], everything else [out, in]; an embedding counts its width as fan-in.
    """
    from transformers.pytorch_utils import Conv1D

    transposed = {id(m.weight) for m in model.modules() if isinstance(m, Conv1D)}
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if parameter.dim() == 1:
                parameter.add_(0.15 * noise)
            else:
                fan_in = parameter.shape[0] if id(parameter) in transposed else parameter.shape[1]
                parameter.copy_(1.3 / math.sqrt(fan_in) * noise)


def disturb(model: torch.nn.Module, random: torch.Generator, size: float | None) -> None:
    """Changes every weight by a normal draw of relative `size`, or moves it to a neighbouring float32 when `size` is None."""
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            if size is None:
                parameter.copy_(torch.nextafter(parameter, parameter + noise))
            else:
                parameter.mul_(1 + size * noise)


@contextmanager
def float64_everywhere():
    """Makes model code compute in float64 even where it asks for float32.

    Norms, softmax, losses and rotary tables upcast to float32 by name; under this context those names mean float64.
    """
    saved = torch.float32, torch.float, torch.Tensor.float, torch.get_default_dtype()
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float = saved[:3]
        torch.set_default_dtype(saved[3])


def distance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest absolute difference."""
    return (a.double() - b.double()).abs().max().item() if a.numel() else 0.0


def tolerance(floor: float, least: float) -> float:
    """Twenty times the rounding floor, rounded up to one digit, never below `least`."""
    wanted = max(20 * floor, least)
    unit = 10.0 ** math.floor(math.log10(wanted) + 1e-9)
    return float(f"{math.ceil(wanted / unit - 1e-9) * unit:.0e}")
