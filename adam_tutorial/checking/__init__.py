"""Hand in your own Adam, and learn which of the known mistakes it makes.

>>> print(check_optimizer(plain_adam))
agrees with Algorithm 1
remark: weight decay: a step takes lr * weight_decay of theta away
         (decoupled, as in PyTorch)

The program is watched from outside: it is given gradients, and its steps are compared
with those of Algorithm 1, then with those of Algorithm 1 with one, two or three known
mistakes in it. A mistake is named only if Algorithm 1 with this mistake takes the same
steps to five digits, and fewer mistakes do not explain them.

``programs`` adapts other kinds of program, ``probes`` holds what a program is given and
observes it, ``behaviour`` describes an Algorithm 1 that is wrong in any known way,
``simulation`` runs it, ``mistakes`` lists the known ways, ``explanation`` searches
them, and ``checker`` reports.
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
