"""Hand in your own Adam, and be told which of the known mistakes it makes.

>>> print(check_optimizer(plain_adam))
agrees with Algorithm 1
remark: weight decay: a step takes lr * weight_decay of theta away
         (decoupled, as in PyTorch)

The program is watched from outside: it is given gradients, and its steps are compared
with those of Algorithm 1, then with those of Algorithm 1 with one, two or three known
mistakes in it. A mistake is named only if Algorithm 1 with this mistake takes the same
steps to five digits, and fewer mistakes do not explain them.

``programs`` holds what turns other code into something to check, ``behaviour`` an Algorithm 1 that
can be wrong in every known way, ``mistakes`` the list of these ways, ``probes`` what a
program is shown, and ``report`` draws the conclusions.
"""

from adam_tutorial.checking.behaviour import Behaviour, imitate
from adam_tutorial.checking.mistakes import DECAYS, MISTAKES, Mistake
from adam_tutorial.checking.programs import (
    RuleProgram,
    TorchProgram,
    from_rule,
    from_torch,
    plain_adam,
)
from adam_tutorial.checking.report import Difference, Finding, Report, check_optimizer

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
