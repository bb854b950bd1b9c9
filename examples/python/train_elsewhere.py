"""Feeds somebody else's training with the bytes that every device will see.

python train_elsewhere.py TABLE.csv PHOTO_FOLDER      TABLE has the columns file and category

The network here is scikit-learn's logistic regression. PyTorch, JAX or anything else that takes NumPy arrays fits as well.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import derm_sdk

SIZE, FIT = 32, "crop"  # write them into the bundle's manifest, so that the device does the same


def prepared(path: Path) -> np.ndarray:
    return derm_sdk.prepare(path, size=SIZE, fit=FIT, inputs=("rgb",))["rgb"]  # uint8 [SIZE, SIZE, 3]


table, folder = Path(sys.argv[1]), Path(sys.argv[2])
with table.open(newline="", encoding="utf-8-sig") as file:
    rows = list(csv.DictReader(file))
photos = np.stack([prepared(folder / row["file"]) for row in rows])  # the border: bytes, nothing scaled yet
labels = [row["category"] for row in rows]

# Behind the border: scaling belongs to the model, so that it can never be forgotten.
scale = FunctionTransformer(lambda pixels: pixels.reshape(len(pixels), -1) / 255)
model = make_pipeline(scale, LogisticRegression(C=0.01, max_iter=2000))
train, test, train_labels, test_labels = train_test_split(photos, labels, test_size=0.25, random_state=0, stratify=labels)
model.fit(train, train_labels)

majority = max(map(test_labels.count, set(test_labels))) / len(test_labels)
accuracy = model.score(test, test_labels)
print(f"{photos.dtype} {photos.shape}: accuracy {accuracy:.2f} on {len(test)} photos, majority baseline {majority:.2f}")
