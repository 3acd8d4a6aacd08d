"""Hand in your own Adam, and learn which of the known mistakes it makes.

>>> print(check_optimizer(plain_adam))
agrees with Algorithm 1
remark: weight decay: a step takes lr * weight_decay of theta away
         (decoupled, as in PyTorch)
looked at: up to 40 steps; tensors of the shapes (4), (3, 2), (4, 3, 2, 2),
         (5000), (136, 130); two programs side by side
not looked at: later steps; training in low precision; several parameters in
         one program

The program is watched from outside: it is given gradients, and its steps are compared
with those of Algorithm 1, then with those of other rules, of Algorithm 1 with one, two
or three known mistakes in it, and of Algorithm 1 with something added, such as
clipping. Each is named only if it takes the same steps to five digits, and nothing
simpler does. Where nothing known does, the report says what was measured.

What is handed in becomes a program (``handed``, ``programs``, ``torch_programs``), is
given gradients (``inputs``) and observed (``probes``). A program that cannot step is
described by ``failures``. ``identification`` looks for what takes the same steps: other
``rules``, mistakes (``behaviour``, ``simulation``, ``mistakes``, ``explanation``), or
an ``effect`` on gradients, updates or parameters; ``unknown`` describes the rest.
``scope`` tries other shapes, parameters and groups, ``decay`` the weight decay, and
``checker`` reports.
"""

from adam_tutorial.checking.behaviour import Behaviour
from adam_tutorial.checking.checker import check_optimizer
from adam_tutorial.checking.mistakes import DECAYS, MISTAKES, Mistake
from adam_tutorial.checking.programs import RuleProgram, from_rule, plain_adam
from adam_tutorial.checking.report import Difference, Finding, Report
from adam_tutorial.checking.simulation import imitate
from adam_tutorial.checking.torch_programs import TorchProgram, from_torch

__all__ = [
    "DECAYS",
    "MISTAKES",
    "Behaviour",
    "Difference",
    "Finding",
    "Mistake",
    "Report",
    "RuleProgram",
    "TorchProgram",
    "check_optimizer",
    "from_rule",
    "from_torch",
    "imitate",
    "plain_adam",
]
