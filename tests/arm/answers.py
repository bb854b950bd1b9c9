"""What this machine makes of photos, a line of JSON each: answers.py MODEL PHOTOS COUNT; compare.py compares two such files.

COUNT photos are taken evenly from the data set PHOTOS. A line holds digests of the pixels and of the prepared inputs, the
graphs' stored outputs as they are, and the result.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from derm_sdk import Classifier
from derm_sdk.inputs import network_inputs
from derm_sdk.runtime import real_values


def rows(folder: Path, count: int) -> Iterator[tuple[Path, int | None]]:
    record = json.loads((folder / "dataset.json").read_text("utf-8"))
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    for place in range(min(count, len(found))):
        row = found[place * len(found) // min(count, len(found))]
        yield folder / record["photo_folder"] / row["file"], int(row["fitzpatrick"]) if row["fitzpatrick"] else None


def main(model: str, photos: str, count: str) -> None:
    with Classifier(model) as classifier:
        for path, skin_type in rows(Path(photos), int(count)):
            decoded, rgb = classifier._seen(path)
            prepared = network_inputs(rgb, skin_type, classifier.bundle.input_kinds)
            stored = classifier._stored_outputs(prepared)
            logits = {graph.id: real_values(graph.output, stored[graph.id]) for graph in classifier.bundle.graphs}
            line = {
                "photo": path.name,
                "pixels": hashlib.sha256(decoded.pixels.tobytes()).hexdigest(),
                "prepared": {kind: hashlib.sha256(values.tobytes()).hexdigest() for kind, values in prepared.items()},
                "outputs": {graph: values.ravel().tolist() for graph, values in stored.items()},
                "answer": classifier._told(decoded, rgb, logits, skin_type, "all").to_json(),
            }
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
