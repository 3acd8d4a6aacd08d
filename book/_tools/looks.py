"""The colours and dashes of `plotting.STYLES` as a style sheet.

Each optimizer has a class, such as `look-adam`, which sets `--look` and `--look-dash`.
The explorables and the pages read them from there.
"""

from __future__ import annotations

from adam_tutorial.study.plotting import (
    BLUE,
    DARK,
    GRID,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    STYLES,
)

__all__ = ["style_sheet"]

# Lines in the explorables are so wide, in pixels; dashes are stated in line widths.
WIDTH = 2
PAGE = {
    "ink": INK,
    "muted": MUTED,
    "line": GRID,
    "paper": PAPER,
    "accent": BLUE,
    "warning": ORANGE,
}
THEMES = {
    'html[data-theme="light"]': {colour: colour for colour in DARK},
    'html[data-theme="dark"]': DARK,
}


def style_sheet() -> str:
    """Return the style sheet."""
    lines = ["/* Written by `make stills` from adam_tutorial.study.plotting. */"]
    looks = {name.lower().replace(" ", "-"): style for name, style in STYLES.items()}
    colours = {
        **{f"--ex-{name}": colour for name, colour in PAGE.items()},
        **{f"--look-{name}": style["color"] for name, style in looks.items()},
    }
    for theme, partner in THEMES.items():
        lines.append(f"{theme} {{")
        lines += [f"  {name}: {partner[colour]};" for name, colour in colours.items()]
        lines.append("}")
    for name, style in looks.items():
        dash = "none"
        if style["linestyle"] != "-":
            dash = " ".join(f"{WIDTH * part:g}" for part in style["linestyle"][1])
        lines.append(
            f".look-{name} {{ --look: var(--look-{name}); --look-dash: {dash}; }}"
        )
    return "\n".join(lines) + "\n"
