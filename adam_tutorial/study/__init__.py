"""The laboratory: data, models, training, experiments with their results, plotting.

Names here may change from one version to the next. The stable ones are in
:mod:`adam_tutorial.reference`, :mod:`adam_tutorial.theory`, :mod:`adam_tutorial.optim`,
:mod:`adam_tutorial.checking` and :mod:`adam_tutorial.libraries`.
"""

import importlib.util


class MissingLibrary(ImportError):
    """A library is not installed; the message says how to install it."""

    def _render_traceback_(self) -> list[str]:
        # IPython asks for it: a notebook shows the sentence and no traceback.
        return [str(self)]


def needs(who: str, *libraries: str) -> None:
    """Say at once, and in a sentence, what has to be installed.

    Parameters
    ----------
    who : str
        What needs it, as the sentence names it.
    *libraries : str
        Names to import.

    Raises
    ------
    MissingLibrary
        One of them cannot be found.
    """
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        # By their own names: an extra of this package is known only where it lies.
        projects = " ".join(_PROJECTS.get(name, name) for name in missing)
        raise MissingLibrary(
            f"{who} needs {', '.join(missing)}; install what is missing with:"
            f" pip install {projects}"
        )


_PROJECTS = {"sklearn": "scikit-learn"}
_NEEDED = ("matplotlib", "platformdirs", "pooch", "scipy", "sklearn", "tqdm")
# All at once: otherwise each module would fail at the first import it lacks.
needs("adam_tutorial.study", *_NEEDED)
