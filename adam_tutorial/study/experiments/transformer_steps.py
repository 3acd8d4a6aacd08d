"""Is it the noise? A small Transformer, with 256 steps at every batch size.

SGD with momentum, sign descent with momentum and Adam at three batch sizes, each tuned
anew with six learning rates. Large batches see more sequences here, several times over
at the largest size; what changes for an optimizer is only how noisy its gradients are.
Model, text, schedule and rates are those of
:mod:`~adam_tutorial.study.experiments.transformer`.
"""

from __future__ import annotations

from adam_tutorial.study.experiments.comparison import best_with_seeds
from adam_tutorial.study.experiments.records import (
    Row,
    as_hundredths,
    short,
    shortened,
)
from adam_tutorial.study.experiments.study import Rows, Settings, Study
from adam_tutorial.study.experiments.transformer import (
    AT_EQUAL_STEPS,
    FIRST_STEPS,
    RATES,
    TUNING_SEED,
    examples,
    train,
)
from adam_tutorial.study.training import evaluate

__all__: list[str] = []

SIZES = (8, 32, 128)
STEPS = 256
FINAL_SEEDS = tuple(range(5))


def _tuning(_: Rows) -> list[Settings]:
    return [
        {
            "optimizer": name,
            "batch_size": size,
            "steps": STEPS,
            "lr": lr,
            "seed": TUNING_SEED,
        }
        for size in SIZES
        for name in AT_EQUAL_STEPS
        for lr in RATES[name]
    ]


def _final(rows: Rows) -> list[Settings]:
    return best_with_seeds(rows["tuning"], ("batch_size", "steps"), FINAL_SEEDS)


def _run(stage: str, settings: Settings) -> Row:
    model, history = train(settings)
    if stage == "tuning":
        found = evaluate(model, examples("validation"))
        return {**settings, "validation_loss": short(found.loss)}
    found = evaluate(model, examples("test"))
    return {
        **settings,
        "test_loss": short(found.loss),
        "first_step_losses": shortened(history.step_losses[:FIRST_STEPS]),
        "sequence_losses": as_hundredths(found.losses.mean(dim=1)),
    }


STUDY = Study(
    "adam_tutorial.study.experiments.transformer_steps",
    {"tuning": _tuning, "final": _final},
    _run,
    dict,
    dtype="float32",
    described={"batch_sizes": SIZES, "steps": STEPS},
)

if __name__ == "__main__":
    from adam_tutorial.study.experiments.runner import main

    main(STUDY.module)
