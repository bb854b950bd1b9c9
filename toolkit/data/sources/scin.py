"""SCIN, Skin Condition Image Network: more than 10,000 phone photos in 5,033 cases, sent in by volunteers in the USA.

Layout (bucket dx-scin-public-data, folder dataset): scin_cases.csv, one row per case, with case_id and image_1_path to
image_3_path (dataset/images/<number>.png); scin_labels.csv, one row per case, with weighted_skin_condition_label (a Python
dict: condition -> weight, summing to 1), dermatologist_fitzpatrick_skin_type_label_1 to _3 (FST1 to FST6) and
monk_skin_tone_label_us and _india (1 to 10). Either file may be named; the other must lie beside it.

What is taken:

- the label with the largest weight; a case in which two share it is left out as undecided, one without as unlabelled;
- the Fitzpatrick type that most dermatologists saw, unknown where they disagree evenly. The volunteers' own answer, about
  how their skin takes the sun, is another measurement and is not used;
- the Monk tone that graders in the USA saw, as `skin_tone` "monk 4", never as a Fitzpatrick type;
- the case as lesion_id, "SCIN_<case_id>": its photos show one complaint of one person. People are not told apart.

Source: Ward et al., JAMA Network Open 7 (2024), e2446615, and dataset_schema.md of github.com/google-research-datasets/scin.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ...errors import DataError
from ..rows import Row
from ..table import read_table

CASES = ("case_id", "image_1_path")
LABELS = ("case_id", "weighted_skin_condition_label")
UNDECIDED = "\0undecided"  # a label that no table can hold
_PHOTOS = 3
_LONGEST = 20_000


def rows(table: Path, records: Iterable[tuple[int, Mapping[str, str]]]) -> list[Row]:
    """A row for each photo, numbered as in the table of cases."""
    records = list(records)
    is_cases = bool(records) and "image_1_path" in records[0][1]
    wanted = LABELS if is_cases else CASES
    _, others = read_table(_beside(table, *(("cases", "labels") if is_cases else ("labels", "cases"))), wanted)
    cases, labels = (records, others) if is_cases else (others, records)
    by_case = {cells["case_id"]: cells for _, cells in labels}
    return [row for number, cells in cases for row in _photos(number, cells, by_case.get(cells["case_id"], {}))]


def _photos(number: int, case: Mapping[str, str], told: Mapping[str, str]) -> Iterable[Row]:
    label = _first_label(told.get("weighted_skin_condition_label", ""), number)
    monk = told.get("monk_skin_tone_label_us", "").removesuffix(".0")
    tone = f"monk {monk}" if monk in map(str, range(1, 11)) else ""
    for place in range(1, _PHOTOS + 1):
        file = PurePosixPath(case.get(f"image_{place}_path", "")).stem
        if file:
            lesion = f"SCIN_{case['case_id']}"
            yield Row(number, file, (label,), _fitzpatrick(told), "scin", lesion_id=lesion, skin_tone=tone)


def _first_label(text: str, number: int) -> str:
    """The label with the largest weight; "" without any, UNDECIDED where two share it."""
    if not text:
        return ""
    try:
        weights = ast.literal_eval(text) if len(text) <= _LONGEST else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        weights = None
    if not isinstance(weights, dict) or not all(
        isinstance(label, str) and isinstance(weight, (int, float)) for label, weight in weights.items()
    ):
        raise DataError(
            f"weighted_skin_condition_label of the case in row {number} must be {{label: weight}}; got {text[:80]!r}."
        )
    best = [label for label, weight in weights.items() if weight == max(weights.values())]
    return "" if not best else best[0] if len(best) == 1 else UNDECIDED


def _fitzpatrick(told: Mapping[str, str]) -> str:
    seen = [told.get(f"dermatologist_fitzpatrick_skin_type_label_{n}", "") for n in (1, 2, 3)]
    votes = Counter(word.removeprefix("FST") for word in seen if word.startswith("FST")).most_common(2)
    if not votes or (len(votes) == 2 and votes[0][1] == votes[1][1]):
        return ""
    return votes[0][0]


def _beside(table: Path, mine: str, other: str) -> Path:
    path = table.with_name(table.name.replace(mine, other))
    if path == table or not path.is_file():
        raise DataError(
            f"SCIN comes as two tables, scin_cases.csv and scin_labels.csv; {table.name} lacks the other beside it."
        )
    return path
