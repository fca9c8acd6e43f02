r"""Quote text from a bucket in Markdown, as Prefect's artifacts show it.

In a span of code nothing is a link, an image, HTML or emphasis. What would end the span, or the cell of a
table around it, is shown as its escape: ``\x60`` for a backtick, ``\x7c`` for a bar.
"""

from __future__ import annotations

from s3kv_flows.store._layout.printable import printable

__all__ = ["code"]

_ENDS = str.maketrans({"`": r"\x60", "|": r"\x7c"})


def code(text: object) -> str:
    """Return a text as a span of code, in one line, also within a table."""
    return f"`{printable(text).translate(_ENDS) or ' '}`"
