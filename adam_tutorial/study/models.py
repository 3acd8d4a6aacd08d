"""Small networks in PyTorch. Each returns logits, not probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from adam_tutorial.study.data.text import PAD

__all__ = ["DenseNet", "ImageCNN", "TextCNN"]


class DenseNet(nn.Sequential):
    """A dense network with ReLU between its layers; images are flattened.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the input, of the hidden layers and of the output. The default has
        50,890 parameters.

    Raises
    ------
    ValueError
        Fewer than two sizes, or one that is not positive.
    """

    def __init__(self, sizes: Sequence[int] = (784, 64, 10)) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(
                f"sizes must be two or more positive numbers, got {tuple(sizes)}"
            )
        layers: list[nn.Module] = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__(*layers[:-1])


class ImageCNN(nn.Sequential):
    """Three convolutions with batch normalisation and pooling, then two dense layers.

    Parameters
    ----------
    channels : tuple of int
        Feature maps of the three 3x3 convolutions.
    hidden : int
        Width of the dense hidden layer.
    classes : int
        Number of logits.
    dropout : float
        Share of the inputs of each dense layer to drop in training.

    Notes
    -----
    Takes images of shape (batch, 1, 28, 28), returns logits of shape (batch, classes).
    With the default sizes it has 60,986 parameters.
    """

    def __init__(
        self,
        channels: tuple[int, int, int] = (16, 32, 64),
        hidden: int = 64,
        classes: int = 10,
        dropout: float = 0.25,
    ) -> None:
        layers: list[nn.Module] = []
        for inputs, outputs in zip((1, *channels), channels, strict=False):
            layers += [
                # No bias: the normalisation subtracts the mean, and any bias with it.
                nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ]
        layers += [
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(channels[-1] * 3 * 3, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        ]
        super().__init__(*layers)


class TextCNN(nn.Module):
    """Convolutions over word embeddings, the maximum of each, and a linear layer.

    Parameters
    ----------
    words : int
        Size of the vocabulary, padding and unknown included.
    dimensions : int
        Length of a word's vector.
    filters : int
        Number of filters of each width.
    widths : sequence of int
        Numbers of words that a filter sees at once.
    classes : int
        Number of logits.
    dropout : float
        Share of the pooled features to drop in training.
    embedding_scale : float
        Standard deviation of the word vectors before training. PyTorch's own is 1,
        which is large beside what training adds.

    References
    ----------
    Kim (2014), "Convolutional Neural Networks for Sentence Classification", section 2
    (the variant CNN-rand).
    """

    def __init__(
        self,
        words: int,
        dimensions: int = 64,
        filters: int = 64,
        widths: Sequence[int] = (3, 4, 5),
        classes: int = 2,
        dropout: float = 0.5,
        embedding_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, dimensions, padding_idx=PAD)
        with torch.no_grad():
            self.embedding.weight.mul_(embedding_scale)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(dimensions, filters, width, padding=width // 2)
            for width in widths
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(filters * len(widths), classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (batch, classes) for word numbers (batch, length)."""
        real = (tokens != PAD).unsqueeze(1)
        embedded = self.embedding(tokens).transpose(1, 2)
        pooled = []
        for convolution in self.convolutions:
            # One response per word: an even width with its padding would give one more.
            # Responses centred on padding do not count; their bias alone could win the
            # maximum, and the logits would depend on the amount of padding.
            response = torch.relu(convolution(embedded))[..., : tokens.shape[1]] * real
            pooled.append(response.amax(dim=2))
        logits: Tensor = self.output(self.dropout(torch.cat(pooled, dim=1)))
        return logits
