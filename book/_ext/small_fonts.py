"""Make fonts that hold the characters of the book only.

The files of the fonts are compressed with Brotli, which Python lacks and node has.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

from fontTools import subset
from fontTools.ttLib import TTFont, woff2
from fontTools.varLib import instancer

# The weights that the style sheets ask for.
WEIGHTS = (400, 700)


def _node(function: str, data: bytes) -> bytes:
    script = (
        f"const packed = require('zlib').{function}(require('fs').readFileSync(0));"
        "process.stdout.write(packed)"
    )
    done = subprocess.run(
        ["node", "-e", script], input=data, capture_output=True, check=True
    )
    return done.stdout


def compress(data: bytes, **_options: object) -> bytes:
    """Compress with Brotli, as well as it can."""
    return _node("brotliCompressSync", data)


def decompress(data: bytes) -> bytes:
    """Undo :func:`compress`."""
    return _node("brotliDecompressSync", data)


woff2.brotli = SimpleNamespace(
    compress=compress, decompress=decompress, MODE_FONT=2, error=Exception
)
woff2.haveBrotli = True


def small_font(file: Path, characters: Iterable[int], cache: Path) -> bytes:
    """Return a font in WOFF2 that has some of the characters of a file.

    Parameters
    ----------
    file : Path
        The font, in WOFF2.
    characters : iterable of int
        Code points; those that the file lacks are left out.
    cache : Path
        A folder for what was made before.
    """
    body = file.read_bytes()
    wanted = sorted(set(characters))
    state = body + repr((wanted, WEIGHTS)).encode()
    made = cache / f"{file.stem}-{hashlib.sha256(state).hexdigest()[:16]}.woff2"
    if not made.exists():
        options = subset.Options(flavor="woff2", layout_features=["*"])
        font = subset.load_font(str(file), options)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=wanted)
        subsetter.subset(font)
        if "fvar" in font:
            instancer.instantiateVariableFont(font, {"wght": WEIGHTS}, inplace=True)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(_saved(font))
    return made.read_bytes()


def _saved(font: TTFont) -> bytes:
    buffer = io.BytesIO()
    font.flavor = "woff2"
    font.save(buffer)
    return buffer.getvalue()
