"""Search finds the page that a word is about, whatever the word is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from search_words import NAMES, WORDS, in_our_words

WANTED = {
    "depth/adam_in_the_wild": (
        "epsilon eps ε eps_root eps_hat Keras Optax JAX TensorFlow"
    ),
    "depth/choosing_the_hyperparameters": (
        "beta1 warmup warm-up|learning rate|lr scheduler|batch size|lr_scheduler"
        "|doubled batch size|increase batch size learning rate"
    ),
    "depth/does_adam_converge": (
        "beta2|β2|regret|Reddi|AMSGrad|counterexample|loss spike|loss explodes"
    ),
    "depth/what_one_step_can_do": (
        "clipping|step_supremum|clip_grad_norm_|update bound|rotation"
    ),
    "depth/myths_and_mistakes": "fp16|half precision|bias correction|check_optimizer",
    "depth/weight_decay": "weight decay|L2|AdamW|decoupled decay|λ|LayerNorm no decay",
    "adam/adam_in_pytorch": (
        "bf16|checkpoint|resume|state_dict|NaN|out of memory|frozen parameters"
    ),
    "adam/adam_in_numpy": "numpy from scratch|from scratch",
    "adam/adam_derived": "debias",
    "applications/text": "sparse|embeddings|rare words|class imbalance",
    "applications/when_adam_wins": "crossover",
    "applications/a_small_transformer": "attention|GPT",
    "applications/the_papers_experiments": "autoencoder|VAE|replicate Adam paper",
    "applications/images": "generalisation|overfitting|Fashion-MNIST",
    "foundations/the_parts": "momentum RMSProp AdaGrad",
    "foundations/where_gradient_descent_hurts": "ravine",
    "answers/questions": (
        "Trainer|hugging face|Adam vs SGD|bytes per parameter|which weight_decay"
        "|what is epsilon for"
    ),
    "answers/nan_and_spikes": "loss nan adam|nan loss|loss becomes nan",
    "answers/the_usual_article": (
        "ImageDataGenerator pad_sequences security scalability environment"
    ),
    "answers/recipe": "recipe|LoRA|PPO|which learning rate to start with",
    "answers/use_it_in": "Lightning configure_optimizers optimizer_cls_and_kwargs",
    "start/adam_in_fifteen_minutes": (
        "fifteen minutes|Adam in fifteen lines|first network"
    ),
    "engineering/scale": "multi-node|two machines|DDP|bitwise identical data parallel",
    "engineering/small": "8-bit|eight bits",
    "reference/api/": "Lion RAdam NAdam Adafactor translate",
}


def cases() -> Iterator[tuple[str, str]]:
    for page, words in WANTED.items():
        for word in words.split("|") if "|" in words else words.split():
            yield word, page


def test_every_name_has_one_word() -> None:
    names = [name.lower() for word, all_of in WORDS.items() for name in (word, *all_of)]
    assert len(names) == len(set(names))
    for name, word in NAMES.items():
        assert in_our_words(f"({name}),") == f"({word}),"
    assert in_our_words("with EPS_root: epsilons") == "with epsilon: epsilons"


@pytest.fixture(scope="module")
def search(browser: Browser, site: str) -> Iterator[Page]:
    """Open the page that searches, and wait for what it finds."""
    page = browser.new_page()
    page.goto(f"{site}/search.html?q=adam")
    page.wait_for_selector("ul.search li p.context")
    yield page
    page.close()


@pytest.mark.browser
def test_first_three_results_have_the_page_that_the_word_is_about(search: Page) -> None:
    missed = {}
    for word, wanted in cases():
        found = search.evaluate("q => Search.ranked(q).reverse().map(r => r[0])", word)
        if not any(f"book/{wanted}" in page for page in found[:3]):
            missed[word] = found[:3]
    assert missed == {}
    assert len(list(cases())) >= 40


@pytest.mark.browser
@pytest.mark.parametrize(
    ("query", "page", "section"),
    [
        ("resume", "adam/adam_in_pytorch", "stop-and-resume"),
        ("fp16", "adam/adam_in_pytorch", "half-precision"),
        ("Keras ε", "depth/adam_in_the_wild", "keras-and"),
        ("warmup", "depth/choosing_the_hyperparameters", "what-warm-up-does"),
        ("out of memory adam state", "answers/questions", "why-do-i-run-out-of-memory"),
    ],
)
def test_result_leads_to_the_section_whose_heading_says_the_word(
    search: Page, query: str, page: str, section: str
) -> None:
    found = search.evaluate(
        "q => Object.fromEntries(Search.ranked(q).map(r => [r[0], [r[1], r[2]]]))",
        query,
    )
    title, anchor = found[f"book/{page}"]
    assert anchor.startswith(f"#{section}")
    assert " › " in title
    assert "\\" not in title


@pytest.mark.browser
def test_excerpts_show_a_formula_once_and_nothing_of_the_frame(search: Page) -> None:
    search.goto(search.url.replace("q=adam", "q=eps"))
    search.wait_for_selector("ul.search li:nth-child(3) p.context")
    excerpts = search.locator("p.context").all_inner_texts()
    for excerpt in excerpts:
        assert "\\" not in excerpt
        assert not re.search("Download this notebook|Contents|make lab", excerpt)
    assert any("ε" in excerpt for excerpt in excerpts)
