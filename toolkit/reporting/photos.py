"""The sheet of the most confident errors: small copies of photos, inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from derm_sdk.image import read_image

from ..data.manifest import Dataset
from ..errors import RunError
from .levels import LevelAnswers
from .markup import Html, join, tag
from .parts import Section, figure, missing, paragraph
from .sources import Sources

MOST = 12
SIDE = 220


def errors(sources: Sources, levels: Sequence[LevelAnswers]) -> Section:
    """The errors of the top and of the deepest level of which the model was surest.

    Raises:
        RunError: the data set is not at hand.
        DermError: a photo is gone or cannot be decoded.
    """
    title = "The surest errors"
    if not levels or sources.predictions is None:
        return Section("errors", title, missing("Not evaluated yet:", sources.evaluate_command))
    if sources.dataset is None:
        raise RunError(
            f"The photos of the run in {str(sources.folder)!r} are not where they were; name the data set with --data."
        )
    parts = [
        paragraph(
            "Photos that the model was surest about, and wrong. They are small copies without any metadata; they may show "
            "people, so share this file as you would share the photos.",
        )
    ]
    for answers in dict.fromkeys((levels[0].level, levels[-1].level)):
        parts.append(_sheet(sources, sources.dataset, next(each for each in levels if each.level == answers)))
    return Section("errors", title, join(parts))


def _sheet(sources: Sources, dataset: Dataset, answers: LevelAnswers) -> Html:
    assert sources.predictions is not None
    wrong = np.flatnonzero(~answers.right)
    surest = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:MOST]
    photos = {photo.digest: photo for photo in dataset.photos}
    tiles = []
    for row in surest.tolist():
        photo = photos.get(str(sources.predictions.digest[answers.rows[row]]))
        if photo is None:
            continue
        true, said = answers.nodes[answers.truth[row]].name, answers.nodes[answers.predicted[row]].name
        probability = f"{answers.confidence[row]:.2f}"
        data, width, height = small_copy(dataset, photo.file)
        words = f"Photo of {true}, which the model calls {said}"
        tiles.append(
            figure(
                tag("img", src=f"data:image/jpeg;base64,{data}", alt=words, width=width, height=height),
                caption=(tag("b", true), tag("span", f"said {said}, {probability}")),
            )
        )
    if not tiles:
        return paragraph(f"No {answers.level} is wrong.")
    return join(tag("h3", answers.level.capitalize()), tag("div", tiles, class_="photos"))


def small_copy(dataset: Dataset, file: str) -> tuple[str, int, int]:
    """A photo without its metadata, at most SIDE pixels: the Base64 of a JPEG, its width and its height."""
    from PIL import Image

    picture = Image.fromarray(read_image(dataset.photo_folder / file))
    picture.thumbnail((SIDE, SIDE))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=78)
    return base64.b64encode(data.getvalue()).decode("ascii"), picture.width, picture.height
