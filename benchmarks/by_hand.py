"""The SDK against the script that people write by hand, on one and the same graph: a 12-megapixel JPEG to the best label.

    python benchmarks/by_hand.py MODEL.derm [--photo FILE] [--repeats 30]

By hand: OpenCV reads the file, turns BGR into RGB, cuts the centre and resizes it; the interpreter runs. No calibration, no
tree, no check of anything. The SDK does the whole of `classify`. Both take turns, one thread each; read the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

from derm_sdk import Classifier
from derm_sdk.bench import drawn_photo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder, Classifier(asked.model) as classifier:
        photo = asked.photo or Path(folder) / "drawn.jpg"
        if asked.photo is None:
            photo.write_bytes(drawn_photo())
        graph = classifier.bundle.graphs[0]
        interpreter = Interpreter(model_content=bytes(classifier.bundle.graph_data[graph.id]), num_threads=1)
        interpreter.allocate_tensors()
        runner = interpreter.get_signature_runner("classify" if graph.explain else None)
        rest = {tensor.name: np.zeros(tensor.shape, np.uint8) for tensor in graph.inputs if tensor.kind != "rgb"}
        size = classifier.preprocessing.size

        def by_hand(interpolation: int) -> Callable[[], object]:
            def run() -> object:
                picture = cv2.cvtColor(cv2.imread(str(photo)), cv2.COLOR_BGR2RGB)
                height, width = picture.shape[:2]
                side = min(height, width)
                top, left = (height - side) // 2, (width - side) // 2
                square = cv2.resize(picture[top : top + side, left : left + side], (size, size), interpolation=interpolation)
                logits = runner(rgb=square.astype(np.float32).astype(np.uint8)[None], **rest)
                return int(next(iter(logits.values()))[0].argmax())

            return run

        ways: dict[str, Callable[[], object]] = {
            f"classify ({classifier.preprocessing.decode})": lambda: classifier.classify(photo),
            "by hand, INTER_LINEAR": by_hand(cv2.INTER_LINEAR),
            "by hand, INTER_AREA": by_hand(cv2.INTER_AREA),
            "of which cv2.imread": lambda: cv2.imread(str(photo)),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(asked.repeats):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(1e3 * (time.perf_counter() - start))
    medians = {name: statistics.median(each) for name, each in times.items()}
    ours = next(iter(medians.values()))
    print(f"{asked.model}, {asked.photo or 'a drawn photo of 4000 x 3000'}, medians of {asked.repeats}")
    print("| way | ms | times classify |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.1f} | {median / ours:.2f} |")


if __name__ == "__main__":
    main()
