"""The command ``python -m adam_tutorial``: check an optimizer, translate settings."""

from __future__ import annotations

import argparse
import ast
import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from typing import Any, get_args

from adam_tutorial.libraries import translate
from adam_tutorial.libraries.table import Library

__all__ = ["main"]

ABOUT = """\
Two things one asks for at a terminal; the rest is a package to import, and a book.

  check       does this optimizer compute Adam? Its known mistakes are named
  translate   the same settings for another library, and what has no counterpart
"""
CHECK = """\
Watch an optimizer take steps, and compare them with those of Adam. What differs is
named, if it is a known mistake.

MODULE is what you would import, from the folder you are in; NAME is an optimizer class
of PyTorch, a function make(lr, beta1, beta2, eps) that returns step(theta, gradient),
or a rule from (state, gradient) to (state, update). Arguments of a class that are not
lr, betas and eps are given as --argument value.
"""
LIBRARIES = get_args(Library)
CHOSEN = {"lr", "betas", "eps", "params"}
CHECK_EXAMPLES = """\
examples:
  python -m adam_tutorial check torch.optim:AdamW --rule AdamW
  python -m adam_tutorial check my_optimizer:make_adam
  python -m adam_tutorial check my_optimizer:Adam --amsgrad True --rule AMSGrad

status: 0 if nothing was found, 1 if something was, 2 if the command makes no sense
"""
TRANSLATE = """\
Print the settings with which another library computes the same, and a sentence for
everything that cannot be translated exactly.

Settings are named as the library names them that they come from; those that are left
out have its defaults.
"""
TRANSLATE_EXAMPLES = """\
examples:
  python -m adam_tutorial translate torch optax --lr 3e-4 --weight_decay 0.1
  python -m adam_tutorial translate keras torch --learning_rate 1e-3 --optimizer adam
  python -m adam_tutorial translate torch keras --betas 0.9 0.95

status: 0 if the two compute the same, 1 if a difference remains, 2 if the command makes
no sense
"""


class Unusable(Exception):
    """What was asked for makes no sense; the message says why."""


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="python -m adam_tutorial",
        description=ABOUT,
        epilog="python -m adam_tutorial check --help tells more, with examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    raw: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter}
    check = commands.add_parser(
        "check",
        help="name the known mistakes of an optimizer",
        description=CHECK,
        epilog=CHECK_EXAMPLES,
        **raw,
    )
    check.add_argument("optimizer", metavar="MODULE:NAME", help="what to check")
    check.add_argument(
        "--rule",
        default="Adam",
        metavar="RULE",
        help="what it is meant to be: Adam (the default), AdamW, AMSGrad, or another",
    )
    moved = commands.add_parser(
        "translate",
        help="give the same settings to another library",
        description=TRANSLATE,
        epilog=TRANSLATE_EXAMPLES,
        **raw,
    )
    moved.add_argument("source", choices=LIBRARIES, help="where they come from")
    moved.add_argument("target", choices=LIBRARIES, help="where they go")
    moved.add_argument(
        "--optimizer",
        default="adamw",
        metavar="NAME",
        help="such as adam or adamw (the default)",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what a command line asks for, and return the status to exit with."""
    reader = parser()
    asked, rest = reader.parse_known_args(arguments)
    try:
        if asked.command == "check":
            return _check(asked.optimizer, asked.rule, rest)
        return _translate(asked.source, asked.target, asked.optimizer, rest)
    except Unusable as error:
        print(f"{reader.prog} {asked.command}: error: {error}", file=sys.stderr)
        return 2


def _check(place: str, rule: str, rest: Sequence[str]) -> int:
    from adam_tutorial.checking import check_optimizer, from_torch

    settings = _options(rest)
    if chosen := sorted(CHOSEN & settings.keys()):
        raise Unusable(f"the check itself chooses {', '.join(chosen)}, and several")
    what: Any = _found(place)
    if settings:
        if not inspect.isclass(what):
            raise Unusable(
                f"only a class takes --{next(iter(settings))}; {place} is a"
                f" {type(what).__name__}"
            )
        make: Any = what
        what = from_torch(make, **settings)
    try:
        report = check_optimizer(what, rule=rule)
    except (TypeError, ValueError) as error:
        raise Unusable(f"{place} cannot be checked: {error}") from error
    print(report)
    return 0 if report.ok else 1


def _found(place: str) -> object:
    """Return what ``module:name`` leads to; the current folder can be imported from."""
    module_name, colon, name = place.partition(":")
    if not (colon and module_name and name):
        raise Unusable(
            f"the optimizer must be written MODULE:NAME, as torch.optim:Adam; got"
            f" {place!r}"
        )
    if os.getcwd() not in sys.path:  # noqa: PTH109
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if f"{module_name}.".startswith(f"{missing}."):
            raise Unusable(
                f"there is no module {missing!r} here; Python looks in the current"
                " folder and among installed packages, and the name has no .py at its"
                " end"
            ) from error
        raise Unusable(f"{module_name} needs {missing!r}, which is missing") from error
    except Exception as error:
        raise Unusable(
            f"importing {module_name} fails: {type(error).__name__}: {error}"
        ) from error
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            offered = [own for own in dir(found) if not own.startswith("_")]
            listed = ", ".join(offered[:12]) + (" ..." if len(offered) > 12 else "")
            raise Unusable(f"{module_name} has no {part!r}; it has {listed}")
        found = getattr(found, part)
    return found


def _translate(source: str, target: str, optimizer: str, rest: Sequence[str]) -> int:
    settings = _options(rest)
    try:
        moved = translate(
            settings,
            source=source,  # type: ignore[arg-type]
            target=target,  # type: ignore[arg-type]
            optimizer=optimizer,
        )
    except (TypeError, ValueError) as error:
        raise Unusable(str(error)) from error
    given = ", ".join(f"{name}={value!r}" for name, value in moved.arguments.items())
    print(f"{moved.name}({given})")
    for difference in moved.differences:
        print(f"difference: {difference}")
    return 1 if moved.differences else 0


def _options(words: Sequence[str]) -> dict[str, Any]:
    """Return settings from words such as ``--lr 1e-3 --betas 0.9 0.95``."""
    settings: dict[str, Any] = {}
    values: dict[str, list[Any]] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            values[name] = [_value(value)] if equals else []
        elif name:
            values[name].append(_value(word))
        else:
            raise Unusable(f"{word!r} belongs to no setting; write --lr 1e-3")
    for name, its in values.items():
        if not its:
            raise Unusable(f"--{name} needs a number")
        settings[name] = its[0] if len(its) == 1 else tuple(its)
    return settings


def _value(text: str) -> Any:
    """Return a number, True, False, None or what else is written in Python; or text."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


if __name__ == "__main__":
    sys.exit(main())
