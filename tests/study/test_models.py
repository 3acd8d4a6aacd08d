from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adam_tutorial.optim import Adam
from adam_tutorial.study.data import PAD
from adam_tutorial.study.models import (
    BagOfWords,
    CausalSelfAttention,
    DenseNet,
    ImageCNN,
    PlainCNN,
    TextCNN,
    ThreeStageCNN,
    Transformer,
    TransformerBlock,
    VariationalAutoencoder,
)


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def sentence_of(*lengths: int, padded_to: int, words: int = 50) -> Tensor:
    """Sentences of the given lengths; the words do not depend on the padding."""
    tokens = torch.full((len(lengths), padded_to), PAD)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(row)
        tokens[row, :length] = torch.randint(1, words, (length,), generator=generator)
    return tokens


@pytest.fixture(autouse=True)
def _same_weights_every_time() -> None:
    torch.manual_seed(0)


# DenseNet


def test_default_dense_network_has_the_documented_size() -> None:
    model = DenseNet()
    assert parameter_count(model) == 50_890
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


@pytest.mark.parametrize("sizes", [(5, 3), (5, 7, 3), (5, 7, 4, 3)])
def test_dense_network_computes_affine_maps_with_relu_between_them(
    sizes: tuple[int, ...],
) -> None:
    model = DenseNet(sizes)
    x = torch.randn(6, sizes[0])
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [
        (outputs, inputs) for inputs, outputs in pairwise(sizes)
    ]
    expected = x
    for number, layer in enumerate(linear):
        expected = expected @ layer.weight.T + layer.bias
        if number < len(linear) - 1:
            expected = expected.clamp(min=0)
    torch.testing.assert_close(model(x), expected)


def test_output_of_the_dense_network_is_logits_of_any_sign() -> None:
    logits = DenseNet((5, 4, 3))(torch.randn(50, 5))
    assert (logits < 0).any()
    assert (logits > 0).any()


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [((), r"\(\)"), ((784,), r"\(784,\)"), ((784, 0, 10), r"\(784, 0, 10\)")],
)
def test_dense_network_refuses_sizes_that_make_no_network(
    sizes: tuple[int, ...], shown: str
) -> None:
    with pytest.raises(
        ValueError, match=f"sizes must be two or more positive numbers, got {shown}"
    ):
        DenseNet(sizes)


# ImageCNN


def test_default_convolutional_network_has_the_documented_size() -> None:
    model = ImageCNN()
    assert parameter_count(model) == 60_986
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_sizes_of_the_convolutional_network_can_be_chosen() -> None:
    model = ImageCNN(channels=(2, 3, 4), hidden=5, classes=7, dropout=0.1)
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 7)
    weights = 9 * (1 * 2 + 2 * 3 + 3 * 4) + 2 * (2 + 3 + 4) + (36 * 5 + 5) + (5 * 7 + 7)
    assert parameter_count(model) == weights
    assert [layer.p for layer in model if isinstance(layer, nn.Dropout)] == [0.1, 0.1]


def test_dropout_is_active_only_in_training() -> None:
    model = ImageCNN()
    images = torch.rand(4, 1, 28, 28)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


# PlainCNN


def test_plain_convolutional_network_has_the_documented_size() -> None:
    model = PlainCNN()
    assert parameter_count(model) == 83_466
    assert parameter_count(PlainCNN(0.5)) == 83_466
    assert model(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_plain_network_may_pool_before_it_cuts_off_at_zero() -> None:
    model = PlainCNN().double()
    images = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    one, two, dense = (m for m in model if isinstance(m, nn.Conv2d | nn.Linear))
    z = functional.max_pool2d(one(images).relu(), 2)
    z = functional.max_pool2d(two(z).relu(), 2)
    torch.testing.assert_close(model(images), dense(z.flatten(1)))


def test_plain_network_drops_only_in_training() -> None:
    model = PlainCNN(dropout=0.5)
    images = torch.rand(4, 1, 28, 28)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))


# TextCNN


@pytest.mark.parametrize("widths", [(3, 4, 5), (1,), (2, 6), (7,)], ids=str)
def test_logits_do_not_depend_on_the_amount_of_padding(widths: tuple[int, ...]) -> None:
    model = TextCNN(50, widths=widths).double().eval()
    with torch.no_grad():
        for convolution in model.convolutions:
            # A bias large enough to win the maximum wherever a filter sees only
            # padding.
            assert isinstance(convolution.bias, nn.Parameter)
            convolution.bias.fill_(3)
    lengths = (1, 2, 3, 7, 19, 20)
    short = model(sentence_of(*lengths, padded_to=20))
    long = model(sentence_of(*lengths, padded_to=40))
    assert short.shape == (6, 2)
    torch.testing.assert_close(short, long, rtol=1e-12, atol=1e-12)


def test_logits_depend_on_every_word_of_a_sentence() -> None:
    model = TextCNN(50, filters=300).eval()
    sentence = sentence_of(6, padded_to=10)
    for position in range(6):
        other = sentence.clone()
        other[0, position] = 1 + other[0, position] % 49
        assert not torch.allclose(model(sentence), model(other))


def test_empty_sentence_gets_the_bias_of_the_output() -> None:
    model = TextCNN(50).eval()
    logits = model(sentence_of(0, padded_to=10))
    torch.testing.assert_close(logits[0], model.output.bias)


def test_parameters_of_the_text_network_are_those_of_its_layers() -> None:
    model = TextCNN(100, dimensions=6, filters=5, widths=(2, 3), classes=4)
    assert parameter_count(model) == 100 * 6 + 5 * (6 * 2 + 1) + 5 * (6 * 3 + 1) + (
        10 * 4 + 4
    )
    assert model(sentence_of(4, 5, padded_to=8)).shape == (2, 4)


def loss_of(model: TextCNN) -> Tensor:
    tokens = sentence_of(3, 9, padded_to=12)
    return functional.cross_entropy(model(tokens), torch.tensor([0, 1]))


def test_embedding_of_padding_is_zero_and_gets_no_gradient() -> None:
    model = TextCNN(50)
    assert not model.embedding.weight[PAD].any()
    torch.autograd.backward(loss_of(model))
    gradient = model.embedding.weight.grad
    assert gradient is not None
    assert not gradient[PAD].any()
    assert gradient[1:].any()


def test_embedding_of_padding_stays_zero_in_training() -> None:
    model = TextCNN(50)
    before = model.embedding.weight.detach().clone()
    optimizer = Adam(model.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        torch.autograd.backward(loss_of(model))
        optimizer.step()
    assert not model.embedding.weight[PAD].any()
    assert not torch.equal(model.embedding.weight, before)


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_embedding_scale_is_the_standard_deviation_of_the_word_vectors(
    scale: float,
) -> None:
    words = TextCNN(2000, embedding_scale=scale).embedding.weight[1:]
    assert words.std().item() == pytest.approx(scale, rel=0.02)
    assert words.mean().item() == pytest.approx(
        0, abs=4 * scale / math.sqrt(words.numel())
    )


def test_text_network_drops_features_only_in_training() -> None:
    model = TextCNN(50)
    tokens = sentence_of(8, padded_to=10)
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


# The networks of the Adam paper


def test_dropout_of_the_dense_network_stands_before_each_layer() -> None:
    model = DenseNet((5, 7, 4, 3), (0.2, 0.5))
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["Flatten", *["Dropout", "Linear", "ReLU"] * 3][:-1]
    assert [one.p for one in model if isinstance(one, nn.Dropout)] == [0.2, 0.5, 0.5]
    assert not any(isinstance(one, nn.Dropout) for one in DenseNet((5, 3), (0, 0.5)))


def test_bag_of_words_adds_the_weights_of_the_words_that_are_there() -> None:
    model = BagOfWords(4, dropout=0.5)
    with torch.no_grad():
        # That of padding must not count.
        model.weight.copy_(torch.tensor([[9.0], [1.0], [2.0], [4.0], [8.0]]))
        model.offset.fill_(0.25)
        rows = torch.tensor([[1, 3, 0], [2, 3, 4], [0, 0, 0]])
        logits = model.eval()(rows)
        assert (logits[:, 1] - logits[:, 0]).tolist() == [5.25, 14.25, 0.25]
        assert torch.equal(logits[:, 0], -logits[:, 1])
        noisy = model.train()(rows.repeat(500, 1))
    evidence = (noisy[:, 1] - noisy[:, 0] - 0.25).reshape(500, 3)
    # Each of two words is there or not, and counts twice where it is.
    assert set(evidence[:, 0].tolist()) == {0, 2, 8, 10}
    assert evidence.mean(dim=0).tolist() == pytest.approx([5, 14, 0], rel=0.1)


@pytest.mark.parametrize(("side", "last"), [(28, 4), (32, 4), (8, 1)])
def test_stages_halve_the_picture(side: int, last: int) -> None:
    model = ThreeStageCNN(2, side)
    assert model(torch.zeros(3, 2, side, side)).shape == (3, 10)
    linear = [layer for layer in model if isinstance(layer, nn.Linear)]
    assert [one.in_features for one in linear] == [128 * last**2, 1000]


def test_network_of_three_stages_has_the_documented_size() -> None:
    assert parameter_count(ThreeStageCNN()) == 2_368_066


def test_bound_of_the_autoencoder_is_divergence_and_reconstruction() -> None:
    model = VariationalAutoencoder(6, 5, 2)
    assert parameter_count(VariationalAutoencoder()) == 860_884
    images = torch.rand(3, 6)
    with torch.no_grad():
        model.get_parameter("encoder.2.weight").zero_()
        moments = torch.tensor([1.0, -1.0, 0.5, 0.0])
        model.get_parameter("encoder.2.bias").copy_(moments)
        model.get_parameter("decoder.2.weight").zero_()
        bias = model.get_parameter("decoder.2.bias")
        found = model(images)
        mean, scale = torch.tensor([1.0, -1.0]), torch.tensor([0.25, 0.0]).exp()
        latent = torch.distributions.Normal(mean, scale)
        standard = torch.distributions.Normal(0, torch.ones(2))
        pixels = bias.sigmoid()
        cross = images * pixels.log() + (1 - images) * (1 - pixels).log()
    divergence = torch.distributions.kl_divergence(latent, standard).sum()
    torch.testing.assert_close(found, divergence - cross.sum(dim=1))


def test_latent_variable_is_drawn_with_the_encoder_s_mean_and_variance() -> None:
    model = VariationalAutoencoder(4, 3, 1)
    with torch.no_grad():
        model.get_parameter("encoder.2.weight").zero_()
        moments = torch.tensor([2.0, math.log(0.25)])
        model.get_parameter("encoder.2.bias").copy_(moments)
    drawn: list[Tensor] = []
    model.decoder.register_forward_pre_hook(lambda _, given: drawn.append(given[0]))
    model(torch.rand(20_000, 4))
    assert drawn[0].mean().item() == pytest.approx(2, abs=0.02)
    assert drawn[0].std().item() == pytest.approx(0.5, abs=0.02)


# Transformer


def test_transformer_has_the_documented_size_and_shape() -> None:
    model = Transformer(103)
    assert parameter_count(model) == 33_191
    assert model(torch.zeros(5, 32, dtype=torch.long)).shape == (5, 103, 32)
    assert model(torch.zeros(5, 7, dtype=torch.long)).shape == (5, 103, 7)


def test_transformer_guesses_evenly_at_first() -> None:
    tokens, after = torch.randint(50, (2, 20, 32))
    loss = functional.cross_entropy(Transformer(50)(tokens), after)
    assert loss.item() == pytest.approx(math.log(50), abs=0.05)


def grown(model: Transformer) -> Transformer:
    """Larger weights, so that the tokens before a position matter."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(10)
    return model


def test_transformer_sees_only_what_came_before() -> None:
    torch.set_default_dtype(torch.float64)
    model = grown(Transformer(50, context=8))
    tokens = torch.randint(1, 50, (1, 8))
    before = model(tokens)
    for place in range(8):
        changed = tokens.clone()
        changed[0, place] = 0
        moved = (model(changed) - before).abs().amax(dim=(0, 1)) > 1e-12
        assert moved.tolist() == [False] * place + [True] * (8 - place)


def test_transformer_knows_where_a_token_stands() -> None:
    logits = grown(Transformer(50, context=8))(torch.full((1, 8), 3))
    assert (logits[..., 0] - logits[..., 1]).abs().max() > 1e-3


def test_attention_is_an_average_of_values_with_softmax_of_scores() -> None:
    torch.set_default_dtype(torch.float64)
    attention = CausalSelfAttention(6, 2)
    x = torch.randn(1, 4, 6)
    query, key, value = (
        layer(x)[0] for layer in (attention.query, attention.key, attention.value)
    )
    rows = []
    for t in range(4):
        heads = []
        for own in (slice(0, 3), slice(3, 6)):
            scores = key[: t + 1, own] @ query[t, own] / math.sqrt(3)
            heads.append(scores.softmax(dim=0) @ value[: t + 1, own])
        rows.append(torch.cat(heads))
    expected = attention.output(torch.stack(rows))
    torch.testing.assert_close(attention(x)[0], expected)


def test_blocks_add_to_what_they_read() -> None:
    block = TransformerBlock(8, 2)
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        block.attention.output.weight.zero_()
        block.attention.output.bias.zero_()
    expected = x + block.mlp(functional.layer_norm(x, (8,)))
    torch.testing.assert_close(block(x), expected)


def test_transformer_begins_with_small_weights_and_smaller_added_ones() -> None:
    model = Transformer(200, context=50, width=64, layers=3)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()
        elif parameter.ndim == 1:  # the gains of the normalisations
            assert (parameter == 1).all()
        else:
            added = name.endswith(("output.weight", "mlp.2.weight"))
            wanted = 0.02 / math.sqrt(6) if added else 0.02
            assert parameter.std().item() == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": 0}, "tokens must be at least 1, got 0"),
        ({"context": 0}, "context must be at least 1, got 0"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"width": 0}, "width must be at least 1, got 0"),
        ({"heads": 0}, "heads must be at least 1, got 0"),
        ({"width": 30, "heads": 4}, "heads must divide width, got 4 and 30"),
    ],
)
def test_transformer_refuses_sizes_that_make_no_network(
    settings: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Transformer(**({"tokens": 5} | settings))
