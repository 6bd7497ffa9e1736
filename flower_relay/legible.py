"""Text from somebody else, made fit for a terminal, a picture or a message.

Names on a ledger are anybody's choice. Printed as they are, they could move the cursor, set a
window's title, or turn the direction of what follows; so what does not print is spelled out.
"""

from __future__ import annotations

__all__ = ["legible"]


def legible(text: str, most: int = 300) -> str:
    """A text in one line, every character of which prints, and cut to a length.

    Parameters
    ----------
    text : str
        Anything.
    most : int
        Characters that are shown; an ellipsis stands for the rest.
    """
    shown = text[:most]
    if not shown.isprintable():  # controls, line ends, directions, halves of characters
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
    return shown if len(text) <= most else shown + " …"
