"""What all optimizers of this package share; each adds its rule and little else.

A subclass names its hyper-parameters, describes the state of a parameter, and computes
an update from a gradient. Everything else that a training script relies on is here:
groups, closures, dtypes, weight decay, non-finite gradients, checkpoints.
"""

from __future__ import annotations

import inspect
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch._compile import _disable_dynamo
from torch._subclasses import FakeTensor
from torch.optim.optimizer import Optimizer, ParamsT

from adam_tutorial.optim.backends import foreach, plain
from adam_tutorial.optim.backends.prepared import Prepared, prepare
from adam_tutorial.optim.groups import (
    REAL,
    SPARSE,
    check_can_be_optimized,
    checked_settings,
    name_of,
)
from adam_tutorial.optim.hyperparameters import (
    COMMON,
    FLAG_DEFAULTS,
    Hyperparameter,
    parsed,
)
from adam_tutorial.optim.state import (
    STEP,
    Slot,
    State,
    check_fits,
    check_origin,
    create,
    loaded_group,
    loaded_state,
)

__all__ = ["BaseOptimizer", "Settings", "Slot", "State"]

Settings = Mapping[str, Any]


class BaseOptimizer(Optimizer):
    """Base of the optimizers: takes care of everything but the rule.

    Parameters
    ----------
    params : iterable
        Parameters, named parameters, or parameter groups.
    defaults : dict
        Hyper-parameters of groups that do not set their own.
    flags : mapping
        Those keyword arguments of the user's that are in the class's ``flags``.

    Raises
    ------
    ValueError, TypeError
        A hyper-parameter, a flag, a group or a parameter is not valid.

    Notes
    -----
    A subclass defines ``hyperparameters``, ``state_slots`` (or :meth:`slots`) and
    :meth:`rule`. Its hyper-parameters are named as in :mod:`torch.optim`.
    """

    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = COMMON
    """What each hyper-parameter may be, by name."""

    flags: ClassVar[tuple[str, ...]] = (
        "foreach",
        "maximize",
        "capturable",
        "differentiable",
        "nonfinite",
    )
    """Names of the common keyword arguments, in the order of PyTorch's signature."""

    state_slots: ClassVar[tuple[Slot, ...]] = ()
    """What is stored for a parameter, beside the number of its steps."""

    decoupled: ClassVar[bool] = False
    """Whether weight decay shrinks the parameter, where the group does not say."""

    dtypes: ClassVar[tuple[torch.dtype, ...]] = (
        *REAL,
        torch.complex64,
        torch.complex128,
    )
    """Which parameters can be optimized."""

    elementwise: ClassVar[bool] = True
    """Whether an element's update depends on that element alone; then :meth:`rule` is
    also called with lists of tensors."""

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__signature__ = _signature(cls)

    def __init__(
        self, params: ParamsT, defaults: dict[str, Any], flags: Mapping[str, Any]
    ) -> None:
        kind = type(self)
        for name in flags:
            if name not in kind.flags:
                raise TypeError(f"{kind.__name__} has no argument {name!r}")
        # What a class has no flag for keeps PyTorch's default, and is not in its
        # groups.
        given = {name: flags.get(name, FLAG_DEFAULTS[name]) for name in kind.flags}
        self._seen: dict[Tensor, Any] = {}
        super().__init__(params, parsed({**defaults, **given}, kind.hyperparameters))
        # GradScaler then leaves unscaling to the step, as with PyTorch's fused: it
        # refuses to divide float16 gradients itself.
        self._step_supports_amp_scaling = bool(self.defaults.get("fused"))

    def rule(
        self, theta: Tensor, g: Tensor, state: State, settings: Settings
    ) -> Tensor:
        """Move the state by one gradient, and return what is added to the parameter.

        Parameters
        ----------
        theta, g : Tensor
            Parameter and gradient: real, of one shape and dtype, float32 or float64.
            The rule changes neither.
        state : dict
            ``t``, the number of this step from 1: an int, or a tensor where a graph is
            recorded. Tensors of the state, to be changed in place. Numbers of the
            state, to be assigned anew.
        settings : mapping
            The group's hyper-parameters, as floats, or as tensors where a graph is
            recorded.

        Returns
        -------
        Tensor
            The update. Weight decay is not in it.
        """
        raise NotImplementedError

    def slots(self, parameter: Tensor) -> Sequence[Slot]:
        """Return what is stored for a parameter, beside the number of its steps."""
        return self.state_slots

    def decouples(self, settings: Settings) -> bool:
        """Return True if weight decay shrinks the parameter, False for a penalty."""
        return bool(settings.get("decoupled_weight_decay", self.decoupled))

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, after checking its settings and its tensors.

        Raises
        ------
        ValueError, TypeError
            As the constructor does; nothing has been added then.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"a parameter group must be a dict, got {param_group!r}")
        if isinstance(param_group.get("params"), Iterator):
            # The check would use the iterator up.
            param_group["params"] = list(param_group["params"])
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        settings = checked_settings(
            param_group,
            self.defaults,
            self.hyperparameters,
            dtypes=self.dtypes,
            taken=taken,
        )
        # The dict itself becomes the group, as in PyTorch: the program may keep it, and
        # change the learning rate there.
        param_group.update(settings)
        super().add_param_group(param_group)

    @_disable_dynamo
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint of this class, or of PyTorch's of the same name.

        Tensors are copied: the checkpoint, and whoever else loads it, stay independent.
        The state of half-precision parameters is float32 whatever the checkpoint holds.

        Parameters
        ----------
        state_dict : dict
            What ``state_dict()`` returned.

        Raises
        ------
        ValueError, TypeError
            It was made with the other kind of weight decay or by another rule, or does
            not fit the parameters. Nothing has been changed then.
        """
        # Written anew rather than called on the base class, because that casts moments
        # to the dtype of the parameter: a float32 second moment of a bfloat16 weight
        # would lose its digits, and could not move any more.
        state_dict = dict(state_dict)
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict) or state_dict

        def slots(parameter: Tensor) -> Sequence[Slot]:
            return (STEP, *self.slots(parameter))

        # Before its settings are read: those of another rule would be refused first.
        check_origin(
            state_dict,
            self.param_groups,
            slots,
            self.hyperparameters,
            type(self).__name__,
        )
        groups = self._loaded_groups(state_dict)
        state = loaded_state(state_dict, groups, slots)
        self.__setstate__({"state": state, "param_groups": groups})
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._seen = {}
        self.__dict__.setdefault(
            "_step_supports_amp_scaling", bool(self.defaults.get("fused"))
        )

    @_disable_dynamo
    def state_dict(self) -> dict[str, Any]:
        """Return the state and the settings, as :meth:`load_state_dict` takes them.

        The state of a parameter whose group was taken out of ``param_groups`` is left
        out, and stays in ``state``.
        """
        held = {id(p) for group in self.param_groups for p in group["params"]}
        everything = self.state
        kept = {
            key: entry
            for key, entry in everything.items()
            if not isinstance(key, Tensor) or id(key) in held
        }
        if len(kept) == len(everything):
            return super().state_dict()
        self.state = defaultdict(dict, kept)
        try:
            return super().state_dict()
        finally:
            self.state = everything

    def _loaded_groups(self, state_dict: Mapping[str, Any]) -> list[dict[str, Any]]:
        groups = []
        for group, new in zip(
            self.param_groups, state_dict["param_groups"], strict=True
        ):
            loaded = loaded_group(group, new, self.defaults, self.hyperparameters)
            decouples = self.decouples(group)
            saved_decouples = new.get("decoupled_weight_decay", decouples)
            if saved_decouples != decouples and loaded["weight_decay"] != 0:
                kinds = {
                    True: "AdamW's decay of the weights",
                    False: "Adam's L2 penalty",
                }
                raise ValueError(
                    f"the checkpoint has decoupled_weight_decay={saved_decouples!r},"
                    f" {kinds[saved_decouples]}, but the optimizer computes"
                    f" {kinds[decouples]}"
                )
            if "decoupled_weight_decay" in loaded:
                loaded["decoupled_weight_decay"] = decouples
            groups.append(loaded)
        return groups

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step with every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and its gradients; called once, before the step.

        Returns
        -------
        loss : float or None
            What the closure returned.

        Raises
        ------
        RuntimeError
            A gradient is sparse.
        ValueError, TypeError
            A setting is not a number any more, such as a learning rate that a schedule
            made NaN; or a parameter was changed so that its state does not fit.
        FloatingPointError
            A gradient is not finite, and the group's ``nonfinite`` is ``"raise"``.

        Nothing has been changed when one of these is raised.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            if self._scaler_allows_a_step() and self._can_step():
                for group in self.param_groups:
                    self._init_group(group)
                    self._step_group(group)
        return loss

    def _scaler_allows_a_step(self) -> bool:
        """Return False if a GradScaler has found that a gradient is not finite."""
        found_inf = getattr(self, "found_inf", None)
        return found_inf is None or found_inf.item() == 0

    def _can_step(self) -> bool:
        """Raise for what would fail half-way; return False to leave the step out."""
        if torch.compiler.is_compiling():
            return True  # checks would be traced, and guard on every number
        bad = None
        for index, group in enumerate(self.param_groups):
            self._check_settings(group, index)
            for place, parameter in enumerate(group["params"]):
                gradient = parameter.grad
                if gradient is None:
                    continue
                self._check_parameter(parameter, gradient, group, index, place)
                if group.get("nonfinite", "pass") == "pass" or _is_finite(gradient):
                    continue
                if group["nonfinite"] == "raise":
                    raise FloatingPointError(
                        f"the gradient of {name_of(group, index, place)} is not finite"
                    )
                bad = bad or name_of(group, index, place)
        if bad:
            # A run that skips every step would otherwise look like one that has
            # converged.
            warnings.warn(
                f"skipped the step: the gradient of {bad} is not finite",
                RuntimeWarning,
                stacklevel=4,
            )
        return not bad

    def _check_settings(self, group: Settings, index: int) -> None:
        for name, hyperparameter in self.hyperparameters.items():
            value = group.get(name)
            parts = value if isinstance(value, tuple) else (value,)
            if value is None or any(isinstance(part, Tensor) for part in parts):
                continue  # reading a tensor would wait for its device
            if not hyperparameter.usable(hyperparameter.read(name, value)):
                raise ValueError(
                    f"{name} of group {index} is {value!r}: a step with it would ruin"
                    " the parameters"
                )

    def _check_parameter(
        self,
        parameter: Tensor,
        gradient: Tensor,
        group: Settings,
        index: int,
        place: int,
    ) -> None:
        """Check what may have changed since the last step; remember what was seen."""
        now = (
            *(parameter.dtype, parameter.shape, parameter.layout, parameter.device),
            parameter.stride() if parameter.layout == torch.strided else None,
            *(gradient.dtype, gradient.shape, gradient.layout, gradient.device),
            bool(group.get("amsgrad")),
        )
        if self._seen.get(parameter) == now:
            return
        owner = name_of(group, index, place)
        if gradient.layout in SPARSE:
            raise RuntimeError(
                f"{type(self).__name__} needs dense gradients, got one of layout"
                f" {gradient.layout} for {owner}; use torch.optim.SparseAdam, or"
                " Embedding(sparse=False)"
            )
        check_can_be_optimized(parameter, self.dtypes)
        if gradient.shape != parameter.shape or gradient.device != parameter.device:
            raise ValueError(
                f"{owner} has a gradient of shape {tuple(gradient.shape)} on"
                f" {gradient.device}, but is of shape {tuple(parameter.shape)} on"
                f" {parameter.device}; call zero_grad() after changing a parameter"
            )
        state = self.state.get(parameter, {})
        for slot in self._slots_in_use(parameter, group):
            if slot.name in state and not slot.number:
                check_fits(slot, state[slot.name], parameter, owner)
        self._seen[parameter] = now

    def _slots_in_use(self, parameter: Tensor, settings: Settings) -> list[Slot]:
        return [slot for slot in self.slots(parameter) if slot.is_asked_for(settings)]

    def _init_group(self, group: Settings) -> None:
        """Give each parameter with a gradient the state that is missing.

        The name is the one that ``torch.compile`` looks for: it runs this method
        instead of tracing it.
        """
        capturable = bool(group.get("capturable"))
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            # Also when AMSGrad is switched on in mid-run: its maximum begins at zero.
            for slot in (STEP, *self._slots_in_use(parameter, group)):
                if slot.name not in state:
                    state[slot.name] = create(slot, parameter, capturable=capturable)

    def _step_group(self, group: Settings) -> None:
        recorded = bool(
            group.get("capturable")
            or group.get("differentiable")
            or any(
                isinstance(self.state[p].get("step"), FakeTensor)
                for p in group["params"]
                if p.grad is not None
            )
            or torch.compiler.is_compiling()
        )
        settings = {
            **FLAG_DEFAULTS,
            **group,
            **self._numbers_of(group, recorded=recorded),
        }
        # Of numbers that are tensors, each parameter has its own: no list can share
        # them.
        backend = foreach if group["foreach"] and not recorded else plain
        backend.step(self, self._prepared(group, settings, recorded=recorded), settings)

    def _prepared(
        self, group: Settings, settings: Settings, *, recorded: bool
    ) -> Iterator[Prepared]:
        """Yield each parameter with a gradient, prepared when its turn comes.

        All at once would need as much memory as all parameters in float32.
        """
        scale = getattr(self, "grad_scale", None)
        for parameter in group["params"]:
            if parameter.grad is not None:
                yield prepare(
                    parameter,
                    self.state[parameter],
                    self._slots_in_use(parameter, settings),
                    settings,
                    scale=scale,
                    recorded=recorded,
                )

    def _numbers_of(self, group: Settings, *, recorded: bool) -> dict[str, Any]:
        """Return the group's numbers as Python floats; tensors in float64 if recorded.

        ``1 - lr * weight_decay`` keeps its digits then. Reading a tensor waits for it.
        """
        convert = _as_double if recorded else _as_float
        numbers: dict[str, Any] = {}
        for name in self.hyperparameters:
            value = group.get(name)
            if isinstance(value, tuple | list):
                numbers[name] = tuple(convert(part) for part in value)
            elif value is not None:
                numbers[name] = convert(value)
        return numbers


def _as_double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) else value


def _as_float(value: Any) -> Any:
    # Detached: PyTorch warns of a number taken from a tensor that requires a gradient.
    if isinstance(value, Tensor):
        return float(value.detach())
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    return float(value) if is_number else value


def _is_finite(gradient: Tensor) -> bool:
    """Return whether all elements are finite; of a DTensor, on all processes."""
    if gradient.is_meta or isinstance(gradient, FakeTensor):
        return True  # has no numbers; used to estimate memory
    # Counted, since the sum of a DTensor is right in every version of torch: from
    # all(), torch 2.13 reads the own shard only, and the processes would decide
    # differently about one step.
    count = gradient.isfinite().sum()
    if hasattr(count, "full_tensor"):
        count = count.full_tensor()
    return int(count) == gradient.numel()


def _signature(cls: type[BaseOptimizer]) -> inspect.Signature:
    """Return the constructor's signature with its flags written out.

    Programs read it to learn what an optimizer takes; ``**flags`` would tell them
    nothing.
    """
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p for p in own if p.kind is not inspect.Parameter.VAR_KEYWORD]
    names = {p.name for p in named}
    flags = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=FLAG_DEFAULTS[name]
        )
        for name in cls.flags
        if name not in names
    ]
    by_place = [p for p in named if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    by_name = [p for p in named if p.kind is inspect.Parameter.KEYWORD_ONLY]
    # PyTorch's own arguments before the one that only this package has.
    return inspect.Signature([*by_place, *flags[:-1], *by_name, *flags[-1:]])
