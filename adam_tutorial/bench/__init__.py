"""How long a step of an optimizer takes, beside its peers and the machine's limit.

``python -m adam_tutorial.bench --quick`` prints a table in half a minute. Without
``--quick`` it measures large models too; ``--help`` lists what can be measured, and
``--json`` keeps all times, with the machine that they are from. Other libraries are
measured if they are installed. From Python:

>>> from adam_tutorial import bench
>>> result = bench.run(["mlp"], ["torch-fused", "ours"], threads=[1], rounds=3)
>>> result.ratio("mlp", "ours") > 0
True
"""

from adam_tutorial.bench.candidates import CANDIDATES, Candidate, Task
from adam_tutorial.bench.picture import draw_growth, draw_ratios
from adam_tutorial.bench.results import Absent, Result, Rounds
from adam_tutorial.bench.running import TOPICS, WORKLOADS, run
from adam_tutorial.bench.workloads import Workload, find_workload

__all__ = [
    "CANDIDATES",
    "TOPICS",
    "WORKLOADS",
    "Absent",
    "Candidate",
    "Result",
    "Rounds",
    "Task",
    "Workload",
    "draw_growth",
    "draw_ratios",
    "find_workload",
    "run",
]
