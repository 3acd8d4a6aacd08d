"""Watch a training run, and learn what Adam does in it.

>>> import torch
>>> model = torch.nn.Linear(3, 1)
>>> optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
>>> with watch(optimizer, model) as doctor:
...     for _ in range(20):
...         optimizer.zero_grad()
...         model(torch.randn(8, 3)).square().mean().backward()
...         optimizer.step()
>>> doctor.report().verdict
'nothing found in 20 steps'

The optimizer is watched from its public hooks, and nothing is changed: the run ends at
the same bits. ``roster`` says which optimizers can be watched and names parameters.
``watching`` begins, and ``attending`` has the hooks; ``pace`` chooses the steps that
are looked at, ``listening`` takes the norms of the gradients,
``numbers`` measures a parameter at some, ``surroundings`` looks at the scheduler and
the rest of the model, ``ranks`` at what this process adds to a gradient, ``losses`` at
what a resume has lost. ``history`` and ``samples`` remember a bounded part of it;
``signs`` and ``signs_of_gradients`` decide what is found, and ``report`` says so, in a
``table`` and a ``picture``.
"""

from adam_tutorial.doctor.attending import Doctor
from adam_tutorial.doctor.findings import FINDINGS, Finding
from adam_tutorial.doctor.report import ParameterReport, Report
from adam_tutorial.doctor.watching import watch

__all__ = ["FINDINGS", "Doctor", "Finding", "ParameterReport", "Report", "watch"]
