#!/usr/bin/env python3
"""What PyTorch reaches on a GPU for the products and the attention that device_bench times.

  torch_device.py        with a PyTorch for CUDA; prints microseconds and TFLOP/s, medians of five rounds
"""
import sys
import time

try:
    import torch
    import torch.nn.functional as functional
    from torch.nn.attention import SDPBackend, sdpa_kernel
except ImportError as error:
    sys.exit(f"torch_device.py: PyTorch is not here ({error}); bench/peers/install makes an environment with it")
if not torch.cuda.is_available():
    sys.exit("torch_device.py: PyTorch sees no GPU; nothing was measured")


def seconds(run):
    def rounds(times):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(times):
            run()
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / times

    rounds(3)
    times = min(max(int(0.03 / rounds(3)), 3), 3000)
    return sorted(rounds(times) for _ in range(5))[2]


def report(name, shape, flops, run):
    took = seconds(run)
    print(f"{name:34} {shape:34} {took * 1e6:12.1f} {flops / took / 1e12:10.2f} TFLOP/s", flush=True)


torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False
print(torch.cuda.get_device_name(), torch.__version__)
rows, width = 16 * 1024, 768
for dtype in (torch.bfloat16, torch.float32):
    side = 8192 if dtype == torch.bfloat16 else 4096
    shapes = [(side, side, side)] + [(rows, n, k) for n, k in ((3 * width, width), (width, width), (4 * width, width), (width, 4 * width))]
    for m, n, k in shapes:
        a = torch.randn(m, k, device="cuda", dtype=dtype)
        b = torch.randn(n, k, device="cuda", dtype=dtype)
        report(f"matmul, {dtype}", f"{m} x {n} x {k}, b^T", 2 * m * n * k, lambda a=a, b=b: a @ b.T)
        b = torch.randn(k, n, device="cuda", dtype=dtype)
        report(f"matmul, {dtype}", f"{m} x {n} x {k}", 2 * m * n * k, lambda a=a, b=b: a @ b)

batch, heads, steps, head = 16, 12, 1024, 64
flops = 2 * batch * heads * steps * steps * head
for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):
    q, k, v = (torch.randn(batch, heads, steps, head, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(3))
    shape = f"{batch} x {heads} x {steps} x {head}, causal"
    try:
        with sdpa_kernel(backend):
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            dy = torch.randn_like(y)
            with torch.no_grad():
                report(f"{backend.name}, forward", shape, flops, lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=True))
            report(f"{backend.name}, backward", shape, 2.5 * flops, lambda: torch.autograd.grad(y, (q, k, v), dy, retain_graph=True))
    except RuntimeError as error:
        print(f"{backend.name}: {str(error).splitlines()[0]}")
