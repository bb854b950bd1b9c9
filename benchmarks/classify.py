"""What the SDK costs beside the work it cannot avoid: import, open, classify, and the memory of a large photo.

    python benchmarks/classify.py [MODEL.derm]

Times are medians of interleaved repetitions in one run, one thread each; compare ratios, not milliseconds.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

import derm_sdk
from derm_sdk.classifier import starter_path
from derm_sdk.inputs import network_inputs
from derm_sdk.preprocess import resize

SECONDS = "import time, sys; start = time.perf_counter(); import derm_sdk; print(time.perf_counter() - start)"
PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else starter_path()
    importing = statistics.median(float(python(SECONDS)) for _ in range(7))
    print(f"import derm_sdk                    {importing:8.3f} s    (limit 0.15)")
    print(f"RSS after the import               {float(python('import derm_sdk; ' + PEAK)):8.1f} MB   (limit 60)")
    opening = f"""
import time, derm_sdk, ai_edge_litert.interpreter
from PIL import Image
derm_sdk.Classifier({model!r})
times = []
for _ in range(9):
    start = time.perf_counter(); derm_sdk.Classifier({model!r}); times.append(time.perf_counter() - start)
print(1e3 * sorted(times)[4])"""
    print(f"open the model                     {float(python(opening)):8.1f} ms   (limit 60)")
    overhead(model)
    large_photo(model)


def overhead(model: str) -> None:
    """`classify` on a decoded array against the bare work: preprocessing and the interpreters' invocations."""
    random = np.random.default_rng(0)
    photo = random.integers(0, 256, (600, 800, 3), np.uint8)
    with derm_sdk.Classifier(model) as classifier:
        size, fit = classifier.preprocessing.size, classifier.preprocessing.fit
        interpreters = bare_interpreters(classifier)
        kinds = list(dict.fromkeys(kind for _, inputs, _ in interpreters for kind, _ in inputs))

        def bare() -> None:
            prepared = network_inputs(resize(photo, size, fit), None, kinds)
            for interpreter, inputs, output in interpreters:
                for kind, index in inputs:
                    interpreter.set_tensor(index, prepared[kind][None])
                interpreter.invoke()
                interpreter.get_tensor(output)

        whole, needed = interleaved([lambda: classifier.classify(photo), bare], 200)
    extra = whole - needed
    print(f"classify a decoded 800 x 600 photo {whole:8.2f} ms")
    print(f"  preprocessing and bare LiteRT    {needed:8.2f} ms")
    print(f"  over it                          {extra:8.2f} ms = {100 * extra / needed:.1f} %   (limit 10 % or 0.3 ms)")


def bare_interpreters(classifier: derm_sdk.Classifier) -> list[tuple[Any, list[tuple[str, int]], int]]:
    """Plain LiteRT interpreters of the same graphs, with (kind, tensor index) of their inputs and that of the output."""
    from ai_edge_litert.interpreter import Interpreter

    found = []
    for graph in classifier.bundle.graphs:
        interpreter = Interpreter(model_content=classifier.bundle.graph_data[graph.id], num_threads=1)
        interpreter.allocate_tensors()
        details = interpreter.get_signature_runner().get_input_details()
        inputs = [(tensor.kind, int(details[tensor.name]["index"])) for tensor in graph.inputs]
        interpreter = Interpreter(model_content=classifier.bundle.graph_data[graph.id], num_threads=1)
        interpreter.allocate_tensors()
        found.append((interpreter, inputs, int(interpreter.get_output_details()[0]["index"])))
    return found


def large_photo(model: str) -> None:
    """Peak memory of a process that classifies one 50-megapixel JPEG, upright and turned by EXIF."""
    pixels = np.zeros((5800, 8640, 3), np.uint8)
    pixels[::7, ::5] = 200
    for orientation in (1, 6):
        file, exif = io.BytesIO(), Image.Exif()
        exif[274] = orientation
        Image.fromarray(pixels).save(file, "JPEG", quality=80, exif=exif)
        code = f"import sys, derm_sdk; derm_sdk.Classifier({model!r}).classify(sys.stdin.buffer); {PEAK}"
        peak = float(python(code, file.getvalue()))
        print(f"peak RSS, 50 megapixels, EXIF {orientation}    {peak:8.0f} MB   (limit 600)")


def interleaved(functions: list[Callable[[], object]], repetitions: int) -> list[float]:
    """Median milliseconds of each function, called in turn."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repetitions):
        for function, found in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            found.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(found) for found in times]


def python(code: str, data: bytes = b"") -> str:
    """What a fresh Python prints."""
    return subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, check=True).stdout.decode()


if __name__ == "__main__":
    main()
