"""The laboratory: data, models, training, experiments with their results, plotting.

Names here may change from one version to the next. The stable ones are in
:mod:`adam_tutorial.reference`, :mod:`adam_tutorial.theory`, :mod:`adam_tutorial.optim`,
:mod:`adam_tutorial.checking` and :mod:`adam_tutorial.libraries`.
"""

import importlib.util

_NEEDED = ("matplotlib", "platformdirs", "pooch", "sklearn", "tqdm")
_missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
if _missing:
    # All at once: otherwise each module would fail at the first import it lacks.
    raise ImportError(
        f"adam_tutorial.study needs {', '.join(_missing)}; install what is missing"
        ' with: pip install "adam_tutorial[study]"'
    )
