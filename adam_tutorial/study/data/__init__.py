"""Real data sets: their sources, how they are fetched, verified and prepared."""

from adam_tutorial.study.data.augmentation import (
    drop_words,
    mirror_and_shift,
    rescale,
    shear_and_zoom,
)
from adam_tutorial.study.data.fetch import (
    DatasetCorrupt,
    DatasetError,
    DatasetUnavailable,
    cache_dir,
)
from adam_tutorial.study.data.images import Images, load_digits, load_fashion_mnist
from adam_tutorial.study.data.imdb import load_imdb
from adam_tutorial.study.data.series import load_mnist1d
from adam_tutorial.study.data.sources import (
    DIGITS,
    FASHION_MNIST,
    IMDB,
    RATINGS,
    REVIEWS,
    Source,
)
from adam_tutorial.study.data.splitting import split
from adam_tutorial.study.data.text import (
    PAD,
    UNKNOWN,
    Reviews,
    Vocabulary,
    load_ratings,
    load_reviews,
    tokenize,
)

__all__ = [
    "DIGITS",
    "FASHION_MNIST",
    "IMDB",
    "PAD",
    "RATINGS",
    "REVIEWS",
    "UNKNOWN",
    "DatasetCorrupt",
    "DatasetError",
    "DatasetUnavailable",
    "Images",
    "Reviews",
    "Source",
    "Vocabulary",
    "cache_dir",
    "drop_words",
    "load_digits",
    "load_fashion_mnist",
    "load_imdb",
    "load_mnist1d",
    "load_ratings",
    "load_reviews",
    "mirror_and_shift",
    "rescale",
    "shear_and_zoom",
    "split",
    "tokenize",
]
