from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adam_tutorial.study.models import DenseNet, ImageCNN, TextCNN
from adam_tutorial.study.per_example import (
    clip_each,
    generalised_cross_entropy,
    gradient_norms,
    gradients,
)

pytestmark = pytest.mark.usefixtures("float64")


def dense() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    return DenseNet((5, 4, 3)), torch.randn(7, 5), torch.arange(7) % 3


def one_by_one(model: nn.Module, inputs: Tensor, labels: Tensor) -> list[list[Tensor]]:
    found = []
    for index in range(len(labels)):
        loss = functional.cross_entropy(
            model(inputs[index : index + 1]), labels[index : index + 1]
        )
        found.append(list(torch.autograd.grad(loss, list(model.parameters()))))
    return found


def test_gradients_are_those_of_the_examples_one_by_one() -> None:
    model, inputs, labels = dense()
    each = gradients(model, inputs, labels)
    assert list(each) == [name for name, _ in model.named_parameters()]
    for row, expected in enumerate(one_by_one(model, inputs, labels)):
        for found, gradient in zip(each.values(), expected, strict=True):
            torch.testing.assert_close(found[row], gradient)


def test_norms_are_those_of_all_parameters_together() -> None:
    torch.manual_seed(0)
    model = TextCNN(9, 4, 3)
    inputs, labels = torch.randint(2, 9, (6, 8)), torch.arange(6) % 2
    norms = gradient_norms(model, inputs, labels, batch_size=4)
    expected = [
        torch.cat([g.flatten() for g in gradient]).norm()
        for gradient in one_by_one(model, inputs, labels)
    ]
    torch.testing.assert_close(norms, torch.stack(expected))
    assert not model.training


def test_clipping_each_scales_only_the_long_ones() -> None:
    model, inputs, labels = dense()
    norms = gradient_norms(model, inputs, labels)
    limit = norms.median().item()
    clip_each(model, inputs, labels, limit)
    each = gradients(model, inputs, labels)
    weights = torch.where(norms > limit, limit / norms, 1.0) / len(labels)
    for name, parameter in model.named_parameters():
        expected = sum(w * g for w, g in zip(weights, each[name], strict=True))
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected)


def test_clipping_at_a_limit_that_none_reaches_is_the_gradient_of_the_batch() -> None:
    model, inputs, labels = dense()
    functional.cross_entropy(model(inputs), labels).backward()
    expected = [p.grad for p in model.parameters()]
    clip_each(model, inputs, labels, 1e6)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_model_with_batch_normalisation_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="1 is a batch normalisation"):
        gradients(ImageCNN(), torch.zeros(2, 1, 28, 28), torch.zeros(2).long())


def test_generalised_cross_entropy_lies_between_two_known_losses() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 4), torch.arange(6) % 4
    p = logits.softmax(dim=1)[torch.arange(6), labels]
    torch.testing.assert_close(
        generalised_cross_entropy(logits, labels, 1.0), (1 - p).mean()
    )
    torch.testing.assert_close(
        generalised_cross_entropy(logits, labels, 0.3), ((1 - p**0.3) / 0.3).mean()
    )
    torch.testing.assert_close(
        generalised_cross_entropy(logits, labels, 1e-6),
        functional.cross_entropy(logits, labels),
        rtol=1e-5,
        atol=0,
    )
    with pytest.raises(ValueError, match="q must be between"):
        generalised_cross_entropy(logits, labels, 1.5)


def test_its_gradient_is_that_of_the_cross_entropy_times_a_power_of_p() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]], requires_grad=True)
    labels = torch.tensor([1])
    (found,) = torch.autograd.grad(generalised_cross_entropy(logits, labels), logits)
    (plain,) = torch.autograd.grad(functional.cross_entropy(logits, labels), logits)
    p = logits.softmax(dim=1)[0, 1]
    torch.testing.assert_close(found, p**0.7 * plain)
