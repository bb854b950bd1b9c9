"""MediaPipe's ImageClassifier against the SDK's own preprocessing, on one and the same graph.

    derm-convert RUN --int8 -o FILE.derm --mediapipe FILE.tflite
    python benchmarks/image_classifier.py RUN FILE.tflite [--photos 200]

On validation photos, three times each: the photo file to MediaPipe; the pixels that the SDK prepared to MediaPipe, which has
nothing to resize then; and these pixels to bare LiteRT. Printed: how often the best label is the same, and how often right.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import mediapipe
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from mediapipe.tasks.python import BaseOptions, vision

from derm_converters.representative import stratified
from derm_sdk import prepare
from derm_toolkit.training.run import read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--photos", type=int, default=200)
    asked = parser.parse_args()
    run = read_run(asked.run)
    dataset = run.dataset()
    photos = stratified(run.split(dataset).photos(dataset, "validation"), asked.photos)
    labels = list(run.graphs[0].labels)
    model = asked.file.read_bytes()
    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    given, found = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    options = vision.ImageClassifierOptions(BaseOptions(model_asset_buffer=model), max_results=1)
    best: dict[str, list[int]] = {"MediaPipe, photo": [], "MediaPipe, our pixels": [], "LiteRT, our pixels": []}
    times: dict[str, list[float]] = {name: [] for name in best}
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for photo in photos:
            path = str(dataset.path(photo))
            start = time.perf_counter()
            best["MediaPipe, photo"].append(top(classifier, mediapipe.Image.create_from_file(path)))
            times["MediaPipe, photo"].append(time.perf_counter() - start)
            start = time.perf_counter()
            rgb = prepare(path, run.preprocessing.size, run.preprocessing.fit)["rgb"]
            interpreter.set_tensor(given, rgb[None])
            interpreter.invoke()
            best["LiteRT, our pixels"].append(int(interpreter.get_tensor(found)[0].argmax()))
            times["LiteRT, our pixels"].append(time.perf_counter() - start)
            picture = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(rgb))
            best["MediaPipe, our pixels"].append(top(classifier, picture))
    truth = [labels.index(photo.leaf) for photo in photos]
    print(f"{len(photos)} validation photos of {asked.run}")
    for name, answers in best.items():
        same = np.mean(np.array(answers) == best["LiteRT, our pixels"])
        right = np.mean(np.array(answers) == truth)
        took = f"{1e3 * statistics.median(times[name]):.1f} ms a photo" if times[name] else ""
        print(f"{name:<24} same best label {100 * same:5.1f} %   right {100 * right:5.1f} %   {took}")


def top(classifier: vision.ImageClassifier, picture: mediapipe.Image) -> int:
    return int(classifier.classify(picture).classifications[0].categories[0].index)


if __name__ == "__main__":
    main()
