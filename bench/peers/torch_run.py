"""PyTorch on the CPU or on CUDA: reads a request from the first line of stdin, then runs one iteration for each further line.

Answers: the output as a file and one line with the version, then the milliseconds of each iteration, or {"what": "peak"}: the bytes held at most.
On CUDA a sample is several iterations and one wait, so that the wait is no part of the figure.
"""

import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

request = json.loads(sys.stdin.readline())
torch.set_num_threads(request["threads"])
work = request["work"]
device = torch.device(request["device"])
on_cuda = device.type == "cuda"


def load(name, shape):
    data = np.fromfile(f"{request['folder']}/{name}.bin", dtype=np.float32)
    return torch.from_numpy(data.reshape(shape)).to(device)


def prepare_op():
    kind = work["kind"]
    if kind == "gemm":
        dtype = torch.float16 if work.get("dtype") == "f16" else torch.float32
        a, b = load("a", [work["m"], work["k"]]).to(dtype), load("b", [work["k"], work["n"]]).to(dtype)
        return lambda: a @ b
    if kind == "attention":
        q, k, v = (load(name, [1, work["heads"], work["tokens"], work["width"]]) for name in "qkv")
        return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=work["causal"])
    x = load("x", [work["rows"], work["cols"]])
    if kind == "softmax":
        return lambda: torch.softmax(x, -1)
    if kind == "gelu":
        return lambda: F.gelu(x, approximate="tanh")
    weight, bias = load("weight", [work["cols"]]), load("bias", [work["cols"]])
    return lambda: F.layer_norm(x, [work["cols"]], weight, bias, 1e-5)


def attention(x, qkv_of, heads, causal):
    tokens, dim = x.shape[-2:]
    split = lambda t: t.reshape(*t.shape[:-1], heads, dim // heads).transpose(-2, -3)
    query, key, value = (split(part) for part in qkv_of(x).chunk(3, -1))
    mixed = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    return mixed.transpose(-2, -3).reshape(x.shape)


def prepare_blocks():
    dim, heads = work["dim"], work["heads"]
    x0 = load("x", [work["tokens"], dim])
    weights = [{name: load(f"{i}.{name}", shape) for name, shape in request["shapes"]} for i in range(work["layers"])]

    def forward():
        x = x0[None]
        for w in weights:
            h = F.layer_norm(x, [dim], w["norm1"], None, 1e-5)
            x = x + attention(h, lambda h: h @ w["wqkv"], heads, False) @ w["wo"]
            h = F.layer_norm(x, [dim], w["norm2"], None, 1e-5)
            x = x + F.gelu(h @ w["wfc"], approximate="tanh") @ w["wproj"]
        return x[0]

    return forward


def prepare_gpt():
    cfg, step = {**work["sizes"], **request["training"]}, 0
    p = {name: load(name, shape).requires_grad_() for name, shape in request["shapes"]}
    groups = [
        {"params": [t for t in p.values() if t.dim() > 1], "weight_decay": cfg["decay"]},
        {"params": [t for t in p.values() if t.dim() == 1], "weight_decay": 0.0},
    ]
    betas = (cfg["beta1"], cfg["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=cfg["rate"], betas=betas, eps=cfg["eps"], fused=True)
    batches = np.fromfile(f"{request['folder']}/batches.bin", dtype=np.int32)
    batches = torch.from_numpy(batches.astype(np.int64)).reshape(-1, 2, cfg["batch"], cfg["context"]).to(device)
    norm = lambda h, name: F.layer_norm(h, [cfg["dim"]], p[f"{name}.weight"], p[f"{name}.bias"], cfg["normEps"])
    linear = lambda h, name: h @ p[name] + p[f"{name}.bias"]

    def loss(x, y):
        h = F.embedding(x, p["tokens"]) + p["positions"]
        for i in range(cfg["layers"]):
            mixed = attention(norm(h, f"{i}.norm1"), lambda n: linear(n, f"{i}.qkv"), cfg["heads"], True)
            h = h + linear(mixed, f"{i}.out")
            up = F.gelu(linear(norm(h, f"{i}.norm2"), f"{i}.up"), approximate="tanh")
            h = h + linear(up, f"{i}.down")
        logits = norm(h, "norm") @ p["tokens"].T
        return F.cross_entropy(logits.reshape(-1, cfg["vocabulary"]), y.reshape(-1))

    def train():
        nonlocal step
        x, y = batches[step % len(batches)]
        step += 1
        optimizer.zero_grad()
        value = loss(x, y)
        value.backward()
        torch.nn.utils.clip_grad_norm_(list(p.values()), cfg["clip"])
        optimizer.step()
        return value.item()

    return train


def answer(value):
    print(json.dumps(value), flush=True)


def settled():
    if on_cuda:
        torch.cuda.synchronize()


def timed(run, times):
    start = time.perf_counter()
    for _ in range(times):
        run()
    settled()
    return (time.perf_counter() - start) * 1e3 / times


def main():
    training = work["kind"] == "gpt"
    run = prepare_gpt() if training else prepare_blocks() if work["kind"] == "blocks" else prepare_op()
    times = 1
    with torch.inference_mode(not training):
        output = [run() for _ in range(request["curveSteps"])] if training else run().float().cpu().numpy()
        np.asarray(output, dtype=np.float32).tofile(f"{request['folder']}/output.bin")
        answer({"version": torch.__version__, **({"adapter": torch.cuda.get_device_name()} if on_cuda else {})})
        for line in sys.stdin:
            if json.loads(line).get("what") == "peak":
                answer({"bytes": torch.cuda.max_memory_allocated() if on_cuda else 0})
                continue
            ms = timed(run, times)
            answer({"ms": ms})
            if on_cuda and not training and ms * times < 20 and times < 64:
                times *= 2


main()
