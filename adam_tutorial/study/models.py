"""Small networks in PyTorch. Each returns logits, not probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from adam_tutorial._arguments import check_at_least
from adam_tutorial.study.data.text import PAD

__all__ = [
    "BFloat16",
    "BagOfWords",
    "CausalSelfAttention",
    "DenseNet",
    "ImageCNN",
    "PlainCNN",
    "TextCNN",
    "ThreeStageCNN",
    "Transformer",
    "TransformerBlock",
    "VariationalAutoencoder",
    "WideTextCNN",
]


class BFloat16(nn.Module):
    """A network whose forward and backward passes are in bfloat16, on a CPU.

    Its parameters, their gradients and the logits that it returns are in float32.

    Parameters
    ----------
    network : Module
        In float32. It is changed to the layout in which convolutions in bfloat16 are
        fast.
    before : function, optional
        What is done to the inputs first, still in float32.
    """

    def __init__(
        self,
        network: nn.Module,
        before: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.before = before

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits of a batch, in float32."""
        ready = inputs if self.before is None else self.before(inputs)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(ready.contiguous(memory_format=torch.channels_last))
        return torch.as_tensor(logits).float()


class DenseNet(nn.Sequential):
    """A dense network with ReLU between its layers; images are flattened.

    Parameters
    ----------
    sizes : sequence of int
        Widths of the input, of the hidden layers and of the output. The default has
        50,890 parameters.
    dropout : pair of float
        Shares to drop in training, of the input and of each hidden layer.

    Raises
    ------
    ValueError
        Fewer than two sizes, or one that is not positive.
    """

    def __init__(
        self,
        sizes: Sequence[int] = (784, 64, 10),
        dropout: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(
                f"sizes must be two or more positive numbers, got {tuple(sizes)}"
            )
        layers: list[nn.Module] = [nn.Flatten()]
        for depth, (inputs, outputs) in enumerate(pairwise(sizes)):
            if share := dropout[min(depth, 1)]:
                layers.append(nn.Dropout(share))
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


class PlainCNN(nn.Sequential):
    """Two 5x5 convolutions with ReLU and pooling, and one dense layer: no more.

    Parameters
    ----------
    dropout : float
        Share of the inputs of the dense layer to drop in training.

    Notes
    -----
    Takes images of shape (batch, 1, 28, 28), returns logits of shape (batch, 10). It
    has 83,466 parameters; dropout adds none.

    Each ReLU stands behind its pooling. The largest of four values, cut off at zero, is
    the largest of the four that were cut off, and it costs a quarter.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Conv2d(1, 32, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Conv2d(32, 64, kernel_size=5, padding=2),
            nn.MaxPool2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64 * 7 * 7, 10),
        )


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


class WideTextCNN(nn.Module):
    """A linear model of words and pairs of words, and a :class:`TextCNN` beside it.

    Parameters
    ----------
    deep : TextCNN or None
        What reads the order of the words; None for the linear part alone.
    weights : Tensor, shape (terms,)
        First weight of each word and pair, by their number. A positive one speaks for
        class 1. That of 0, which is padding, must be 0, and stays it.

    Raises
    ------
    ValueError
        The weight of padding is not 0.

    References
    ----------
    Cheng et al. (2016), "Wide & Deep Learning for Recommender Systems", section 3;
    Wang, Manning (2012), "Baselines and Bigrams", for the linear part.
    """

    def __init__(self, deep: TextCNN | None, weights: Tensor) -> None:
        if weights[PAD] != 0:
            raise ValueError(f"the weight of padding must be 0, got {weights[PAD]:g}")
        super().__init__()
        self.deep = deep
        self.wide = nn.Embedding.from_pretrained(
            weights.clone().unsqueeze(1), freeze=False, padding_idx=PAD
        )
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, terms: Tensor) -> Tensor:
        """Return logits (batch, 2); a row has a sentence's words, then its pairs."""
        words = terms[:, : terms.shape[1] // 2]
        # Divided by a number that grows with the sentence, so that long ones, which
        # have more words, are not the more certain by as much.
        length = (words != PAD).sum(dim=1).clamp(min=1).to(self.offset.dtype)
        evidence = self.wide(terms).sum(dim=(1, 2)) / length.sqrt() + self.offset
        logits = torch.stack((-evidence, evidence), dim=1) / 2
        return logits if self.deep is None else logits + self.deep(words)


class BagOfWords(nn.Module):
    """Logistic regression on which words a text has, out of a vocabulary.

    Parameters
    ----------
    words : int
        Size of the vocabulary; all weights are zero before training.
    dropout : float
        Share of a text's words to drop in training; the others count for more.

    References
    ----------
    Wang, Manning (2013), "Fast dropout training", for dropout of a text's words.
    """

    def __init__(self, words: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1 + words, 1))
        self.offset = nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor) -> Tensor:
        """Return logits (batch, 2) for word numbers from 1, filled up with 0."""
        there = self.dropout((words != PAD).to(self.weight.dtype))
        weights = functional.embedding(words, self.weight).squeeze(2)
        evidence = (weights * there).sum(dim=1) + self.offset
        return torch.stack((-evidence, evidence), dim=1) / 2


class ThreeStageCNN(nn.Sequential):
    """Three convolutions with pooling and a dense hidden layer: c64-c64-c128-1000.

    Parameters
    ----------
    channels, side : int
        Of the square pictures.
    dropout : pair of float
        Shares to drop in training, of the input and of both sides of the dense hidden
        layer.

    Notes
    -----
    Convolutions are 5x5, with as much padding as keeps the size; the pooling takes the
    largest of 3x3 values in steps of 2, with a padding of 1, so that it halves the
    size. Each ReLU stands behind its pooling, where it costs a quarter and gives the
    same. For pictures of 28x28 pixels with one channel it has 2,368,066 parameters.

    References
    ----------
    Kingma, Ba (2015), "Adam", section 6.3, which leaves padding and dropout open.
    """

    def __init__(
        self,
        channels: int = 1,
        side: int = 28,
        dropout: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        layers: list[nn.Module] = [nn.Dropout(dropout[0])]
        for inputs, outputs in pairwise((channels, 64, 64, 128)):
            layers += [
                nn.Conv2d(inputs, outputs, kernel_size=5, padding=2),
                nn.MaxPool2d(3, stride=2, padding=1),
                nn.ReLU(),
            ]
            side = (side + 1) // 2
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Dropout(dropout[1]),
            nn.Linear(128 * side**2, 1000),
            nn.ReLU(),
            nn.Dropout(dropout[1]),
            nn.Linear(1000, 10),
        )


class CausalSelfAttention(nn.Module):
    """Each position looks at itself and at those before it.

    Parameters
    ----------
    width : int
        Length of a position's vector.
    heads : int
        Number of heads, which share the width.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return vectors of the same shape (batch, length, width)."""
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True
        )
        mixed: Tensor = self.output(seen.transpose(1, 2).flatten(2))
        return mixed


class TransformerBlock(nn.Module):
    """Attention, then a small dense network; each adds to what it reads (pre-norm).

    Parameters
    ----------
    width, heads : int
        As for :class:`CausalSelfAttention`. The dense network is four times as wide.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return vectors of the same shape (batch, length, width)."""
        x = x + self.attention(self.norm1(x))
        return x + torch.as_tensor(self.mlp(self.norm2(x)))


class Transformer(nn.Module):
    """A small language model: it guesses each token from those before it.

    Decoder only, with learned positions, normalisation before each part, and no
    dropout; the weights of the embedding are not those of the head.

    Parameters
    ----------
    tokens : int
        Size of the vocabulary.
    context : int
        Greatest length of a text.
    width, heads, layers : int
        Length of a token's vector, heads of the attention, and number of blocks. With
        the defaults and 103 tokens there are 33,191 parameters.

    Raises
    ------
    ValueError
        A number is less than 1, or the heads do not divide the width.

    Notes
    -----
    Linear layers and both embeddings begin with a standard deviation of 0.02, and what
    a block adds with less, as in GPT-2. So the first loss is nearly ``log(tokens)``.

    References
    ----------
    Vaswani et al. (2017), "Attention Is All You Need"; Radford et al. (2019),
    "Language Models are Unsupervised Multitask Learners", for the order of the parts
    and the first weights.
    """

    def __init__(
        self,
        tokens: int,
        context: int = 32,
        width: int = 32,
        heads: int = 2,
        layers: int = 2,
    ) -> None:
        sizes = {
            "tokens": tokens,
            "context": context,
            "width": width,
            "heads": heads,
            "layers": layers,
        }
        for name, size in sizes.items():
            check_at_least(name, size, 1)
        if width % heads:
            raise ValueError(f"heads must divide width, got {heads} and {width}")
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.positions = nn.Embedding(context, width)
        self.blocks = nn.Sequential(
            *(TransformerBlock(width, heads) for _ in range(layers))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, tokens)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.ndim == 2:
                added = name.endswith(("output.weight", "mlp.2.weight"))
                scale = (2 * layers) ** -0.5 if added else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits (batch, vocabulary, length) for token numbers (batch, length).

        The order is the one that PyTorch's cross-entropy takes. Logits of a position
        are a guess of the token after it.
        """
        places = torch.arange(tokens.shape[1])
        x = self.blocks(self.embedding(tokens) + self.positions(places))
        logits: Tensor = self.head(self.norm(x))
        return logits.transpose(1, 2)


class VariationalAutoencoder(nn.Module):
    """A variational autoencoder with one hidden layer of softplus on each side.

    Parameters
    ----------
    inputs, hidden, latent : int
        Widths of the picture, of both hidden layers and of the Gaussian latent
        variable. The default has 860,884 parameters.

    References
    ----------
    Kingma, Welling (2014), "Auto-Encoding Variational Bayes", section 3 and appendices
    B and C; the widths are those of Kingma and Ba (2015), "Adam", section 6.4.
    """

    def __init__(self, inputs: int = 784, hidden: int = 500, latent: int = 50) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(inputs, hidden), nn.Softplus(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden), nn.Softplus(), nn.Linear(hidden, inputs)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the negative evidence bound of each picture, in nats, shape (batch,).

        Pixels are the probabilities of black-and-white ones; shape (batch, inputs).
        """
        mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
        latent = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        divergence = (mean**2 + log_variance.exp() - log_variance - 1).sum(dim=1) / 2
        reconstruction = functional.binary_cross_entropy_with_logits(
            self.decoder(latent).float(), images, reduction="none"
        )
        bound: Tensor = divergence + reconstruction.sum(dim=1)
        return bound
