"""Ways to damage a file, each drawn by chance."""

from __future__ import annotations

import io
import pickle
import random
import re
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import save

__all__ = ["KINDS", "damaged"]

# A file, another of the same run, and what draws.
Damage = Callable[[bytes, bytes, random.Random], bytes]


def flipped(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Turn over one to eight bits, each anywhere."""
    changed = bytearray(data)
    for _bit in range(rng.randint(1, 8)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flipped_in_header(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Turn over one bit of the length or of the header."""
    changed = bytearray(data)
    end = 8 + int.from_bytes(data[:8], "little")
    changed[rng.randrange(end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncated(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Cut off the end, anywhere."""
    return data[: rng.randrange(len(data))]


def appended(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Add zeros, noise or another file."""
    more = [bytes(rng.randint(1, 5000)), rng.randbytes(rng.randint(1, 99)), other]
    return data + rng.choice(more)


def zeroed(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Lose a block to zeros, as a disk does."""
    start = rng.randrange(len(data))
    block = data[start : start + rng.choice([1, 512, 4096])]
    return data[:start] + bytes(len(block)) + data[start + len(block) :]


def moved(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Swap two blocks."""
    size = rng.choice([8, 64, 512])
    first, second = sorted(rng.sample(range(len(data) // size), 2))
    blocks = [data[start : start + size] for start in range(0, len(data), size)]
    blocks[first], blocks[second] = blocks[second], blocks[first]
    return b"".join(blocks)


def shortened(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Take bytes out of the middle."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.choice([1, 8, 4096]) :]


def spliced(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """Begin as one file and end as the other."""
    cut = rng.randrange(8, len(data))
    return data[:cut] + other[cut:]


def other_header(data: bytes, other: bytes, _: random.Random) -> bytes:
    """Put the header of the other file on this one's numbers."""
    ends = [8 + int.from_bytes(one[:8], "little") for one in (data, other)]
    return other[: ends[1]] + data[ends[0] :]


def other_digest(data: bytes, other: bytes, _: random.Random) -> bytes:
    """Take the other file's digest."""
    pattern = re.compile(rb'sha256\\":\\"[0-9a-f]{64}')
    found = pattern.search(other)
    assert found
    return pattern.sub(lambda _: found.group(), data)


def hostile_length(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Claim another length of the header."""
    lengths = [0, 1, 2**31, 2**32, 2**63, 2**64 - 1, len(data), len(data) - 8]
    length = rng.choice([*lengths, rng.randrange(len(data) * 2)])
    return length.to_bytes(8, "little") + data[8:]


def hostile_offsets(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Change a tensor's place or shape for a number of any size."""
    places = [*re.finditer(rb"(?:\[|\d,)(\d+)(?=[\],])", data)]
    found = rng.choice(places)
    number = str(rng.choice([0, 1, 2**31, 2**62, 2**64, 10**40])).encode()
    return data[: found.start(1)] + number + data[found.end(1) :]


def swapped_members(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Give two tensors each other's place."""
    places = [*re.finditer(rb'"data_offsets":\[\d+,\d+\]', data)]
    first, second = sorted(rng.sample(places, 2), key=lambda found: found.start())
    return b"".join(
        [
            data[: first.start()],
            second.group(),
            data[first.end() : second.start()],
            first.group(),
            data[second.end() :],
        ]
    )


def renamed_members(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Take the first moment for the second, or the weights for them."""
    names = [b"exp_avg_sq", b"exp_avg", b"weight", b"bias", b"step", b"epoch"]
    first, second = rng.sample([name for name in names if name in data], 2)
    return data.replace(first, b"\0").replace(second, first).replace(b"\0", second)


def changed_number(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Change one digit of the JSON, such as the step or a rate."""
    end = 8 + int.from_bytes(data[:8], "little")
    place = rng.choice([*re.finditer(rb"\d", data[:end])]).start()
    digit = str((int(data[place : place + 1]) + rng.randint(1, 9)) % 10).encode()
    return data[:place] + digit + data[place + 1 :]


def foreign(data: bytes, _: bytes, rng: random.Random) -> bytes:
    """Put something else there."""
    pickled = io.BytesIO()
    torch.save({"model": torch.ones(3)}, pickled)
    choices = [
        *(b"", b"\0" * 8, b"\0" * 5000, rng.randbytes(5000), b"{}", data[8:]),
        *(pickle.dumps({"step": 1}), pickled.getvalue(), save({"x": torch.ones(3)})),
        *(b"\x89PNG\r\n\x1a\n" + rng.randbytes(99), data[::-1], data.upper()),
        save({"x": torch.ones(3)}, {"format": "adam_tutorial.checkpoint"}),
    ]
    return rng.choice(choices)


KINDS: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (
        *(flipped, flipped_in_header, truncated, appended, zeroed, moved, shortened),
        *(spliced, other_header, other_digest, hostile_length, hostile_offsets),
        *(swapped_members, renamed_members, changed_number, foreign),
    )
}


def damaged(
    files: Sequence[bytes], count: int, rng: random.Random
) -> list[tuple[str, bytes]]:
    """Return that many damaged files, of all kinds in turn."""
    found: list[tuple[str, bytes]] = []
    while len(found) < count:
        for kind, damage in KINDS.items():
            one, other = rng.sample(files, 2)
            data = damage(one, other, rng)
            # To zero zeros damages nothing.
            if data not in files:
                found.append((kind, data))
    return found[:count]
