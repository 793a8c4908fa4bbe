"""Training steps of one workload in PyTorch, as an expert would run it on a CPU, for bench/peers/steps.

    torch_steps.py WORKLOAD --threads 2 --seconds 5 [--compile]      prints {"steps_per_second", "peak_bytes"}
    torch_steps.py WORKLOAD --export DIR --losses 20                 writes weights and batches, prints {"losses"}
    torchrun ... torch_steps.py WORKLOAD --distributed ...           one rank of DDP over gloo

Denormals are flushed, AdamW is fused, convolutions run in channels_last, attention is scaled_dot_product_attention, bf16 is autocast.
"""

import argparse
import json
import pathlib
import resource
import time

import numpy
import torch
import torch.nn.functional as F
from torch import nn


class Gpt(nn.Module):
    """GPT-2 with Hugging Face's parameter names, (outputs, inputs) weights, tied output layer."""

    class Block(nn.Module):
        def __init__(self, width, heads):
            super().__init__()
            self.heads = heads
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attn = nn.ModuleDict({"c_attn": nn.Linear(width, 3 * width), "c_proj": nn.Linear(width, width)})
            self.mlp = nn.ModuleDict({"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)})

        def forward(self, x):
            batch, steps, width = x.shape
            q, k, v = self.attn["c_attn"](self.ln_1(x)).view(batch, steps, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, steps, width)
            x = x + self.attn["c_proj"](y)
            return x + self.mlp["c_proj"](F.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))

    def __init__(self, layers, heads, width, context, vocabulary):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(Gpt.Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe.weight[:tokens.shape[1]]
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.fc1, self.output = nn.Linear(64 * 12 * 12, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        return self.output(F.relu(self.fc1(x.flatten(1))))


class ResNet18(nn.Module):
    """torchvision's ResNet-18 with a 3x3 stem and no pool."""

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
            self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
            return F.relu(y + (x if self.downsample is None else self.downsample(x)))

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for index, (width, stride) in enumerate([(64, 1), (128, 2), (256, 2), (512, 2)]):
            blocks = [ResNet18.Block(inputs, width, stride), ResNet18.Block(width, width, 1)]
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
            inputs = width
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 128), nn.Linear(128, 64), nn.Linear(64, 10)])

    def forward(self, x):
        return self.layers[2](F.relu(self.layers[1](F.relu(self.layers[0](x)))))


# name: (module, batch, input shape as PyTorch has it, classes, learning rate, bf16)
WORKLOADS = {
    "mlp": (Mlp, 64, (64,), 10, 1e-3, False),
    "cnn": (Cnn, 64, (1, 28, 28), 10, 1e-3, False),
    "char_gpt": (lambda: Gpt(4, 4, 128, 64, 65), 12, (64,), 65, 1e-3, False),
    "gpt2": (lambda: Gpt(12, 12, 768, 1024, 50257), 4, (64,), 50257, 1e-4, False),
    "gpt2_bf16": (lambda: Gpt(12, 12, 768, 1024, 50257), 4, (64,), 50257, 1e-4, True),
    "resnet18": (ResNet18, 32, (3, 32, 32), 10, 1e-3, False),
}

parser = argparse.ArgumentParser()
parser.add_argument("workload", choices=WORKLOADS)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--seconds", type=float, default=5)
parser.add_argument("--compile", action="store_true")
parser.add_argument("--export")
parser.add_argument("--losses", type=int, default=0)
parser.add_argument("--distributed", action="store_true")
options = parser.parse_args()

torch.set_flush_denormal(True)
torch.set_num_threads(options.threads)
torch.manual_seed(7)
build, batch, shape, classes, rate, bf16 = WORKLOADS[options.workload]
model = build()
tokens = options.workload.startswith(("gpt", "char"))
images = len(shape) == 3
if images:
    model = model.to(memory_format=torch.channels_last)
count = max(options.losses, 4)
generator = numpy.random.default_rng(3)
if tokens:
    x = torch.from_numpy(generator.integers(0, classes, (count, batch, *shape)))
    y = torch.from_numpy(generator.integers(0, classes, (count, batch, *shape)))
else:
    x = torch.from_numpy(generator.standard_normal((count, batch, *shape), dtype=numpy.float32))
    y = torch.from_numpy(generator.integers(0, classes, (count, batch)))

if options.export:
    folder = pathlib.Path(options.export)
    header, blobs, at = {}, [], 0
    for name, parameter in model.state_dict().items():
        if parameter.dtype != torch.float32:
            continue
        blob = parameter.detach().contiguous().numpy().astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(parameter.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "weights.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    # Ours are channels-last in memory.
    (x.permute(0, 1, 3, 4, 2) if images else x).contiguous().numpy().astype("<i4" if tokens else "<f4").tofile(folder / "x.bin")
    y.numpy().astype("<i4").tofile(folder / "y.bin")

rank, world = 0, 1
trained = model
if options.distributed:
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    trained = DistributedDataParallel(model, static_graph=True, gradient_as_bucket_view=True)
if options.compile:
    trained = torch.compile(trained)
optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0, fused=True)
share = batch // world
mine = slice(rank * share, (rank + 1) * share)


def step(index):
    inputs, targets = x[index % count][mine], y[index % count][mine]
    if images:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = trained(inputs)
        loss = F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.reshape(-1))
    loss.backward()
    optimizer.step()
    return loss


out = {}
if options.losses:
    out["losses"] = [step(i).item() for i in range(options.losses)]
else:
    for i in range(3):
        step(i)
    # How many steps fill the time, the same number on each rank.
    started = time.perf_counter()
    step(3)
    estimate = torch.tensor([1 / (time.perf_counter() - started)])
    if world > 1:
        dist.all_reduce(estimate)
    steps = max(3, int(estimate.item() / world * options.seconds))
    if world > 1:
        dist.barrier()
    started = time.perf_counter()
    for i in range(steps):
        step(i)
    out["steps_per_second"] = steps / (time.perf_counter() - started)
out["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if rank == 0:
    print(json.dumps(out), flush=True)
if world > 1:
    dist.destroy_process_group()
