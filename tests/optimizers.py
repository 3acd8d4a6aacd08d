"""The table of optimizers: what each is made of, and what is claimed of it.

Tests take their parametrisation from here. To test a new optimizer, add its case; to
test a new backend, add it to :data:`BACKENDS` and to the cases that have it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from adam_tutorial import optim, reference
from adam_tutorial.optim.hyperparameters import OWN_FLAGS

Settings = Mapping[str, Any]
Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]

BACKENDS: dict[str, dict[str, bool]] = {
    "plain": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
"""What selects a backend. All of them compute the same."""

SMALL: dict[str, dict[str, Any]] = {
    "bfloat16": {"state_dtype": torch.bfloat16},
    "uint8": {"state_dtype": torch.uint8},
}
"""What selects a state in fewer bits. It computes nearly the same as the others."""

CHOICES = BACKENDS | SMALL

FLAGS: dict[str, Any] = {
    "foreach": None,
    "maximize": False,
    "capturable": False,
    "differentiable": False,
    "nonfinite": "pass",
    "max_grad_norm": None,
    "state_dtype": None,
}
"""What every optimizer takes, with the defaults."""

DRAWS: dict[str, st.SearchStrategy[Any]] = {
    "lr": st.floats(1e-5, 1),
    "betas": st.tuples(st.floats(0, 0.99), st.floats(0.1, 0.9999)),
    "eps": st.sampled_from([1e-10, 1e-8, 1e-3, 0.5]),
    "momentum_decay": st.sampled_from([1e-11, 1e-9, 1e-4, 0.05]),
    "weight_decay": st.sampled_from([0.0, 0.1, 0.7]),
    "maximize": st.booleans(),
}
"""Random settings, to compare a rule with its formula."""

REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
COMPLEX = (torch.complex64, torch.complex128)


@dataclass(frozen=True)
class Case:
    """One optimizer, or one with settings that turn it into another rule.

    Parameters
    ----------
    name : str
        What tests are called after.
    optimizer : type
        The class in ``adam_tutorial.optim``.
    rule : function
        The same rule in ``adam_tutorial.reference``.
    hyperparameters : mapping
        What the optimizer takes besides ``flags``, with the defaults.
    moments : tuple of str, or function
        Names of the state's tensors. They have the parameter's shape, unless this is a
        function from the parameter's shape to the shapes by name.
    fixed : mapping
        The settings that turn the class into this rule.
    form_of : str, optional
        The case of which this is a lesser form, which only tests of all forms run.
    numbers : mapping
        The state's numbers, besides ``step``, and their first values.
    flags : mapping
        The common arguments that it takes, with the defaults.
    decoupled : bool
        Whether ``weight_decay`` shrinks the parameter; otherwise it is a penalty.
    rule_with_decay : function, optional
        The rule in ``adam_tutorial.reference`` that has the decay too.
    spelling : mapping
        The names in the reference of a hyper-parameter that it calls otherwise.
    draws : mapping
        From hyper-parameters and flags to random values of them.
    torch : type, optional
        PyTorch's class.
    key : str, optional
        What the table of ``adam_tutorial.libraries`` calls this rule.
    same_formula : tuple of str
        The libraries in which the optimizer of that key computes the same.
    explorable : str, optional
        What the playground of the book calls it.
    scale_free : bool
        Without eps, multiplying all gradients by a number changes nothing.
    first_step_is_sign : bool
        The first step is ``-lr * g / (abs(g) + eps)``.
    elementwise : bool
        What happens to a coordinate does not depend on the others.
    complex : bool
        Takes complex parameters, each as two real ones.
    backends : tuple of str
        Those that it has.
    small : tuple of str
        The states in fewer bits that tests of all optimizers take this one for.
    backend : str
        What :meth:`new` selects, of either kind.
    """

    name: str
    optimizer: Any
    rule: Callable[..., Any]
    hyperparameters: Settings
    moments: tuple[str, ...] | Callable[[Shape], Shapes] = ("exp_avg", "exp_avg_sq")
    fixed: Settings = field(default_factory=dict)
    form_of: str | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)
    flags: Settings = field(default_factory=lambda: FLAGS)
    decoupled: bool = False
    rule_with_decay: Callable[..., Any] | None = None
    spelling: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"betas": ("beta1", "beta2")}
    )
    draws: Mapping[str, st.SearchStrategy[Any]] = field(default_factory=lambda: DRAWS)
    torch: Any = None
    key: str | None = None
    same_formula: tuple[str, ...] = ()
    explorable: str | None = None
    scale_free: bool = True
    first_step_is_sign: bool = False
    elementwise: bool = True
    complex: bool = True
    backends: tuple[str, ...] = ("plain", "foreach")
    small: tuple[str, ...] = ()
    backend: str = "plain"

    def __str__(self) -> str:
        return self.name if self.backend == "plain" else f"{self.name}-{self.backend}"

    def new(self, params: Any, **settings: Any) -> Any:
        """Return a new optimizer of this case, on its backend."""
        chosen = {**CHOICES[self.backend], **self.fixed, **settings}
        return self.optimizer(params, **chosen)

    def new_in_torch(self, params: Any, **settings: Any) -> Any:
        """Return PyTorch's optimizer for this case."""
        return self.torch(params, **{**self.fixed, **settings})

    def on(self, backend: str) -> Case:
        """Return the same case on another backend."""
        return replace(self, backend=backend)

    def alone(self) -> Case:
        """Return the same case, stepping one tensor at a time if it may choose."""
        return self if self.backend in SMALL else self.on("plain")

    def takes(self, name: str) -> bool:
        """Return whether the optimizer has a setting of that name."""
        return name in self.hyperparameters or name in self.flags

    def only(self, **wanted: Any) -> dict[str, Any]:
        """Return those of the wanted settings that the optimizer has, in that form.

        One optimizer may have a pair where another has a number.
        """
        have = {**self.flags, **self.hyperparameters}
        return {
            name: value
            for name, value in wanted.items()
            if name in have
            and isinstance(value, tuple | list) == isinstance(have[name], tuple)
        }

    def accepts(self, settings: Settings) -> bool:
        """Return whether all of the settings can be given on this backend."""
        if not all(map(self.takes, settings)):
            return False
        if self.backend in ("fused", *SMALL) and settings.get("differentiable"):
            return False
        if self.backend != "foreach" or settings.get("capturable"):
            return True
        # As in PyTorch, foreach takes tensors only for a capturable step.
        values = [settings.get("lr"), *settings.get("betas", ())]
        return not any(isinstance(value, Tensor) for value in values)

    def moments_of(self, shape: Shape) -> dict[str, Shape]:
        """Return the shapes of the state's tensors, for a parameter of this shape."""
        if callable(self.moments):
            return dict(self.moments(shape))
        if self.backend != "uint8":
            return dict.fromkeys(self.moments, shape)
        blocks = (-(-math.prod(shape) // 256),)
        return {
            f"{name}_{part}": size
            for name in self.moments
            for part, size in (("code", shape), ("scale", blocks))
        }

    def state_of(self, shape: Shape) -> set[str]:
        """Return all names of the state of a parameter of this shape."""
        return {"step", *self.numbers, *self.moments_of(shape)}

    def only_spelt(self, **wanted: Any) -> dict[str, Any]:
        """Return those of the reference's settings that this rule has."""
        return self.spelt(self.only(**self.unspelt(wanted)))

    def random_settings(self) -> st.SearchStrategy[dict[str, Any]]:
        """Return a strategy for the settings that change what the rule computes."""
        return st.fixed_dictionaries(
            {name: draw for name, draw in self.draws.items() if self.takes(name)}
        )

    @property
    def own_flags(self) -> tuple[str, ...]:
        """The names of its arguments that PyTorch does not have."""
        return tuple(name for name in OWN_FLAGS if name in self.flags)

    @property
    def dtypes(self) -> tuple[torch.dtype, ...]:
        """The types that a parameter may have."""
        return (*REAL, *COMPLEX) if self.complex else REAL

    def spelt(self, settings: Settings) -> dict[str, Any]:
        """Return the optimizer's settings as the reference spells them."""
        result: dict[str, Any] = {}
        for name, value in settings.items():
            names = self.spelling.get(name)
            result |= {name: value} if names is None else zip(names, value, strict=True)
        return result

    def unspelt(self, settings: Settings) -> dict[str, Any]:
        """Return the reference's settings as the optimizer spells them."""
        result = dict(settings)
        for name, names in self.spelling.items():
            if any(part in result for part in names):
                defaults = self.hyperparameters[name]
                result[name] = tuple(
                    result.pop(part, default)
                    for part, default in zip(names, defaults, strict=True)
                )
        return result


FUSED = {**FLAGS, "fused": None}
ALL = ("plain", "foreach", "fused")
RATES = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}
EITHER = {"decoupled_weight_decay": False}

ADAM = Case(
    name="Adam",
    optimizer=optim.Adam,
    rule=reference.adam,
    rule_with_decay=reference.adam_l2,
    hyperparameters={**RATES, "amsgrad": False, **EITHER},
    flags=FUSED,
    backends=ALL,
    small=("bfloat16", "uint8"),
    torch=torch.optim.Adam,
    key="adam",
    same_formula=("torch", "optax"),
    explorable="adam",
    first_step_is_sign=True,
)
AMSGRAD = replace(
    ADAM,
    name="AMSGrad",
    fixed={"amsgrad": True},
    rule=reference.amsgrad,
    rule_with_decay=None,
    moments=("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
    small=("uint8",),
    key="amsgrad",
    same_formula=("torch",),
    explorable="amsgrad",
)
ADAMW = replace(
    ADAM,
    name="AdamW",
    small=(),
    optimizer=optim.AdamW,
    rule=reference.adamw,
    rule_with_decay=reference.adamw,
    hyperparameters={**RATES, "weight_decay": 1e-2, "amsgrad": False},
    decoupled=True,
    torch=torch.optim.AdamW,
    key="adamw",
    explorable="adamw",
)
AMSGRADW = replace(
    ADAMW,
    name="AMSGradW",
    form_of="AMSGrad",
    fixed=AMSGRAD.fixed,
    rule=reference.amsgrad,
    rule_with_decay=None,
    moments=AMSGRAD.moments,
    key="amsgradw",
    same_formula=("torch",),
    explorable=None,
)
ADAMAX = Case(
    name="Adamax",
    optimizer=optim.Adamax,
    rule=reference.adamax,
    hyperparameters={**RATES, "lr": 2e-3},
    moments=("exp_avg", "exp_inf"),
    torch=torch.optim.Adamax,
    key="adamax",
    same_formula=("torch", "optax"),
    first_step_is_sign=True,
)
NADAM = Case(
    name="NAdam",
    optimizer=optim.NAdam,
    rule=reference.nadam,
    hyperparameters={**RATES, "lr": 2e-3, "momentum_decay": 4e-3, **EITHER},
    numbers={"mu_product": 1.0},
    small=("uint8",),
    torch=torch.optim.NAdam,
    key="nadam",
    same_formula=("torch",),
    explorable="nadam",
)
RADAM = Case(
    name="RAdam",
    optimizer=optim.RAdam,
    rule=reference.radam,
    hyperparameters={**RATES, **EITHER},
    torch=torch.optim.RAdam,
    key="radam",
    same_formula=("torch",),
    explorable="radam",
    scale_free=False,
)
ADABELIEF = Case(
    name="AdaBelief",
    optimizer=optim.AdaBelief,
    rule=reference.adabelief,
    hyperparameters={**RATES, "eps": 1e-16, "decoupled_weight_decay": True},
    moments=("exp_avg", "exp_avg_var"),
    decoupled=True,
    key="adabelief",
    same_formula=("optax",),
)
LION = Case(
    name="Lion",
    optimizer=optim.Lion,
    rule=reference.lion,
    rule_with_decay=reference.lion,
    hyperparameters={"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0},
    moments=("exp_avg",),
    decoupled=True,
    key="lion",
    same_formula=("optax", "keras"),
    explorable="lion",
    first_step_is_sign=True,
)


def factored(shape: Shape) -> Shapes:
    """Return what Adafactor keeps: a row and a column for each matrix."""
    if len(shape) < 2:
        return {"variance": shape}
    return {"row_var": (*shape[:-1], 1), "col_var": (*shape[:-2], 1, shape[-1])}


ADAFACTOR = Case(
    name="Adafactor",
    optimizer=optim.Adafactor,
    rule=reference.adafactor,
    rule_with_decay=reference.adafactor,
    hyperparameters={
        "lr": 1e-2,
        "beta2_decay": -0.8,
        "eps": (None, 1e-3),
        "d": 1.0,
        "weight_decay": 0.0,
    },
    moments=factored,
    flags={
        name: FLAGS[name]
        for name in ("foreach", "maximize", *OWN_FLAGS)
        if name != "state_dtype"
    },
    decoupled=True,
    spelling={},
    draws={
        **DRAWS,
        "eps": st.sampled_from([(None, 1e-3), (1e-10, 1e-3), (1e-4, 0.1)]),
        "beta2_decay": st.floats(-1, 0),
        "d": st.floats(1, 3),
    },
    torch=torch.optim.Adafactor,
    elementwise=False,
    complex=False,
)


def with_the_other_decay(case: Case, name: str, key: str | None) -> Case:
    """Return a form of an optimizer that lets its user choose the kind of decay."""
    return replace(
        case,
        name=name,
        small=(),
        form_of=case.name,
        fixed={"decoupled_weight_decay": not case.decoupled},
        decoupled=not case.decoupled,
        key=key,
        same_formula=tuple(set(case.same_formula) & {"torch"}),
        explorable=None,
    )


ADABELIEF_WITH_PENALTY = replace(
    with_the_other_decay(ADABELIEF, "AdaBelief with a penalty", None),
    # With beta1 = 0 it divides by eps alone; the penalty brings each step back into the
    # next gradient, and the path is chaotic.
    draws={**DRAWS, "betas": st.tuples(st.floats(0.1, 0.99), st.floats(0.1, 0.9999))},
)

CASES: tuple[Case, ...] = (
    ADAM,
    AMSGRAD,
    ADAMW,
    AMSGRADW,
    ADAMAX,
    NADAM,
    with_the_other_decay(NADAM, "NAdamW", "nadamw"),
    RADAM,
    with_the_other_decay(RADAM, "RAdamW", "radamw"),
    ADABELIEF,
    ADABELIEF_WITH_PENALTY,
    LION,
    ADAFACTOR,
)

Condition = Callable[[Case], bool]


def is_optimizer(case: Case) -> bool:
    """Leave out the lesser forms."""
    return case.form_of is None


def is_class(case: Case) -> bool:
    """Leave out what is a class with a setting."""
    return not case.fixed


def in_torch(case: Case) -> bool:
    """Leave out lesser forms, and what PyTorch does not have."""
    return case.torch is not None and is_optimizer(case)


def cases(
    *conditions: Condition, backends: Sequence[str] = tuple(BACKENDS)
) -> list[Case]:
    """Return the cases that meet the conditions, on each of the backends they have."""
    return [
        case.on(backend)
        for case in CASES
        if all(condition(case) for condition in conditions)
        for backend in backends
        if backend in (*case.backends, *case.small)
    ]


def each(
    *conditions: Condition, backends: Sequence[str] = tuple(BACKENDS)
) -> pytest.MarkDecorator:
    """Parametrise a test by ``case``."""
    chosen = cases(*conditions, backends=backends)
    return pytest.mark.parametrize("case", chosen, ids=str)


def each_with(
    *choices: Settings,
    where: Sequence[Condition] = (is_optimizer,),
    backends: Sequence[str] = tuple(BACKENDS),
) -> pytest.MarkDecorator:
    """Parametrise a test by ``case`` and by the choices that it accepts, ``chosen``."""

    def name(case: Case, choice: Settings) -> str:
        settings = (
            f"{key}={value}" if type(value) in (int, float) else key
            for key, value in choice.items()
        )
        return "-".join([str(case), *settings])

    rows = [
        pytest.param(case, choice, id=name(case, choice))
        for case in cases(*where, backends=backends)
        for choice in choices
        if case.accepts(choice)
    ]
    return pytest.mark.parametrize(("case", "chosen"), rows)


each_optimizer = each(is_optimizer, backends=tuple(CHOICES))
each_optimizer_exactly = each(is_optimizer)
each_form = each()
each_in_torch = each(in_torch)
each_form_in_torch = each(lambda case: case.torch is not None)
