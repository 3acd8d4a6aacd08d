"""What all optimizers of this package share; each adds its rule and little else.

A subclass names its hyper-parameters, describes the state of a parameter, and computes
an update from a gradient. Everything else that a training script relies on is here:
groups, closures, dtypes, weight decay, non-finite gradients, checkpoints.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, ParamSpec, TypeVar, overload

import torch
from torch import Tensor
from torch._C._autograd import _profiler_enabled
from torch._compile import _disable_dynamo
from torch._subclasses import FakeTensor
from torch.optim.optimizer import (
    Optimizer,
    ParamsT,
    _global_optimizer_post_hooks,
    _global_optimizer_pre_hooks,
)

from adam_tutorial._warnings import warn
from adam_tutorial.optim.backends import foreach, fused, plain
from adam_tutorial.optim.backends.by_triton import graph_is_captured
from adam_tutorial.optim.backends.interrupts import uninterrupted
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
    OWN_FLAGS,
    Hyperparameter,
    as_float,
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
    stored_as,
    unsharded,
)

__all__ = ["BaseOptimizer", "Settings", "Slot", "State"]

Settings = Mapping[str, Any]
_P = ParamSpec("_P")
_R = TypeVar("_R")


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
    )
    """Names of PyTorch's common keyword arguments, in the order of its signature."""

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

    refused: ClassVar[Mapping[str, str]] = {}
    """Arguments that other optimizers have, and why this one does not."""

    kernel: ClassVar[str | None] = None
    """Which native step computes :meth:`rule`, where there is one."""

    gradient_norm: Tensor
    """With ``max_grad_norm``: the norm of all gradients at the last step, unclipped."""

    _rounding_seed = 0

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__signature__ = _signature(cls)

    def __init__(
        self, params: ParamsT, defaults: dict[str, Any], flags: Mapping[str, Any]
    ) -> None:
        kind = type(self)
        known = _flags_of(kind)
        for name in flags:
            if name not in known:
                raise TypeError(kind._refusal(name))
        # What a class has no flag for keeps PyTorch's default, and is not in its
        # groups.
        given = {name: flags.get(name, FLAG_DEFAULTS[name]) for name in known}
        self._seen: dict[Tensor, Any] = {}
        self._fused: fused.Fused | None = None
        super().__init__(params, parsed({**defaults, **given}, kind.hyperparameters))
        # GradScaler then leaves unscaling to the step, as with PyTorch's fused: it
        # refuses to divide float16 gradients itself.
        self._step_supports_amp_scaling = bool(self.defaults.get("fused"))

    @classmethod
    def _refusal(cls, name: str) -> str:
        why = f": {cls.refused[name]}" if name in cls.refused else ""
        return f"{cls.__name__} has no argument {name!r}{why}"

    @staticmethod
    def profile_hook_step(func: Callable[_P, _R]) -> Callable[_P, _R]:
        """Return the step with its hooks; PyTorch calls this when it makes a class.

        With no hook to run and no profiler to tell, PyTorch's own wrapper takes as long
        as the step of a small network.
        """
        with_hooks = Optimizer.profile_hook_step(func)

        @functools.wraps(func)
        def step(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            self: Any = args[0]
            if (
                torch.compiler.is_compiling()
                or self._optimizer_step_pre_hooks
                or self._optimizer_step_post_hooks
                or _global_optimizer_pre_hooks
                or _global_optimizer_post_hooks
                or _profiler_enabled()
            ):
                return with_hooks(*args, **kwargs)
            return func(*args, **kwargs)

        return step

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

    @property
    def rounding_seed(self) -> int:
        """Choose the random bits with which a state in fewer bits is rounded; first 0.

        A copy of the optimizer has the same; no checkpoint has it. To resume a run to
        the last bit that was given another one, set it again.
        """
        return self._rounding_seed

    @rounding_seed.setter
    def rounding_seed(self, seed: int) -> None:
        given: Any = seed
        if not isinstance(given, Integral):
            raise TypeError(f"rounding_seed must be an integer, got {given!r}")
        self._rounding_seed = int(given)

    def slots(self, parameter: Tensor) -> Sequence[Slot]:
        """Return what is stored for a parameter, beside the number of its steps."""
        return self.state_slots

    def decouples(self, settings: Settings) -> bool:
        """Return True if weight decay shrinks the parameter, False for a penalty."""
        return bool(settings.get("decoupled_weight_decay", self.decoupled))

    def path(self, group: int = 0) -> str:
        """Return how the parameters of a group are stepped, and why.

        Parameters
        ----------
        group : int
            The place of the group.

        Returns
        -------
        str
            A part for each way that some of the parameters take, the most frequent way
            first.

        Examples
        --------
        >>> import torch
        >>> from adam_tutorial.optim import Adam
        >>> parameters = [torch.zeros(3, requires_grad=True) for _ in range(2)]
        >>> Adam(parameters, foreach=True).path()
        'foreach: 2 parameters (foreach=True)'
        """
        chosen = self.param_groups[group]
        counts = fused.ways(self, chosen)
        parts = []
        for why, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            native = f"fused by {fused.by_whom(chosen)}"
            way = self._slow_way(chosen) if why else native
            noun = "parameter" if count == 1 else "parameters"
            parts.append(f"{way}: {count} {noun}" + (f" ({why})" if why else ""))
        return "; ".join(parts)

    def _slow_way(self, group: Settings) -> str:
        recorded = group.get("capturable") or group.get("differentiable")
        in_lists = not recorded and _in_lists(group, group["params"])
        return "foreach" if in_lists else "plain"

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
        for name in self.refused:
            if param_group.get(name) is not None:
                raise TypeError(self._refusal(name))
        taken = {id(p) for other in self.param_groups for p in other["params"]}
        settings = checked_settings(
            param_group,
            self.defaults,
            self.hyperparameters,
            dtypes=self.dtypes,
            taken=taken,
        )
        limit = self.defaults["max_grad_norm"]
        if settings.get("max_grad_norm", limit) != limit:
            raise ValueError(
                f"max_grad_norm must be {limit!r} in every group, as it is the"
                " optimizer's: the norm is that of all gradients together; got"
                f" {settings['max_grad_norm']!r}"
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

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_rounding_seed": self._rounding_seed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._seen = {}
        self._fused = None
        self.__dict__.setdefault(
            "_step_supports_amp_scaling", bool(self.defaults.get("fused"))
        )

    @_disable_dynamo
    def state_dict(self) -> dict[str, Any]:
        """Return the state and the settings, as :meth:`load_state_dict` takes them.

        The state of a parameter whose group was taken out of ``param_groups`` is left
        out, and stays in ``state``. That of a DTensor is in float32 where it is stored
        in fewer bits: it can be loaded by any number of processes.
        """
        held = {id(p) for group in self.param_groups for p in group["params"]}
        everything = self.state
        kept = {
            key: (
                unsharded(entry, key, self.slots(key))
                if hasattr(key, "to_local")
                else entry
            )
            for key, entry in everything.items()
            if not isinstance(key, Tensor) or id(key) in held
        }
        self.state = defaultdict(dict, kept)
        try:
            state_dict = super().state_dict()
        finally:
            self.state = everything
        for group in state_dict["param_groups"]:
            # How the state is stored can be seen, and is for the one who loads it to
            # choose. PyTorch gathers no checkpoint that has a dtype in it.
            group.pop("state_dtype", None)
        return state_dict

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
            if "state_dtype" in loaded:
                # The state is converted, so that one can change over in mid-run.
                loaded["state_dtype"] = group.get("state_dtype")
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
            A gradient is sparse; or a CUDA graph is captured without ``capturable``.
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
        may_step = self._asks_on_device() or self._scaler_allows_a_step()
        if may_step and not self._stepped_at_once():
            with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
                self._step_with_care()
        return loss

    def _stepped_at_once(self) -> bool:
        """Take the step if one native call can, and nothing has changed since the last.

        This is the way of nearly every step, so it does nothing that it need not.
        """
        native = self._fused
        if (
            native is None
            or torch.compiler.is_compiling()
            or not native.is_current(self)
        ):
            return False
        factor, guards = None, self._guards()
        if guards or self._limit() is not None:
            norm = native.norm()
            if guards and not math.isfinite(norm):
                return False  # which gradient it is, if one is, and what to do
            factor = self._clipping(norm)
        native.step(factor, *self._handed())
        return True

    def _step_with_care(self) -> None:
        if torch.compiler.is_compiling():
            # Checks would be traced, and the graph would depend on every number.
            for group in self.param_groups:
                self._init_group(group)
            factor = self._clipping(self._norm())
            for group in self.param_groups:
                self._step_group(group, factor)
        else:
            self._step_uncompiled()

    # Where the compiler gives a step up in its midst, this is called after all. It must
    # not be compiled either: the compiler would follow it into Numba, and fail there.
    @_disable_dynamo
    def _step_uncompiled(self) -> None:
        self._check_can_be_repeated()
        if not (self._scaler_allows_a_step() and self._can_step()):
            return
        for group in self.param_groups:
            self._init_group(group)
        self._fused = native = fused.gather(self)
        factor = self._clipping(self._norm())
        with uninterrupted():
            done: set[int] = set()
            if native is not None:
                native.step(factor, *self._handed())
                done = set(map(id, native.parameters))
            for group in self.param_groups:
                self._step_group(group, factor, done)

    def _check_can_be_repeated(self) -> None:
        """Raise if a CUDA graph would repeat the same step, number and all."""
        if graph_is_captured() and not all(
            group.get("capturable") for group in self.param_groups
        ):
            raise RuntimeError(
                f"a CUDA graph of {type(self).__name__}.step() needs capturable=True in"
                " every group: the number of the step would stay the same"
            )

    def _guards(self) -> bool:
        """Return whether some group looks at its gradients before a step."""
        return any(
            group.get("nonfinite", "pass") != "pass" for group in self.param_groups
        )

    def _limit(self) -> float | None:
        """Return what the norm of all gradients may be, if that has a limit."""
        limits = [group.get("max_grad_norm") for group in self.param_groups[:1]]
        return limits[0] if limits else None

    def _handed(self) -> tuple[Tensor | None, Tensor | None, int]:
        """Return what a native step is told beside the clipping."""
        return self._scale(), self._found_inf(), self.rounding_seed

    def _scale(self) -> Tensor | None:
        """Return what a GradScaler has multiplied the gradients by, if it has."""
        return getattr(self, "grad_scale", None)

    def _norm(self) -> Tensor | None:
        """Return the norm of all gradients, if it is needed."""
        if self._limit() is None:
            return None
        parameters = [p for group in self.param_groups for p in group["params"]]
        return _norm_of(p.grad for p in parameters if p.grad is not None)

    def _clipping(self, norm: Tensor | None) -> Tensor | None:
        """Return what clips the gradients, as ``clip_grad_norm_`` has it."""
        limit, scale = self._limit(), self._scale()
        if limit is None or norm is None:
            return None
        self.gradient_norm = (
            norm if scale is None else norm / scale.to(norm.device, non_blocking=True)
        )
        clipping: Tensor = (limit / (self.gradient_norm + 1e-6)).clamp(max=1)
        return clipping

    def _found_inf(self) -> Tensor | None:
        """Return whether a GradScaler has found a gradient that is not finite."""
        return getattr(self, "found_inf", None)

    def _asks_on_device(self) -> bool:
        """Return whether a GPU itself leaves out a step that a GradScaler forbids."""
        return (
            self._fused is not None and self._fused.is_on_device and not self._guards()
        )

    def _scaler_allows_a_step(self) -> bool:
        """Return False if a GradScaler forbids the step; waits for its device."""
        found_inf = self._found_inf()
        return found_inf is None or found_inf.item() == 0

    def _can_step(self) -> bool:
        """Raise for what would fail half-way; return False to leave the step out."""
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
            warn(
                f"skipped the step: the gradient of {bad} is not finite", RuntimeWarning
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
            group.get("state_dtype"),
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
            if not slot.number:
                check_fits(slot, state, parameter, group.get("state_dtype"), owner)
        self._seen[parameter] = now

    def _slots_in_use(self, parameter: Tensor, settings: Settings) -> list[Slot]:
        return [slot for slot in self.slots(parameter) if slot.is_asked_for(settings)]

    def _init_group(self, group: Settings) -> None:
        """Give each parameter with a gradient the state that is missing.

        The name is the one that ``torch.compile`` looks for: it runs this method
        instead of tracing it.
        """
        capturable, state_dtype = (
            bool(group.get("capturable")),
            group.get("state_dtype"),
        )
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            # Also when AMSGrad is switched on in mid-run: its maximum begins at zero.
            for slot in (STEP, *self._slots_in_use(parameter, group)):
                if slot.name in state:
                    continue  # nearly always
                (first, *_) = stored_as(slot, parameter, state_dtype)
                if first.name not in state:
                    state.update(
                        create(slot, parameter, state_dtype, capturable=capturable)
                    )

    def _step_group(
        self, group: Settings, factor: Tensor | None, done: Collection[int] = ()
    ) -> None:
        """Step the parameters of a group, but for those that have been stepped."""
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
        left = [p for p in group["params"] if p.grad is not None and id(p) not in done]
        # Of numbers that are tensors, each parameter has its own: no list can share
        # them.
        backend = plain if recorded or not _in_lists(settings, left) else foreach
        prepared = self._prepared(left, settings, factor, recorded=recorded)
        backend.step(self, prepared, settings)

    def _prepared(
        self,
        parameters: Sequence[Tensor],
        settings: Settings,
        factor: Tensor | None,
        *,
        recorded: bool,
    ) -> Iterator[Prepared]:
        """Yield each parameter, prepared when its turn comes.

        All at once would need as much memory as all parameters in float32.
        """
        scale = self._scale()
        for parameter in parameters:
            yield prepare(
                parameter,
                self.state[parameter],
                self._slots_in_use(parameter, settings),
                settings,
                scale=scale,
                factor=factor,
                seed=self._rounding_seed,
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
            # torch.compile of torch 2.6 cannot follow a union, `tuple | list`.
            if isinstance(value, (tuple, list)):
                numbers[name] = tuple(convert(part) for part in value)
            elif value is not None:
                numbers[name] = convert(value)
        return numbers


def _in_lists(settings: Settings, parameters: Sequence[Tensor]) -> bool:
    """Return whether a group is stepped in lists: if asked, and by default on a GPU."""
    asked = settings["foreach"]
    return foreach.is_default(parameters) if asked is None else bool(asked)


def _as_double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) else value


def _as_float(value: Any) -> Any:
    if isinstance(value, Tensor):
        return as_float(value)
    is_number = isinstance(value, float | int) and not isinstance(value, bool)
    return float(value) if is_number else value


def _norm_of(gradients: Iterable[Tensor]) -> Tensor:
    """Return the norm of all gradients together, without waiting for their device."""
    norms = []
    for gradient in gradients:
        # The square of a large float32 is infinite in float32; Apple's devices have
        # nothing wider.
        wide = torch.float32 if gradient.device.type == "mps" else torch.float64
        real = torch.view_as_real(gradient) if gradient.is_complex() else gradient
        norm = torch.linalg.vector_norm(real, dtype=wide)
        if hasattr(norm, "full_tensor"):  # of a DTensor, over all processes
            norm = norm.full_tensor()
        norms.append(norm)
    if not norms:
        return torch.zeros(())
    together = torch.stack([norm.to(norms[0].device) for norm in norms])
    total: Tensor = torch.linalg.vector_norm(together)
    return total


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


def _flags_of(cls: type[BaseOptimizer]) -> tuple[str, ...]:
    """Return the flags of PyTorch that a class takes, and those of this package."""
    return (*cls.flags, *(name for name in OWN_FLAGS if name not in cls.refused))


def _signature(cls: type[BaseOptimizer]) -> inspect.Signature:
    """Return the constructor's signature with its flags written out.

    Programs read it to learn what an optimizer takes; ``**flags`` would tell them
    nothing.
    """
    written = list(inspect.signature(cls.__init__).parameters.values())[1:]
    named = [p for p in written if p.kind is not inspect.Parameter.VAR_KEYWORD]
    names = {p.name for p in named}
    flags = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=FLAG_DEFAULTS[name]
        )
        for name in _flags_of(cls)
        if name not in names
    ]
    by_place = [p for p in named if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    by_name = [p for p in named if p.kind is inspect.Parameter.KEYWORD_ONLY]
    # PyTorch's arguments before those that only this package has.
    own = len(_flags_of(cls)) - len(cls.flags)
    return inspect.Signature([*by_place, *flags[:-own], *by_name, *flags[-own:]])
