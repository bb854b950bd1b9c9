"""A network that looks at a picture and its mirror images when it answers, and at one of them in training.

No mirror image of a lesion is another disease. A network that was trained on mirrored pictures still answers a little
differently to each; the mean of these answers is better than any one of them, at no further weight. The mirror images go
through the backbone as one batch; their maps are mirrored back and averaged before they are pooled, so that everything
behind that, a map of evidence too, is as it would be for one picture.

Only Keras' own operations are used: a saved network loads without this package.
"""

from __future__ import annotations

from typing import Any

VIEWS = (1, 2, 4)
# (height, width): which axes a view mirrors; views = 2 takes the first two
_MIRRORED = ((False, False), (False, True), (True, False), (True, True))


def mirror_views(picture: Any, views: int) -> Any:
    """Lays the mirror images of a picture behind it, along the batch.

    Args:
        picture: Keras tensor [N, height, width, channels].
        views: 1 gives the picture itself; 2 adds the one mirrored left to right; 4 these two turned upside down.
    Returns:
        [views * N, height, width, channels], one view of all pictures after the other.
    """
    from keras import ops

    if views == 1:
        return picture
    return ops.concatenate([_mirrored(picture, *axes) for axes in _MIRRORED[:views]], axis=0)


def views_mean(x: Any, views: int) -> Any:
    """Mirrors the maps of all views back and averages them.

    Args:
        x: Keras tensor [views * N, h, w, channels], made of what `mirror_views` gave.
        views: as there.
    Returns:
        [N, h, w, channels].
    """
    from keras import layers, ops

    if views == 1:
        return x
    maps = [_mirrored(each, *axes) for each, axes in zip(ops.split(x, views, axis=0), _MIRRORED[:views], strict=True)]
    return layers.Average(name="views_mean")(maps)


def _mirrored(x: Any, height: bool, width: bool) -> Any:
    from keras import ops

    axes = [axis for axis, mirror in ((1, height), (2, width)) if mirror]
    return ops.flip(x, axis=axes) if axes else x
