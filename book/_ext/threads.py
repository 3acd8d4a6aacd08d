"""Link what the text says is in "issue 2060" or "pull requests 70 and 107".

The text names the project in its own words; the address is looked up here by the
number. The build fails for a number that is not in the table.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)

# Of each repository on GitHub the numbers that the book cites.
ISSUES = {
    "pytorch/pytorch": (
        *(2060, 18404, 38767, 38853, 41477, 42843, 48793, 104899, 142323, 147437),
    ),
    "keras-team/keras": (7318, 11860, 17391, 19517, 23223, 23704),
    "tensorflow/tensorflow": (9047, 16764, 35102),
    "tensorflow/addons": (2282,),
    "google-deepmind/optax": (292, 1389, 1754),
    "NVIDIA/apex": (1849,),
    "chainer/chainer": (6299,),
    "clab/dynet": (70, 1009),
    "BVLC/caffe": (4224,),
    "karpathy/nanochat": (304,),
    "karpathy/nanoGPT": (168,),
    "dngfra/Restricted-Boltzmann-Machines": (2,),
    "oxideai/mlx-rs": (301,),
    "eriklindernoren/ML-From-Scratch": (35,),
    "frgfm/Holocron": (1,),
    "afiaka87/glide-finetune": (5,),
    "facebookresearch/barlowtwins": (23,),
    "sail-sg/Adan": (8,),
}
PULL_REQUESTS = {
    "pytorch/pytorch": (22628, 41679),
    "google-deepmind/optax": (1423, 1755, 1769),
    "PennyLaneAI/pennylane": (1929,),
    "huggingface/transformers": (34191,),
    "ml-explore/mlx": (1640,),
    "EurekaLabsAI/micrograd": (2,),
    "karpathy/convnetjs": (70, 107),
    "d2l-ai/d2l-zh": (502,),
    "online-ml/river": (185,),
    "pyro-ppl/pyro": (3415,),
    "ufal/npfl114": (79,),
}
ADDRESSES = {
    (kind, number): f"https://github.com/{repository}/{kind}/{number}"
    for kind, table in (("issues", ISSUES), ("pull", PULL_REQUESTS))
    for repository, numbers in table.items()
    for number in numbers
}
CITED = re.compile(r"\b([Ii]ssue|[Pp]ull request)s? (\d+(?:(?:, | and )\d+)*)")


def linked(text: str) -> list[nodes.Node]:
    """Return a text as nodes, with a link for every issue and pull request in it.

    Raises
    ------
    KeyError
        If a number is not in the table.
    """
    parts: list[nodes.Node] = []
    done = 0
    for cited in CITED.finditer(text):
        kind = "issues" if cited[1].lower() == "issue" else "pull"
        for count, number in enumerate(re.finditer(r"\d+", cited[2])):
            # The first link begins with the word.
            start = cited.start() if count == 0 else cited.start(2) + number.start()
            end = cited.start(2) + number.end()
            parts.append(nodes.Text(text[done:start]))
            address = ADDRESSES[kind, int(number[0])]
            parts.append(nodes.reference("", text[start:end], refuri=address))
            done = end
    return [*parts, nodes.Text(text[done:])]


class ThreadLinks(SphinxPostTransform):
    """Link all threads in the text of a page."""

    default_priority = 410
    formats = ("html",)

    def run(self, **_kwargs: object) -> None:
        """Change the document."""
        for text in list(self.document.findall(nodes.Text)):
            parent = text.parent
            if isinstance(
                parent, nodes.reference | nodes.literal | nodes.literal_block
            ):
                continue
            if not CITED.search(text):
                continue
            try:
                parts = linked(text)
            except KeyError as missing:
                logger.warning(
                    "%s is not in the table of threads.py", missing, location=parent
                )
            else:
                parent.replace(text, parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_post_transform(ThreadLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
