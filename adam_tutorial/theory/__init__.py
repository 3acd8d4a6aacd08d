"""Closed forms that the book states, each under the name by which the text calls it.

``averages`` is about the moving averages m and v, ``steps`` about the length of a step,
``situations`` about steps in simple situations, ``decay`` about weight decay, ``convergence`` about
where the steps lead.
"""

from adam_tutorial.theory.averages import (
    bias_correction,
    check_decay_rate,
    constant_gradient_moments,
    decaying_bias_correction,
    geometric_gradient_moments,
    half_life,
    mean_variance,
    memory,
    moving_average_weights,
    rescaled_decay_rate,
    zeta,
)
from adam_tutorial.theory.convergence import (
    RegretBound,
    critical_beta2,
    critical_excess,
    paper_regret_bound,
    periodic_average,
    periodic_drift,
)
from adam_tutorial.theory.decay import (
    adamw_shrink_factor,
    equilibrium_rms,
)
from adam_tutorial.theory.situations import (
    jump_step,
    mean_square_step_bound,
    noise_floor,
    noisy_step,
    spike_step,
)
from adam_tutorial.theory.steps import (
    adamax_step_supremum,
    lazy_travel,
    lazy_update,
    lone_gradient_travel,
    nadam_momentum,
    paper_step_bound,
    radam_rectification,
    radam_rho,
    sde_scaling,
    stability_limit,
    step_size_factor,
    step_supremum,
    step_supremum_gradients,
    white_noise_rms,
)

__all__ = [
    "RegretBound",
    "adamax_step_supremum",
    "adamw_shrink_factor",
    "bias_correction",
    "check_decay_rate",
    "constant_gradient_moments",
    "critical_beta2",
    "critical_excess",
    "decaying_bias_correction",
    "equilibrium_rms",
    "geometric_gradient_moments",
    "half_life",
    "jump_step",
    "lazy_travel",
    "lazy_update",
    "lone_gradient_travel",
    "mean_square_step_bound",
    "mean_variance",
    "memory",
    "moving_average_weights",
    "nadam_momentum",
    "noise_floor",
    "noisy_step",
    "paper_regret_bound",
    "paper_step_bound",
    "periodic_average",
    "periodic_drift",
    "radam_rectification",
    "radam_rho",
    "rescaled_decay_rate",
    "sde_scaling",
    "spike_step",
    "stability_limit",
    "step_size_factor",
    "step_supremum",
    "step_supremum_gradients",
    "white_noise_rms",
    "zeta",
]
