from __future__ import annotations

import pytest
import torch
from torch import nn

from adam_tutorial.study.models import DenseNet
from adam_tutorial.study.training import evaluate

from .toys import examples, new_model

pytestmark = pytest.mark.usefixtures("float64")


def test_evaluation_is_the_mean_cross_entropy_and_the_share_of_right_answers() -> None:
    inputs, labels = examples()
    model = DenseNet((3, 8, 3))
    result = evaluate(model, (inputs, labels))
    probabilities = model(inputs).softmax(dim=1)
    right = probabilities[torch.arange(23), labels]
    assert result.loss == pytest.approx(-right.log().mean().item(), rel=1e-12)
    assert result.predictions.tolist() == probabilities.argmax(dim=1).tolist()
    assert result.accuracy == sum((result.predictions == labels).tolist()) / 23


@pytest.mark.parametrize("batch_size", [1, 4, 23, 1000])
def test_evaluation_does_not_depend_on_the_batch_size(batch_size: int) -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), new_model(0.5))
    expected = evaluate(model, examples())
    result = evaluate(model, examples(), batch_size=batch_size)
    assert result.loss == pytest.approx(expected.loss, rel=1e-12)
    assert result.accuracy == expected.accuracy
    assert torch.equal(result.predictions, expected.predictions)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_switches_dropout_off_and_leaves_the_mode_as_it_was(
    training: bool,
) -> None:
    model = new_model(0.5).train(training)
    assert evaluate(model, examples()).loss == evaluate(model, examples()).loss
    assert model.training is training
    assert all(part.training is training for part in model.modules())


def test_mode_is_restored_when_the_model_fails() -> None:
    model = new_model(0.5)
    with pytest.raises(RuntimeError):
        evaluate(model, (torch.zeros(4, 99), torch.zeros(4, dtype=torch.int64)))
    assert model.training


def test_evaluation_computes_no_gradients() -> None:
    model = new_model()
    asked: list[bool] = []
    model.register_forward_hook(lambda *_: asked.append(torch.is_grad_enabled()))
    evaluate(model, examples())
    assert asked == [False]
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_evaluation_of_nothing_is_refused() -> None:
    inputs, labels = examples()
    with pytest.raises(ValueError, match="examples must not be empty"):
        evaluate(new_model(), (inputs[:0], labels[:0]))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        evaluate(nn.Linear(2, 2), (torch.ones(1, 2), torch.zeros(1)), batch_size=0)


def test_evaluation_leaves_a_frozen_part_of_a_training_model_frozen() -> None:
    model = new_model()
    model.train()
    model[2].eval()
    evaluate(model, examples())
    assert [module.training for module in model] == [True, True, False, True]
