"""Output in an encoding other than UTF-8. Characters that the encoding lacks become plain characters, so printing never fails."""

import codecs
import sys
import unicodedata

PLAIN = {
    "→": "->",
    "←": "<-",
    "×": "x",
    "█": "#",
    "▀": "^",
    "▄": "_",
    "░": ".",
    "▒": ":",
    "▓": "%",
    "…": "...",
    "∞": "inf",
}
"""For some characters: the plain text. Any other character loses its accents, or becomes a question mark."""


def plain(text: str) -> str:
    """A text in ASCII.

    Examples:
        >>> plain("3 → 5, naïve")
        '3 -> 5, naive'
    """
    letters = (PLAIN.get(letter) or unicodedata.normalize("NFKD", letter) for letter in text)
    return "".join(part.encode("ascii", "ignore").decode() or "?" for part in letters)


def speak_plainly() -> None:
    """Let standard output and standard error replace the characters that their encoding lacks."""
    codecs.register_error("jaxnet-plain", _degraded)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="jaxnet-plain")  # pyright: ignore[reportAttributeAccessIssue]


def _degraded(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end
