"""The package's imports go one way, and loading a part loads no more than it needs."""

from __future__ import annotations

import ast
import graphlib
import pkgutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import adam_tutorial

PACKAGE = Path(adam_tutorial.__file__).parent
MODULES = [
    found.name for found in pkgutil.walk_packages([str(PACKAGE)], "adam_tutorial.")
]
PRODUCT = (
    "reference",
    "theory",
    "optim",
    "checking",
    "libraries",
    "bench",
    "checkpoint",
    "distributed",
    "doctor",
)


def imported_by(module: str) -> set[str]:
    """Modules of this package that a module imports, wherever the imports stand."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    names = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return {name for name in names if name in MODULES}


def part_of(module: str) -> str:
    return module.split(".")[1]


def test_no_imports_run_in_a_circle() -> None:
    graph = {module: imported_by(module) - {module} for module in MODULES}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(MODULES)


def test_parts_import_one_way() -> None:
    # The laboratory imports the product, never the other way round.
    arrows = {
        (part_of(module), part_of(name))
        for module in MODULES
        for name in imported_by(module)
        if part_of(module) != part_of(name)
    }
    order = graphlib.TopologicalSorter[str]()
    for importer, imported in arrows:
        order.add(importer, imported)
    order.prepare()  # raises where two parts import each other
    assert not [
        arrow for arrow in arrows if arrow[0] in PRODUCT and arrow[1] == "study"
    ]


def loaded_after(statement: str) -> set[str]:
    program = f"import sys; {statement}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("part", ["reference", "theory", "checking", "libraries"])
def test_parts_in_numpy_load_no_torch_and_no_matplotlib(part: str) -> None:
    loaded = loaded_after(f"import adam_tutorial.{part}")
    assert f"adam_tutorial.{part}" in loaded
    assert not loaded & {"torch", "matplotlib", "scipy", "sklearn", "jax", "keras"}


def test_optimizers_load_torch_and_nothing_of_the_laboratory() -> None:
    loaded = loaded_after("import adam_tutorial.optim")
    assert "torch" in loaded
    assert not loaded & {
        "matplotlib",
        "pooch",
        "sklearn",
        "adam_tutorial.study",
    }


def test_checkpoint_loads_no_optimizer_and_nothing_of_the_laboratory() -> None:
    loaded = loaded_after("import adam_tutorial.checkpoint")
    assert {"torch", "safetensors"} <= loaded
    assert not loaded & {"matplotlib", "adam_tutorial.optim", "adam_tutorial.study"}


def test_the_doctor_loads_no_matplotlib_and_nothing_of_the_laboratory() -> None:
    loaded = loaded_after("import adam_tutorial.doctor")
    assert "adam_tutorial.optim" in loaded
    assert not loaded & {"matplotlib", "adam_tutorial.checking", "adam_tutorial.study"}


def test_bench_loads_no_library_that_it_measures_and_no_matplotlib() -> None:
    loaded = loaded_after("import adam_tutorial.bench")
    assert "adam_tutorial.optim" in loaded
    assert not loaded & {
        *("numba", "jax", "optax", "bitsandbytes", "torchao", "deepspeed"),
        *("matplotlib", "adam_tutorial.study"),
    }


def test_distributed_loads_torch_and_nothing_of_the_laboratory() -> None:
    loaded = loaded_after("import adam_tutorial.distributed")
    assert "torch.distributed" in loaded
    assert not loaded & {"matplotlib", "sklearn", "adam_tutorial.study"}


def test_names_of_the_package_are_loaded_when_they_are_used() -> None:
    assert "adam_tutorial.checking" not in loaded_after("import adam_tutorial")
    assert "adam_tutorial.checking" in loaded_after(
        "import adam_tutorial; adam_tutorial.check_optimizer"
    )
    for part in (*PRODUCT, "study"):
        assert getattr(adam_tutorial, part).__name__ == f"adam_tutorial.{part}"
    with pytest.raises(AttributeError, match="has no attribute 'Adam'"):
        adam_tutorial.Adam  # noqa: B018
