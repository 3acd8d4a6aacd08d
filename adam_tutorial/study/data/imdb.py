"""The film reviews of IMDB, read from the archive in which they are published."""

from __future__ import annotations

import io
import os
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator

import numpy as np

from adam_tutorial.study.data.fetch import DatasetCorrupt, read
from adam_tutorial.study.data.sources import IMDB
from adam_tutorial.study.data.text import Reviews

__all__ = ["load_imdb"]

# What is read of the archive, and limits far above what it holds: 100,000 reviews, half
# of them without a class, which are passed over.
_MEMBER = re.compile(r"aclImdb/(train|test)/(neg|pos)/(\d{1,5})_(\d{1,2})\.txt")
STARS = {"neg": range(1, 5), "pos": range(7, 11)}
MAX_REVIEW_BYTES = 1 << 16
MAX_MEMBERS = 200_000
MAX_MEMBER_BYTES = 1 << 27


def load_imdb(
    *, folder: str | os.PathLike[str] | None = None, download: bool = False
) -> tuple[Reviews, Reviews]:
    """Load the film reviews of IMDB, 25,000 to train and 25,000 to test.

    They are **sorted by class**, and within it by their numbers. Markup such as
    ``<br />`` is left in the texts. The archive is verified before it is read, and read
    from beginning to end in memory; nothing of it is written to the disk.

    Parameters
    ----------
    folder : path, optional
        Read ``aclImdb_v1.tar.gz`` from this folder only.
    download : bool
        Whether to download the archive (84 MB) if it is not in the cache.

    Returns
    -------
    train, test : Reviews

    Raises
    ------
    DatasetError
        The archive is missing, altered, or cannot be downloaded.

    References
    ----------
    Maas, Daly, Pham, Huang, Ng, Potts (2011), "Learning Word Vectors for Sentiment
    Analysis", section 4.
    """
    found = parse_imdb(read(IMDB, folder=folder, download=download), IMDB.items)
    train, test = (
        Reviews(
            texts=tuple(text for text, _ in some),
            ratings=np.array([stars for _, stars in some], dtype=np.float64),
            labels=np.array([stars >= 7 for _, stars in some], dtype=np.int64),
            source=IMDB,
        )
        for some in found
    )
    return train, test


def parse_imdb(archive: bytes, items: int) -> list[list[tuple[str, int]]]:
    """Read the reviews that have stars from the gzipped tar archive of IMDB.

    Parameters
    ----------
    archive : bytes
        The file. What it names is never opened on the disk, and no member that is not
        a review is read.
    items : int
        How many reviews there must be, a quarter in each class of each part.

    Returns
    -------
    list of list of pairs
        Text and stars of each review, of the training and of the test part.

    Raises
    ------
    DatasetCorrupt
        The archive is not one, ends early, or holds what is not expected: too many
        members, one too large, a review that is a link, that occurs twice, has other
        stars than its class, or is not UTF-8.
    """
    reviews: dict[tuple[str, str, int], tuple[str, int]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r|gz") as tar:
            for member, match in _members(tar):
                part, kind, number, stars = match.groups()
                key = part, kind, int(number)
                if key in reviews or int(stars) not in STARS[kind]:
                    raise DatasetCorrupt(
                        f"{member.name} is there twice, or has stars of another class"
                    )
                handle = tar.extractfile(member)
                assert handle is not None  # it is a file, and has been checked
                reviews[key] = handle.read().decode("utf-8"), int(stars)
    except (tarfile.TarError, OSError, EOFError, zlib.error, UnicodeError) as error:
        raise DatasetCorrupt(
            f"{IMDB.filename} should be a complete archive of texts in UTF-8, but"
            f" reading it failed: {error}"
        ) from error
    counts = Counter(key[:2] for key in reviews)
    if set(counts.values()) != {items // 4} or len(counts) != 4:
        raise DatasetCorrupt(
            f"{IMDB.filename}: expected {items // 4:,} reviews in each class of each"
            f" part, found {dict(counts)}"
        )
    return [
        [reviews[key] for key in sorted(reviews) if key[0] == part]
        for part in ("train", "test")
    ]


def _members(
    tar: tarfile.TarFile,
) -> Iterator[tuple[tarfile.TarInfo, re.Match[str]]]:
    """Yield each review of the archive; DatasetCorrupt if it holds too much."""
    for count, member in enumerate(tar):
        if count >= MAX_MEMBERS or member.size > MAX_MEMBER_BYTES:
            raise DatasetCorrupt(
                f"{IMDB.filename} has too many members, or one too large: number"
                f" {count + 1} with {member.size:,} bytes"
            )
        # Without this, the archive remembers all members that it has passed.
        tar.members = []  # type: ignore[attr-defined]
        match = _MEMBER.fullmatch(member.name)
        if match is None:
            continue
        if not member.isreg() or member.size > MAX_REVIEW_BYTES:
            raise DatasetCorrupt(
                f"{member.name} should be a file of at most {MAX_REVIEW_BYTES:,} bytes"
            )
        yield member, match
