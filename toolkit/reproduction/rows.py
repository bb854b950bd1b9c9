"""What the two student reports of 2024 say, row by row, and the shipped config that trains each row.

The reports' figures are facts about Fitzpatrick17k: 114 conditions, split at random. What they are worth is in `caveats`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One model of a report.

    Attributes:
        config: name of the shipped config, by which the row is called.
        title: the row as the report has it.
        condition: the report's figures on its test photos, over all conditions: {"accuracy": 0..1, "macro_f1",
            "weighted_f1", "loss": nats}; what it does not state is left out.
        category: the same of its first step, over the categories.
        caveat: what must be known to read them; "" for nothing.
    """

    config: str
    title: str
    condition: Mapping[str, float] = field(default_factory=dict)
    category: Mapping[str, float] = field(default_factory=dict)
    caveat: str = ""


@dataclass(frozen=True)
class Report:
    """A report.

    Attributes:
        name: as the command calls it.
        title: what it is.
        figures: which of a row's figures are printed, in this order: (level, figure), the level "condition" or "category".
        rows: its models.
        caveats: what its figures really say; sentences.
        elsewhere: what it has that is no row, and the command that does it; sentences.
    """

    name: str
    title: str
    figures: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    caveats: tuple[str, ...]
    elsewhere: tuple[str, ...]


def _of_b(config: str, title: str, loss: float, accuracy: float, f1: float, caveat: str = "") -> Row:
    return Row(config, title, {"loss": loss, "accuracy": accuracy, "weighted_f1": f1}, caveat=caveat)


_SKIN_TYPE = "The report's network needs the skin type; ours is also trained without it, on 30 % of the photos."

REPORT_A = Report(
    name="report-a",
    title="Report A: the two-step and the multi-input model",
    figures=(("condition", "accuracy"), ("condition", "macro_f1"), ("category", "accuracy"), ("category", "macro_f1")),
    rows=(
        Row(
            "two_step_plain",
            "two-step model",
            {"accuracy": 0.101, "macro_f1": 0.081},
            {"accuracy": 0.23, "macro_f1": 0.21},
            "Its step 1 reaches an accuracy of .738 on validation photos and .23 on test photos.",
        ),
        Row(
            "two_step_plain_more_inputs",
            "two-step model with gray and heat map",
            category={"accuracy": 0.604, "macro_f1": 0.337},
            caveat="Further pictures of the photo stand in for the report's heat map, which a device does not have before "
            "it has an answer; of its three experts the report gives the accuracies .0, .010 and .020, in no stated order.",
        ),
        Row(
            "multi_input",
            "multi-input model, flat",
            {"accuracy": 0.095, "macro_f1": 0.087},
            caveat="The report also gives a precision of .107 and a recall of .095.",
        ),
        Row(
            "multi_input_stretched",
            "multi-input model with colour stretching",
            caveat="The report describes this input in its appendix, without figures.",
        ),
        Row(
            "mobilenet_v2",
            "MobileNetV2, ImageNet, reference",
            caveat="The report gives no test figures; its accuracy is .484 in training and .103 in validation.",
        ),
        Row(
            "two_step",
            "two-step model with residual networks",
            caveat="Named by the report as future work; the networks and their recipe are ours.",
        ),
    ),
    caveats=(
        "Step 1's validation accuracy of .738 is about the share of its largest category (.729): the model learned next to "
        "nothing. That is why a constant answer stands beside every figure here, and balanced accuracy in the JSON.",
        "From .738 in validation to .23 in test, on photos of one distribution, is no over-fitting but a broken pipeline: "
        "photos prepared otherwise in the test. Here training, evaluation and device prepare photos with the same code.",
        "Its 781 right and 2,620 wrong first predictions are 23 % of 3,401 test photos.",
        "Its F1 is a mean over batches, which is not the F1 of a split. Ours is computed once over all test photos.",
        "Its split is random, and the data set is full of near duplicates: photos that were trained on come back in the "
        "test. 'derm-toolkit data split' keeps near duplicates, patients and lesions on one side.",
    ),
    elsewhere=(
        "Grad-CAM heat maps, feature maps and where the lesion is: derm-toolkit explain RUN PHOTO.",
        "The split of 60-20-20: derm-toolkit data split DATA; ours keeps a further part for calibration.",
    ),
)

REPORT_B = Report(
    name="report-b",
    title="Report B: a benchmark of architectures, and the skin type as an input",
    figures=(("condition", "accuracy"), ("condition", "weighted_f1"), ("condition", "loss")),
    rows=(
        _of_b("lenet_1", "LeNet 1", 3.907, 0.133, 0.089),
        _of_b("lenet_2", "LeNet 2", 4.146, 0.100, 0.088),
        _of_b("lenet_3", "LeNet 3", 3.936, 0.144, 0.123),
        _of_b("lenet_4", "LeNet 4", 3.989, 0.119, 0.104),
        _of_b("lenet_5", "LeNet 5", 4.039, 0.106, 0.074),
        _of_b("lenet_6", "LeNet 6", 4.088, 0.106, 0.080),
        _of_b("lenet_7", "LeNet 7", 4.037, 0.114, 0.099),
        _of_b("lenet_8", "LeNet 8", 4.087, 0.105, 0.087),
        _of_b("alexnet", "AlexNet", 4.502, 0.039, 0.026),
        _of_b("lenet_3_dropout_0.5", "LeNet 3, dropout 0.5", 3.894, 0.130, 0.099),
        _of_b("lenet_4_dropout_0.5", "LeNet 4, dropout 0.5", 3.854, 0.146, 0.099),
        _of_b("lenet_3_dropout_0.3", "LeNet 3, dropout 0.3", 3.945, 0.134, 0.105),
        _of_b("lenet_4_dropout_0.3", "LeNet 4, dropout 0.3", 3.980, 0.132, 0.120),
        _of_b("vgg16", "VGG16, ImageNet, frozen", 3.697, 0.163, 0.120),
        _of_b("inception_v3", "InceptionV3, ImageNet, frozen", 3.266, 0.247, 0.191),
        _of_b(
            "resnet101_v2",
            "ResNet101V2, ImageNet, frozen",
            3.053,
            0.293,
            0.241,
            "The report's table says dropout 0.5, its text 0.4.",
        ),
        Row("vgg16_skin_type", "VGG16 + skin type", caveat="The report names the combination, without figures."),
        _of_b("inception_v3_skin_type", "InceptionV3 + skin type", 3.385, 0.27, 0.285, _SKIN_TYPE),
        _of_b("inception_v3_skin_type_dropout", "InceptionV3 + skin type, dropout 0.4", 3.305, 0.261, 0.248, _SKIN_TYPE),
        _of_b(
            "resnet101_v2_skin_type",
            "ResNet101V2 + skin type, dropout 0.4",
            3.826,
            0.374,
            0.471,
            f"The report's best row: an F1 far above its accuracy, at a loss worse than without the skin type. {_SKIN_TYPE}",
        ),
    ),
    caveats=(
        "The best row's weighted F1 (.471) is far above its accuracy (.374), and its loss (3.826) is worse than without the "
        "skin type (3.053): the F1 was a function of single batches. Ours is that of the whole split: do not compare them.",
        "Its networks with the skin type cannot answer without it, and a photo alone is what people have. Here it may be "
        "left out: it is hidden from a share of the photos in training, and 'derm-toolkit evaluate' measures the true, the "
        "missing and a wrong type.",
        "Its split is random, and the data set is full of near duplicates: photos that were trained on come back in the "
        "test. 'derm-toolkit data split' keeps near duplicates, patients and lesions on one side.",
        "Our loss is the mean -ln P(condition) before calibration, the nearest to a Keras test loss.",
    ),
    elsewhere=(
        "Cross-validation, which it wished for: derm-toolkit train CONFIG --folds 5.",
        "Interpretability, which it wished for: derm-toolkit explain RUN PHOTO.",
    ),
)

REPORTS = {report.name: report for report in (REPORT_A, REPORT_B)}
