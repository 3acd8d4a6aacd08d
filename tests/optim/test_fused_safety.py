"""The native step where programs are not simple: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

HEAD = """
import os, signal, sys, threading, time
import torch
from torch import nn
from adam_tutorial.optim import Adam
from adam_tutorial.optim.backends import fused

torch.set_num_threads(2)
fused.ALONE = 1  # have every step shared by the threads

def new(seed=0, size=3000, **settings):
    torch.manual_seed(seed)
    parameters = [nn.Parameter(torch.randn(size)) for _ in range(4)]
    return Adam(parameters, lr=0.1, **settings), parameters

def train(optimizer, parameters, steps, seed=0):
    for step in range(steps):
        generator = torch.Generator().manual_seed(1000 * seed + step)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()
    return torch.cat([parameter.detach() for parameter in parameters])

def expected(steps, seed=0):
    return train(*new(seed, foreach=False), steps, seed)

def check(found, steps, seed=0):
    torch.testing.assert_close(found, expected(steps, seed), rtol=1e-5, atol=1e-6)
"""

INTERRUPTED = """
optimizer, parameters = new(size=200_000SETTINGS)
train(optimizer, parameters, 1)
counts = [optimizer.state[p]["step"] for p in parameters]
for parameter in parameters:
    parameter.grad = torch.ones_like(parameter)
    parameter.data.zero_()
    optimizer.state[parameter]["exp_avg"].fill_(1)
    optimizer.state[parameter]["exp_avg_sq"].fill_(1)
    optimizer.state[parameter]["step"].fill_(10_000)

# A job in the background has SIGINT ignored, and hands that on.
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupts, ready = 0, threading.Event()
def interrupt():
    for number in range(100):
        ready.wait()
        ready.clear()
        time.sleep(0.0011 * (number % 7))
        os.kill(os.getpid(), signal.SIGINT)
worker = threading.Thread(target=interrupt, daemon=True)
worker.start()
while True:
    try:
        ready.set()
        while interrupts < 100:
            optimizer.step()
        break
    except KeyboardInterrupt:
        interrupts += 1
        # All elements of all parameters have taken the same number of steps.
        first, count = parameters[0][0], int(counts[0])
        assert all((p == first).all() for p in parameters)
        assert all(int(c) == count for c in counts)
        assert abs(first.item() + 0.1 * (count - 10_000)) < 0.05 + 1e-4 * count
assert interrupts == 100, interrupts
"""

SCRIPTS = {
    "several threads of Python step at once": """
results = {}
made = {seed: new(seed) for seed in range(4)}  # the random numbers are all threads'
def work(seed):
    results[seed] = train(*made[seed], 40, seed)
workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
for worker in workers: worker.start()
for worker in workers: worker.join()
for seed in range(4): check(results[seed], 40, seed)
""",
    "the child of a fork goes on, and so does its parent": """
optimizer, parameters = new()
train(optimizer, parameters, 3)
child = os.fork()
torch.manual_seed(0)
done = new()
train(*done, 3)
found = train(*done, 3, seed=5)
mine = train(optimizer, parameters, 3, seed=5)
assert torch.equal(found, mine)
if child == 0:
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
""",
    "the number of threads changes between steps": """
optimizer, parameters = new()
for step in range(6):
    torch.set_num_threads(1 + step % 3)
    generator = torch.Generator().manual_seed(step)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator)
    optimizer.step()
check(torch.cat([p.detach() for p in parameters]), 6)
""",
    "each parameter is stepped as soon as its gradient is there": """
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
twin = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))
twin.load_state_dict(model.state_dict())
own = {p: Adam([p], lr=0.01) for p in model.parameters()}
def step(parameter):
    own[parameter].step()
    parameter.grad = None
for parameter in model.parameters():
    parameter.register_post_accumulate_grad_hook(step)
whole = Adam(twin.parameters(), lr=0.01)
for seed in range(5):
    x = torch.randn(32, 8)
    model(x).square().mean().backward()
    twin(x).square().mean().backward()
    whole.step(); whole.zero_grad()
for one, other in zip(model.parameters(), twin.parameters()):
    torch.testing.assert_close(one, other)
""",
    "workers load data beside it": """
from torch.utils.data import DataLoader, TensorDataset
optimizer, parameters = new()
train(optimizer, parameters, 2)
data = TensorDataset(torch.arange(16.0))
for epoch in range(2):
    for (batch,) in DataLoader(data, batch_size=4, num_workers=2):
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, batch.mean().item())
        optimizer.step()
assert int(optimizer.state[parameters[0]]["step"]) == 10
""",
    "no folder can be written to for what was compiled": """
import numba
from adam_tutorial.optim.backends import kernels
assert type(kernels.adam._cache).__name__ == "NullCache", kernels.adam._cache
check(train(*new(), 3), 3)
""",
    "Ctrl-C comes before or after a step": INTERRUPTED.replace("SETTINGS", ""),
    "Ctrl-C comes before or after a plain step": INTERRUPTED.replace(
        "SETTINGS", ", foreach=False"
    ),
    "the interpreter ends while a step is still to come": """
import atexit
optimizer, parameters = new()
train(optimizer, parameters, 2)
def last():
    optimizer.step()
    assert int(optimizer.state[parameters[0]]["step"]) == 3
    print("stepped at the end")
atexit.register(last)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_native_step_is_safe_where(name: str, tmp_path: Path) -> None:
    body = HEAD + SCRIPTS[name]
    if "no folder" in name:
        body = NO_FOLDER + body
    script = tmp_path / "script.py"
    script.write_text(body, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(script)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if "ends" in name:
        assert "stepped at the end" in done.stdout


# Root may write anywhere, so the refusal is made.
NO_FOLDER = """
import os, tempfile
def refuse(*given, **more): raise OSError(30, "Read-only file system")
tempfile.TemporaryFile = refuse
"""


def test_import_loads_no_numba() -> None:
    code = (
        "import sys, adam_tutorial.optim;"
        "assert not {'numba', 'llvmlite'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_step_without_parameters_of_a_kernel_loads_no_numba() -> None:
    code = (
        "import sys, torch, adam_tutorial.optim as o;"
        "p = torch.ones(2, requires_grad=True); p.grad = torch.ones(2);"
        "o.Adam([p], foreach=False).step();"
        "assert not {'numba', 'llvmlite'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
