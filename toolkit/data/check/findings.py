"""What can be wrong with a photo, and how surely a program can say so."""

from __future__ import annotations

from dataclasses import dataclass

# What was measured is so. What was guessed from the picture is a hint to look: docs/check.md says how often it is right.
MEASURED = {
    "broken": "cannot be opened",
    "changed": "other bytes than when it was imported",
    "tiny": "the shorter side has fewer than 128 pixels",
    "not RGB": "stored as gray, with a palette, with alpha, as CMYK or in 16 bits; it is converted when it is read",
    "colourless": "three channels with the same content",
    "several pictures": "an animation, or a file of several pictures; the first is read",
    "turned by EXIF": "stored lying or mirrored; programs that ignore the tag see another picture",
    "almost uniform": "gray levels vary by less than 4 (standard deviation at 64 x 64 pixels)",
}
GUESSED = {
    "wide border": "a straight line parts the picture from blank space",
    "collage": "a straight line parts it from edge to edge, as between pictures set side by side",
    "watermark or ruler": "a line of letters, figures or ticks",
    "dermatoscopic": "a bright disc in dark corners, as through a dermatoscope",
    "histological": "pink and violet as stained tissue is, and skin is not",
}


@dataclass(frozen=True)
class Finding:
    """Something about one photo.

    Attributes:
        name: out of MEASURED and GUESSED.
        detail: in words, such as "96 x 128 pixels".
        score: 0..1, how plain a guess is; 1 for what was measured.
    """

    name: str
    detail: str = ""
    score: float = 1.0


@dataclass(frozen=True)
class Examined:
    """One photo after it was opened.

    Attributes:
        findings: none for a photo with nothing to remark.
        width, height: upright, in pixels; 0 for a broken one.
        kind: "JPEG", "PNG", ...; "" for a broken one.
    """

    findings: tuple[Finding, ...]
    width: int = 0
    height: int = 0
    kind: str = ""
