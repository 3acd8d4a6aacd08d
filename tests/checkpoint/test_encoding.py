"""Whatever state dicts are made of comes back with its type and its bits."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from adam_tutorial import checkpoint
from adam_tutorial.checkpoint.container import pack
from adam_tutorial.checkpoint.decoding import decode
from adam_tutorial.checkpoint.encoding import Encoder


def through(value: Any) -> Any:
    """Encode, write as JSON, decode."""
    encoder = Encoder()
    form = json.dumps(encoder.encode(value, "extra"), allow_nan=False)
    assert all(tensor.is_contiguous() for tensor in encoder.tensors.values())
    return decode(json.loads(form), encoder.tensors)


def same(a: Any, b: Any) -> bool:
    """Whether two values have the same types and bits, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return (
            (a.dtype, a.shape) == (b.dtype, b.shape)
            and a.stride() == b.stride()
            and bits(a) == bits(b)
        )
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    if isinstance(a, complex):
        return same((a.real, a.imag), (b.real, b.imag))
    if isinstance(a, dict):
        if getattr(a, "default_factory", 0) != getattr(b, "default_factory", 0):
            return False
        return same([*a.items()], [*b.items()])
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def bits(tensor: Tensor) -> bytes:
    flat = tensor.resolve_conj().contiguous().reshape(-1).view(torch.uint8)
    return flat.numpy().tobytes()


NUMBERS = st.integers() | st.floats() | st.booleans() | st.none() | st.complex_numbers()
KEYS = st.text() | st.integers() | st.floats(allow_nan=False) | st.none()
TREES = st.recursive(
    NUMBERS | st.text() | st.binary(),
    lambda below: (
        st.lists(below)
        | st.tuples(below, below)
        | st.dictionaries(KEYS, below)
        | st.dictionaries(st.text(), below)
        | st.dictionaries(KEYS, below).map(OrderedDict)
    ),
    max_leaves=20,
)


@given(TREES)
def test_trees_of_python_values_come_back(value: Any) -> None:
    assert same(through(value), value)


VALUES = [
    *(math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308),
    struct.unpack(">d", bytes.fromhex("7ff4000000abcdef"))[0],  # a NaN's payload
    *(complex(-0.0, math.nan), complex(math.inf, -0.0)),
    *(2**63, -(2**63) - 1, 10**5000, -(10**5000), True, (), [], {}, set()),
    *({1, 2.5, "a"}, frozenset({(1, 2)}), Counter("abca"), {(1, ("a", None)): 1}),
    *(defaultdict(dict, {0: {}}), defaultdict(None), defaultdict(list)),
    *(torch.Size([2, 3]), torch.bfloat16, torch.device("cuda:1"), b"\0\xff"),
    *("\0", "\ud800", '"sha256":"' + "0" * 64 + '"', {"a/b": 1, "a.b": 2, "": 3}),
    {"dict": {"tensor": {"name": "x"}}, "__metadata__": 1},
    *(np.float32(0.1), np.float64(-0.0), np.int64(7), np.bool_(1), np.str_("é")),
    *(np.arange(6.0).reshape(2, 3).T, np.zeros((0, 2)), np.array(1j)),
    *(np.array(["a", "bc"]), np.array(["2020-01-01"], dtype="M8[D]")),
    *(np.arange(3, dtype=">i4"), np.longdouble("0.1")),
]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_values_come_back_with_type_and_bits(value: Any) -> None:
    assert same(through({"value": [value, (value,)]}), {"value": [value, (value,)]})


DTYPES = [
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.complex128, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    *(torch.bool, torch.uint16, torch.uint64, torch.float8_e4m3fn),
]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (5,), (2, 3, 4), (1, 1)], ids=str)
def test_tensors_come_back_with_dtype_shape_and_bits(
    dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    count = math.prod(shape) * dtype.itemsize
    raw = torch.arange(count, dtype=torch.uint8)
    raw = raw % 2 if dtype == torch.bool else raw
    tensor = raw.view(dtype).view(shape)
    assert same(through(tensor), tensor)


def test_nan_payloads_in_tensors_stay() -> None:
    tensor = torch.tensor([0x7F800001, -1], dtype=torch.int32).view(torch.float32)
    assert same(through(tensor), tensor)


def test_views_come_back_without_the_rest_of_their_memory() -> None:
    base = torch.arange(12.0).view(3, 4)
    encoder = Encoder()
    encoder.encode([base[1], base[:, 1], base[1:]], "extra")
    assert [t.untyped_storage().nbytes() for t in encoder.tensors.values()] == [
        *(4 * 4, 3 * 4, 8 * 4)
    ]
    for view in (base[1], base[::2, ::3], torch.ones(1).expand(2, 3)):
        assert torch.equal(through(view), view)
    turned = torch.view_as_complex(base.view(6, 2)).conj()
    assert torch.equal(through([turned, turned.conj()])[0], turned)
    assert torch.equal(through([turned, turned.conj()])[1], turned.conj())
    assert torch.equal(through(turned.imag), turned.imag)


def test_layouts_in_memory_stay() -> None:
    images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    matrix = torch.randn(3, 4).T
    twice = torch.randn(3, 4, dtype=torch.complex128).T
    for tensor in (images, matrix, twice):
        assert same(through(tensor), tensor)
        assert not through(tensor).is_contiguous()


def test_shared_tensors_are_shared_again_and_equal_ones_are_not() -> None:
    tensor = torch.ones(3)
    back = through({"a": tensor, "b": [tensor.detach()], "c": tensor.clone()})
    assert back["a"] is back["b"][0]
    assert back["a"] is not back["c"]
    empty = through([torch.ones(0), torch.ones(0)])
    assert empty[0] is not empty[1]


def test_tensors_that_share_all_memory_are_stored_apart_and_copied_only_then() -> None:
    flat = torch.arange(4.0)
    encoder = Encoder()
    encoder.encode({"flat": flat, "square": flat.view(2, 2)}, "extra")
    first, second = encoder.tensors.values()
    assert first.data_ptr() == flat.data_ptr() != second.data_ptr()
    assert same(first, flat)
    assert same(second, flat.view(2, 2))


def test_numbers_that_json_does_not_have_are_not_written() -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        pack({"extra": math.nan}, Encoder())


def test_temporary_tensors_are_not_taken_for_one_another() -> None:
    # Each is copied and freed, and the next one may get its address.
    encoder = Encoder()
    forms = [encoder.encode(torch.full((99, 2), n)[:, 0], "extra") for n in range(20)]
    assert [decode(form, encoder.tensors)[0] for form in forms] == [*range(20)]


def test_names_of_tensors_are_their_paths_and_differ() -> None:
    encoder = Encoder()
    tensors = {"a.b": torch.ones(1), "a": {"b": torch.ones(1)}, 0: torch.ones(1)}
    back = decode(encoder.encode(tensors, "model"), encoder.tensors)
    assert [*encoder.tensors] == ["model.a.b", "model.a.b#2", "model[0]"]
    assert same(back, tensors)
    encoder.encode({"\ud800é": torch.ones(1)}, "model")
    assert [*encoder.tensors][-1] == r"model.\ud800\xe9"


def test_versions_of_a_module_come_back() -> None:
    state = nn.BatchNorm1d(2).state_dict()
    back = through(state)
    assert type(back) is OrderedDict
    assert same(back, state)
    assert back._metadata == state._metadata == {"": {"version": 2}}  # type: ignore[attr-defined]


def test_parameters_come_back_as_tensors() -> None:
    back = through([nn.Parameter(torch.ones(2))])
    assert type(back[0]) is Tensor
    assert not back[0].requires_grad


class Rate:
    def __call__(self, epoch: int) -> float:
        return 1.0 / (epoch + 1)


class Wrapped(Tensor):
    """A subclass, as DTensor and the tensors of torchao are."""


Pair = namedtuple("Pair", "a b")
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: {"lr_lambdas": [Rate()]}, r"extra\.lr_lambdas\[0\] is of the type .*Rate"),
    (lambda: [print], r"extra\[0\] .* A function is code"),
    (lambda: {"p": {3: torch.ones(2).to_sparse()}}, r"extra\.p\[3\] is in the layout"),
    (lambda: torch.ones(2, device="meta"), "extra is on the device meta"),
    (lambda: torch.nested.nested_tensor([torch.ones(2)]), "extra is nested"),
    (
        lambda: torch.ones(2).as_subclass(Wrapped),
        "extra is .*Wrapped.* subclass of Tensor",
    ),
    (lambda: nn.UninitializedParameter(), "subclass of Tensor"),
    (lambda: torch.quantize_per_tensor(torch.ones(2), 1, 0, torch.quint8), "quantized"),
    (lambda: np.array([object()]), "extra has the dtype object"),
    (lambda: np.zeros(2, dtype="f4,i4"), "extra has the dtype"),
    (lambda: Pair(1, 2), "extra is of the type .*Pair"),
    (lambda: defaultdict(lambda: 1), "extra is a defaultdict of <function"),
    (
        lambda: {np.int64(3): 1},
        r"extra has a key (np\.int64\(3\)|3), of the type numpy",
    ),
    (lambda: {(1, print): 1}, r"the key extra\[.*\]\[1\] is of the type"),
    (lambda: torch.Generator(), "extra is of the type torch.*Generator"),
    (lambda: Path(), "extra is of the type pathlib"),
]


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype")
@pytest.mark.filterwarnings("ignore:.*quantiz")
@pytest.mark.parametrize(("make", "words"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_stored_is_named_before_anything_is_written(
    make: Callable[[], Any], words: str, tmp_path: Path
) -> None:
    value = make()
    with pytest.raises(TypeError, match=words):
        checkpoint.save(tmp_path / "run", 1, extra=value)
    assert [*tmp_path.iterdir()] == []


def test_what_contains_itself_is_refused(tmp_path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="contains itself"):
        checkpoint.save(tmp_path, 1, extra=loop)
    deep: Any = 1
    for _ in range(40):
        deep = {0: (deep,)} if isinstance(deep, list) else [deep]
    checkpoint.save(tmp_path, 1, extra=deep)
    assert checkpoint.load(tmp_path).extra == deep


def test_a_header_that_no_reader_takes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="cannot hold this much: "):
        checkpoint.save(tmp_path, 1, extra="x" * 100_000_001)
    with monkeypatch.context() as patched:
        patched.setattr("adam_tutorial.checkpoint.container.LONGEST_HEADER", 1000)
        with pytest.raises(ValueError, match="this much: its header has "):
            checkpoint.save(tmp_path, 1)
    monkeypatch.setattr("adam_tutorial.checkpoint.container.SPARE", 0)
    with pytest.raises(ValueError, match=r"cannot hold this: its JSON has \d+ values"):
        checkpoint.save(tmp_path, 1, extra=[[]] * 1000)
    assert [*tmp_path.iterdir()] == []
