"""What reporting guidelines ask of a study, and what this run has to say to it: done, partly, not done, or for the authors.

The items follow TRIPOD+AI (Collins et al., BMJ 2024; its numbers are given) and the subjects of CLAIM (Tejani et al.,
Radiology: AI 2024), in this project's words and not in full. Every answer is read from the run's files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..data.leaks import UNUSED, leak_sentence
from ..training.run import FOLDS
from .groups import ROMAN
from .markup import join, tag
from .parts import LEAST_PHOTOS, Section, paragraph, scroller
from .sources import Sources

DONE, PARTLY, NOT_DONE, AUTHORS = "done", "partly", "not done", "for the authors"
_MARKS = {DONE: "✓", PARTLY: "◐", NOT_DONE: "✗", AUTHORS: "✎"}


@dataclass(frozen=True)
class Item:
    """One line: what is asked, by which guideline, how far it is met, and what the run says."""

    asked: str
    source: str
    status: str
    told: str


def items(sources: Sources) -> list[Item]:
    """The whole list, in the order of a paper."""
    return [answer(sources) for answer in _ANSWERS]


def section(sources: Sources) -> Section:
    """The list as a table."""
    found = items(sources)
    counted = Counter(item.status for item in found)
    told = ", ".join(f"{counted[status]} {status}" for status in _MARKS if counted[status])
    rows = [
        tag(
            "tr",
            tag("th", item.asked, tag("small", item.source), scope="row"),
            tag(
                "td",
                tag("span", tag("span", _MARKS[item.status], aria_hidden="true"), f" {item.status}", class_=_pill(item)),
            ),
            tag("td", item.told),
        )
        for item in found
    ]
    head = tag("tr", [tag("th", name, scope="col") for name in ("what is asked", "status", "what the run says")])
    name = "Checklist after TRIPOD+AI and CLAIM"
    whole = tag("table", tag("caption", name, class_="unseen"), tag("thead", head), tag("tbody", rows), class_="checklist")
    lead = paragraph(
        f"{told[:1].upper()}{told[1:]}. The items follow TRIPOD+AI (its numbers stand below the items) and the subjects of "
        "CLAIM, filled from the files of the run. It is a start for the authors' own checklist, not a certificate: a run "
        "cannot know who the people on the photos were, or what was tried before."
    )
    return Section("checklist", "Checklist", join(lead, scroller(name, whole)))


def _pill(item: Item) -> str:
    return f"pill {item.status.replace(' ', '-')}"


def _origin(sources: Sources) -> Item:
    asked, source = "Source of the data", "TRIPOD+AI 5a; CLAIM: data sources"
    if sources.dataset is None:
        return Item(asked, source, AUTHORS, "The data set is not at hand, so its sources are not known here.")
    counted = Counter(photo.source or "unknown" for photo in sources.dataset.photos)
    told = "; ".join(f"{name}: {count:,} photos" for name, count in counted.most_common(6))
    return Item(asked, source, PARTLY, f"{told}. Whether they stand for the intended patients is for the authors.")


def _participants(_: Sources) -> Item:
    return Item(
        "Participants, settings, dates, eligibility",
        "TRIPOD+AI 5b, 6a–6c; CLAIM: eligibility",
        AUTHORS,
        "A run knows photos, not people: age, sex, place, date and treatment are not recorded.",
    )


def _outcome(sources: Sources) -> Item:
    levels = "" if sources.taxonomy is None else " on the levels " + ", ".join(sources.taxonomy.levels)
    return Item(
        "Reference standard",
        "TRIPOD+AI 8a–8c; CLAIM: reference standard",
        AUTHORS,
        f"Labels are taken as the data set spells them{levels}. Who made them, and whether by "
        "biopsy or by sight, is not recorded.",
    )


def _predictors(sources: Sources) -> Item:
    size, fit = _config(sources, "preprocessing", "size"), _config(sources, "preprocessing", "fit")
    told = f"A photo, made {size} × {size} pixels by {fit!r}; the same bytes in training, evaluation and on the device."
    return Item("Inputs and preprocessing", "TRIPOD+AI 7, 9a; CLAIM: preprocessing", DONE, told)


def _sample_size(sources: Sources) -> Item:
    total, figures = sum(side != UNUSED for side, _ in sources.splits.values()), _figures(sources)
    told = f"{total:,} photos" if total else "The number of photos is not known"
    if figures:
        refer = figures.get("refer")
        positives = refer.get("positives") if isinstance(refer, Mapping) else None
        positives = positives.get("value") if isinstance(positives, Mapping) else positives
        told += f", {figures.get('n', 0):,} evaluated"
        told += f", {positives} of them {refer['node']}" if positives and isinstance(refer, Mapping) else ""
    return Item(
        "Sample size",
        "TRIPOD+AI 10; CLAIM: sample size",
        PARTLY,
        f"{told}. It was not calculated beforehand: it is what there was.",
    )


def _missing(sources: Sources) -> Item:
    asked, source = "Missing data", "TRIPOD+AI 11; CLAIM: missing data"
    if sources.dataset is None:
        return Item(
            asked, source, PARTLY, "The data set is not at hand to count what is missing; unknown is a value of its own."
        )
    photos = sources.dataset.photos
    skin = sum(photo.fitzpatrick is None for photo in photos)
    patient = sum(not photo.patient_id for photo in photos)
    told = f"Skin type unknown for {skin:,} of {len(photos):,} photos, patient for {patient:,}. "
    told += "Unknown is a value of its own; nothing is imputed."
    return Item(asked, source, DONE, told)


def _partition(sources: Sources) -> Item:
    asked, source = "Split without leaks", "TRIPOD+AI 12a; CLAIM: partitions and their independence"
    if not sources.splits:
        return Item(asked, source, NOT_DONE, "splits.csv is missing.")
    leaks = leak_sentence(sources.record.get("leaks"))
    if leaks:
        return Item(asked, source, NOT_DONE, leaks)
    sides: dict[str, set[str]] = {}
    for side, cluster in sources.splits.values():
        if side != UNUSED:
            sides.setdefault(cluster, set()).add(side)
    torn = sum(len(each) > 1 for each in sides.values())
    if torn:
        return Item(asked, source, NOT_DONE, f"{torn:,} clusters of near duplicates have photos on two sides.")
    method = sources.split_details.get("duplicates", {})
    by = method.get("method") if isinstance(method, Mapping) else None
    told = f"No cluster of near duplicates is on two sides ({len(sides):,} clusters"
    told += f", found by {by})." if by else "; how they were found is not recorded)."
    patients = sources.dataset is not None and any(photo.patient_id for photo in sources.dataset.photos)
    known = patients and all(photo.patient_id for photo in sources.dataset.photos) if sources.dataset else False
    told += (
        " Patients are kept apart too." if known else " Patients are kept apart where they are known." if patients else ""
    )
    told += "" if patients else " Patients are not known, so that one may be on two sides."
    return Item(asked, source, DONE if by and known else PARTLY, told)


def _blinding(sources: Sources) -> Item:
    asked, source = "Test photos kept out of the making", "TRIPOD+AI 12a, 16; CLAIM: test data held out"
    figures, fitted = sources.figures, sources.calibration
    if figures is None:
        return Item(asked, source, NOT_DONE, "Nothing is evaluated yet.")
    if sources.side != "test":
        return Item(asked, source, NOT_DONE, f"These figures are of the {sources.side} photos.")
    same = figures.get("split") == sources.record.get("split") and not figures.get("other_split")
    if not same:
        return Item(asked, source, NOT_DONE, "The figures are of another split than the training's.")
    on = fitted.fitted_on.get("split", "?") if fitted else "?"
    told = f"Weights come from the training photos, epochs were chosen on validation, everything else was fitted on {on}."
    return Item(
        asked,
        source,
        PARTLY,
        f"{told} How often the test photos were looked at before, by people who then changed something, is not recorded.",
    )


def _building(sources: Sources) -> Item:
    kind, seed = _config(sources, "model", "kind"), _config(sources, "training", "seed")
    epochs = Counter(row["graph"] for row in sources.history)
    told = f"Model {kind}, seed {seed}, every setting below"
    told += "; " + ", ".join(f"{graph}: {count} epochs" for graph, count in epochs.items()) if epochs else ""
    return Item("Model building", "TRIPOD+AI 12c, 22; CLAIM: model, training", DONE if epochs else PARTLY, told + ".")


def _resampling(sources: Sources) -> Item:
    asked, source = "Internal validation by resampling", "TRIPOD+AI 12c"
    if (sources.folder.resolve().parent / FOLDS).is_file():
        told = "One fold of a cross-validation; the figures over all folds are in folds.json of the folder above."
        return Item(asked, source, DONE, told)
    return Item(asked, source, NOT_DONE, "One split, one training: no cross-validation, no repeat with other seeds.")


def _external(sources: Sources) -> Item:
    asked, source = "External validation", "TRIPOD+AI 12a, 23a; CLAIM: external testing"
    found = []
    for path in sorted((sources.folder / "evaluation").glob("*.json")):
        try:
            about = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if isinstance(about, dict) and about.get("dataset") not in (None, sources.record.get("dataset")):
            found.append(path.stem)
    if found:
        return Item(asked, source, DONE, f"Evaluated on other data too: {', '.join(found)}.")
    told = "No data of another source, camera or clinic were evaluated; expect less on them."
    return Item(asked, source, NOT_DONE, told)


def _imbalance(sources: Sources) -> Item:
    power, adjusted = _config(sources, "training", "class_weight_power"), _config(sources, "training", "logit_adjustment")
    told = f"Class weights of power {power}" if power else "Classes weigh by their photos"
    told += f", logit adjustment {adjusted}" if adjusted else ""
    told += "; macro F1 and balanced accuracy stand beside the majority baseline."
    return Item("Class imbalance", "TRIPOD+AI 13", DONE, told)


def _fairness(sources: Sources) -> Item:
    asked, source = "Performance by subgroup", "TRIPOD+AI 14, 23a; CLAIM: subgroups"
    groups = (sources.figures or {}).get("skin_types")
    if not isinstance(groups, Mapping):
        return Item(asked, source, NOT_DONE, "Nothing is evaluated yet.")
    few = [
        f"{ROMAN.get(key, key)} (n = {each.get('n', 0)})" for key, each in groups.items() if each.get("n", 0) < LEAST_PHOTOS
    ]
    enough = len(groups) - len(few)
    told = f"By skin type: {enough} of {len(groups)} groups have {LEAST_PHOTOS} photos or more"
    told += f"; too few for figures: {', '.join(few)}." if few else "."
    return Item(asked, source, PARTLY, f"{told} Age and sex are not recorded.")


def _intervals(sources: Sources) -> Item:
    asked, source = "Measures of performance, with intervals", "TRIPOD+AI 12e, 23a; CLAIM: metrics, uncertainty"
    told = (sources.figures or {}).get("interval")
    if not isinstance(told, str):
        return Item(asked, source, NOT_DONE, "Nothing is evaluated yet.")
    return Item(asked, source, DONE, f"{told[:1].upper()}{told[1:]}.")


def _calibration(sources: Sources) -> Item:
    asked, source = "Calibration", "TRIPOD+AI 12e, 23a"
    fitted = sources.calibration
    if fitted is None:
        return Item(asked, source, NOT_DONE, "calibration.json is missing.")
    told = (
        f"Temperatures and thresholds fitted on {fitted.fitted_on.get('n', '?')} {fitted.fitted_on.get('split', '')} photos"
    )
    return Item(
        asked,
        source,
        DONE if sources.predictions else PARTLY,
        f"{told}; reliability shown before and after." if sources.predictions else f"{told}; not yet measured.",
    )


def _output(sources: Sources) -> Item:
    asked, source = "Output and thresholds", "TRIPOD+AI 15; CLAIM: output"
    fitted = sources.calibration
    if fitted is None:
        return Item(asked, source, NOT_DONE, "calibration.json is missing.")
    answer = ", ".join(f"{level} {value:.2f}" for level, value in fitted.answer.items())
    told = f"A probability for every label; answered from {answer or 'no threshold'}; "
    told += f"sets that hold {fitted.coverage:.0%} of the truths"
    told += f"; {fitted.refer_node} referred from {fitted.refer_threshold:.2f}" if fitted.refer_node else ""
    return Item(asked, source, DONE, told + ".")


def _errors(sources: Sources) -> Item:
    asked, source = "Failure analysis", "CLAIM: analysis of errors"
    if sources.predictions is None:
        return Item(asked, source, NOT_DONE, "The predictions of single photos are not kept yet.")
    return Item(asked, source, PARTLY, "Confusion matrices and the commonest mistakes; why they happen is for the authors.")


def _quality(sources: Sources) -> Item:
    names = ", ".join(sources.calibration.quality) if sources.calibration else ""
    told = f"Photos unlike the calibration photos are named: {names}." if names else "No limits of quality were fitted."
    return Item(
        "Poor or unsuited photos",
        "TRIPOD+AI 27a",
        PARTLY if names else NOT_DONE,
        told + " Their effect on the figures is not measured." if names else told,
    )


def _clinicians(_: Sources) -> Item:
    told = "The model was not compared with dermatologists, nor was anyone watched using it."
    return Item("Comparison with clinicians, clinical use", "TRIPOD+AI 27b; CLAIM: human performance", NOT_DONE, told)


def _utility(_: Sources) -> Item:
    told = "No decision curve, no costs of errors beyond the referral's sensitivity and specificity; no prospective study."
    return Item("Clinical utility", "TRIPOD+AI 12e, 27c", NOT_DONE, told)


def _reproducible(sources: Sources) -> Item:
    found = sources.environment or {}
    bits = "bit for bit" if _config(sources, "training", "deterministic") else "not bit for bit on every machine"
    machine = f"Python {found.get('python', '?')}, {found.get('backend', '?')} on {found.get('device', '?')}"
    told = f"{machine}, seed and versions recorded; repeats {bits}."
    status = DONE if sources.environment and sources.record else PARTLY
    return Item("Reproducibility", "TRIPOD+AI 18e, 18f; CLAIM: software, availability", status, told)


def _ethics(_: Sources) -> Item:
    return Item(
        "Ethics, consent, funding, registration, protocol, involvement of patients",
        "TRIPOD+AI 17, 18a–18d, 19",
        AUTHORS,
        "Nothing of this is in a run.",
    )


def _limits(sources: Sources) -> Item:
    told = (
        f"What a reader must know first: {' '.join(sources.doubts)}"
        if sources.doubts
        else "What is marked above as not done or partly done limits these figures."
    )
    return Item("Limitations and interpretation", "TRIPOD+AI 25, 26; CLAIM: limitations", AUTHORS, told)


_ANSWERS: tuple[Callable[[Sources], Item], ...] = (
    _origin, _participants, _outcome, _predictors, _sample_size, _missing, _partition, _blinding, _building, _resampling,
    _external, _imbalance, _fairness, _intervals, _calibration, _output, _errors, _quality, _clinicians, _utility,
    _reproducible, _ethics, _limits,
)  # fmt: skip


def _figures(sources: Sources) -> Mapping[str, Any] | None:
    found = (sources.figures or {}).get("all")
    return found if isinstance(found, Mapping) else None


def _config(sources: Sources, *keys: str) -> Any:
    found: Any = sources.config
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
