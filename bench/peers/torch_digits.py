"""The digits MLP in PyTorch DDP over gloo, as an expert would run it: one rank's program, started by torchrun.

Prints one JSON line from rank 0: {"steps_per_second": ..., "loss": ...}. The arithmetic is that of examples/digits.yaml:
MLP 64-128-64-10, ReLU, dropout 0.1, cross-entropy, AdamW 1e-3 (fused), the global batch shared by the ranks.
"""

import argparse
import json
import time

import numpy
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

options = argparse.ArgumentParser()
options.add_argument("--data", required=True)
options.add_argument("--batch", type=int, default=64)
options.add_argument("--seconds", type=float, default=10)
options.add_argument("--compile", action="store_true")
options = options.parse_args()

torch.set_flush_denormal(True)
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
torch.manual_seed(7)

table = numpy.loadtxt(options.data, delimiter=",", skiprows=1, dtype=numpy.float32)
features, labels = torch.from_numpy(table[:, :64].copy()), torch.from_numpy(table[:, 64].astype(numpy.int64))
features = (features - features.mean(0)) / features.std(0).clamp_min(1e-6)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.1),
                      nn.Linear(64, 10))
parallel = DistributedDataParallel(model, static_graph=True, gradient_as_bucket_view=True)
if options.compile:
    parallel = torch.compile(parallel)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
loss_function = nn.CrossEntropyLoss()
share = options.batch // world


def batches():
    epoch = 0
    while True:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(epoch))
        for first in range(0, len(order) - options.batch + 1, options.batch):
            mine = order[first + rank * share:first + (rank + 1) * share]
            yield features[mine], labels[mine]
        epoch += 1


source = batches()


def steps(count):
    for _ in range(count):
        x, y = next(source)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(parallel(x), y)
        loss.backward()
        optimizer.step()
    return loss


steps(3)
# How many steps fill the time, the same number on each rank.
started = time.perf_counter()
steps(50)
estimate = torch.tensor([50 / (time.perf_counter() - started)])
dist.all_reduce(estimate)
count = max(50, int(estimate.item() / world * options.seconds))
dist.barrier()
started = time.perf_counter()
loss = steps(count)
elapsed = time.perf_counter() - started
if rank == 0:
    print(json.dumps({"steps_per_second": count / elapsed, "loss": loss.item()}), flush=True)
dist.destroy_process_group()
