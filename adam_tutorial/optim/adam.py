"""Adam and AdamW as PyTorch optimizers, one tensor at a time: the version to read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, ParamsT

from adam_tutorial.optim.checks import check_checkpoint, check_group
from adam_tutorial.theory import bias_correction

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam as a drop-in for :class:`torch.optim.Adam`.

    Parameters
    ----------
    params : iterable
        Parameters (float32 or float64), named parameters, or parameter groups.
    lr : float
        Learning rate, the paper's alpha.
    betas : tuple of float
        Decay rates of the moving averages of the gradient and of its square, each in [0, 1).
    eps : float
        Added to the root of v-hat, outside the root.
    weight_decay : float
        Coefficient of an L2 penalty: ``weight_decay * parameter`` is added to the *gradient*.
        :class:`AdamW` shrinks the parameter instead, which is not the same.
    maximize : bool
        Climb instead of descend.

    Raises
    ------
    ValueError
        A hyper-parameter is out of range.
    TypeError
        A parameter is not float32 or float64, or a group holds a misspelt hyper-parameter.

    Notes
    -----
    The state of a parameter is that of torch's class, under the same names: ``step`` (t),
    ``exp_avg`` (m) and ``exp_avg_sq`` (v). A checkpoint of one loads into the other.

    References
    ----------
    Kingma, Ba (2015), Algorithm 1.

    Examples
    --------
    >>> theta = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    >>> optimizer = Adam([theta], lr=0.1)
    >>> (theta**2).sum().backward()
    >>> optimizer.step()
    >>> theta.data
    tensor([ 0.9000, -1.9000])
    """

    _decoupled = False

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, after checking its hyper-parameters and its tensors.

        Raises
        ------
        ValueError, TypeError
            As the constructor does; nothing has been added then.
        """
        group = dict(param_group)
        if isinstance(group.get("params"), Iterator):
            group["params"] = list(group["params"])  # the check would use the iterator up
        check_group(group, self.defaults)
        super().add_param_group(group)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint of this class, or of torch's class of the same name.

        Parameters
        ----------
        state_dict : dict
            What ``state_dict()`` returned.

        Raises
        ------
        ValueError
            It was made with ``amsgrad=True``, or with the other kind of weight decay, or does not
            fit the parameters. Nothing has been changed then.
        """
        check_checkpoint(state_dict["param_groups"], decoupled=self._decoupled)
        # A copy, because torch keeps tensors of the right type as they are: two optimizers that
        # loaded the same checkpoint would otherwise change each other's averages.
        super().load_state_dict(copy.deepcopy(state_dict))

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
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
        TypeError
            A gradient is sparse. No parameter has been changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        work = [
            (parameter, parameter.grad, group)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        for parameter, gradient, _ in work:
            if gradient.layout != torch.strided:
                raise TypeError(
                    f"{type(self).__name__} needs dense gradients, got one of layout "
                    f"{gradient.layout} for a parameter of shape {tuple(parameter.shape)}; "
                    "use torch.optim.SparseAdam, or Embedding(sparse=False)"
                )
        for parameter, gradient, group in work:
            self._update(parameter, gradient, group)
        return loss

    def _update(self, parameter: Tensor, g: Tensor, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        if group["maximize"]:
            g = -g
        g = self._decay(parameter, g, group)

        state = self.state[parameter]
        if not state:
            # A tensor, like torch's own, so that checkpoints can be exchanged.
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        t, m, v = int(state["step"]), state["exp_avg"], state["exp_avg_sq"]

        m.lerp_(g, 1 - beta1)
        v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        root_of_v_hat = (v / bias_correction(beta2, t)).sqrt_()
        step_size = group["lr"] / bias_correction(beta1, t)
        parameter.addcdiv_(m, root_of_v_hat.add_(group["eps"]), value=-step_size)

    def _decay(self, parameter: Tensor, g: Tensor, group: dict[str, Any]) -> Tensor:
        """Return the gradient with the L2 penalty's gradient added."""
        if group["weight_decay"] == 0:
            return g
        return g.add(parameter, alpha=group["weight_decay"])


class AdamW(Adam):
    """Adam with decoupled weight decay, as a drop-in for :class:`torch.optim.AdamW`.

    Before each step a parameter is multiplied by ``1 - lr * weight_decay``; the gradient, and with
    it m and v, know nothing of the decay.

    Parameters
    ----------
    params, lr, betas, eps, maximize
        As for :class:`Adam`.
    weight_decay : float
        Multiplied by the learning rate, as in PyTorch. The paper's lambda is
        ``lr * weight_decay``.

    Raises
    ------
    ValueError, TypeError
        As for :class:`Adam`.

    References
    ----------
    Loshchilov, Hutter (2019), "Decoupled Weight Decay Regularization", Algorithm 2.

    Examples
    --------
    >>> theta = torch.nn.Parameter(torch.tensor([1.0]))
    >>> optimizer = AdamW([theta], lr=0.1, weight_decay=0.5)
    >>> theta.grad = torch.zeros(1)
    >>> optimizer.step()
    >>> theta.data
    tensor([0.9500])
    """

    _decoupled = True

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, maximize=maximize)

    def _decay(self, parameter: Tensor, g: Tensor, group: dict[str, Any]) -> Tensor:
        """Shrink the parameter, and return the gradient as it is."""
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        return g
