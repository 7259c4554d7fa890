"""The differences between two sides of a comparison, in numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cifarlab.base.errors import UserError
from cifarlab.report.compare.selection import Side
from cifarlab.report.sweep.results import MEASURED
from cifarlab.stats import images, pairing, power
from cifarlab.stats import intervals as stats
from cifarlab.stats.answers import Predictions
from cifarlab.stats.images import Disagreement
from cifarlab.stats.intervals import Estimate
from cifarlab.stats.quantities import METRICS, QUANTITIES
from cifarlab.store.run import Run

SPLITS = ("val", "test")
ACCURACIES = ("val_acc", "test_acc")


@dataclass(frozen=True)
class Matching:
    """Which runs of the two sides are compared, and how.

    how: ``paired``, ``welch`` or ``single``, see ``cifarlab.stats.pairing``.
    a, b: the runs; unless ``how`` is ``welch``, those at position k are a pair.
    unused: the folders of runs that are left out, since the other side does not have their seed.
    """

    how: str
    a: list[Run]
    b: list[Run]
    unused: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> bool:
        """Whether the runs are compared in pairs."""
        return self.how != pairing.WELCH


@dataclass(frozen=True)
class Difference:
    """The difference of the two sides in one metric, a minus b.

    metric: its name, ``test_acc``.
    a, b: the means over the runs that are compared.
    seeds: the difference with its interval over seeds, on these images.
    images: the same over images, with these nets; ``None`` if there are no predictions.
    together: the same over seeds and images; ``None`` if there are no predictions.
    wilcoxon: the p of Wilcoxon's signed-rank test.
    effect: Hedges' g.
    show: how many seeds on each side, in all, would show a difference of this size.
    narrow: how many would bring the interval to the width that was asked for. Both are ``None`` if
        that is more than anybody would train, or if all runs are equal.
    """

    metric: str
    a: float
    b: float
    seeds: Estimate
    images: Estimate | None
    together: Estimate | None
    wilcoxon: float
    effect: Estimate
    show: int | None
    narrow: int | None


@dataclass(frozen=True)
class ClassDifference:
    """The difference in the accuracy of one class, a minus b.

    images: how many there are of the class.
    a, b: the accuracies, means over the runs.
    p_holm: p, corrected for all classes of the split.
    """

    name: str
    images: int
    a: float
    b: float
    difference: Estimate
    p_holm: float


@dataclass(frozen=True)
class Comparison:
    """All that a comparison measures.

    metrics: the difference by metric.
    classes: the differences of the classes, by split.
    alone: on which images only one net is right: by split, one entry for each pair of runs.
    """

    matching: Matching
    metrics: dict[str, Difference]
    classes: dict[str, list[ClassDifference]]
    alone: dict[str, list[Disagreement]]


def match(a: Side, b: Side) -> Matching:
    """Choose the runs of two sides that are compared, see ``cifarlab.stats.pairing``."""
    found = pairing.match(a.runs, b.runs)
    unused = [a.runs[key] for key in found.unused_a] + [b.runs[key] for key in found.unused_b]
    return Matching(
        found.how,
        [a.runs[key] for key in found.a],
        [b.runs[key] for key in found.b],
        [str(run.folder) for run in unused],
    )


def compare(matching: Matching, width: float) -> Comparison:
    """Compute all differences.

    width: half the width that the interval of an accuracy should reach, a fraction.
    """
    metrics, classes, alone = {}, {}, {}
    runs = (*matching.a, *matching.b)
    predicted = {split: _predictions(matching, split) for split in SPLITS}
    for metric in MEASURED:
        split, kind = metric.split("_")
        if split == "train" and any(run.result.members for run in runs):
            continue  # an ensemble was never asked about them
        metrics[metric] = _difference(matching, metric, kind, predicted.get(split), width)
    own = matching.a[0].own_metrics
    for name in ("corrupt_acc", "mce", *own):  # where all runs have them
        if all(math.isfinite(run.measure(name)) for run in runs):
            metrics[name] = _difference(matching, name, "", None, width)
    for split, both in predicted.items():
        if both is not None:
            names = matching.a[0].answers.classes
            classes[split] = _classes(matching, both, names)
            alone[split] = _alone(matching, both)
    return Comparison(matching, metrics, classes, alone)


Both = tuple[list[Predictions], list[Predictions]]


def _difference(
    matching: Matching, metric: str, kind: str, both: Both | None, width: float
) -> Difference:
    a, b = ([run.measure(metric) for run in runs] for runs in (matching.a, matching.b))
    pairs = matching.pairs
    seeds = (stats.paired if pairs else stats.welch)(a, b)
    effect = (stats.effect_paired if pairs else stats.effect_independent)(a, b)
    over_images = together = None
    if both is not None:
        name = METRICS[kind].scores
        scores = [np.array([getattr(p, name) for p in side], float) for side in both]
        over_images = images.bootstrap(scores[0].mean(axis=0) - scores[1].mean(axis=0))
        together = images.crossed(scores[0], scores[1], paired=pairs)
    if metric in QUANTITIES and QUANTITIES[metric].unit == "%":
        seeds, together = _cut(seeds), together and _cut(together)
    spread = metric in ACCURACIES and not np.isnan(seeds.p)
    return Difference(
        metric,
        float(np.mean(a)),
        float(np.mean(b)),
        seeds,
        over_images,
        together,
        stats.wilcoxon(a, b) if pairs else stats.NAN,
        effect,
        power.seeds_to_show(a, b, paired=pairs) if spread else None,
        power.seeds_for_width(a, b, width, paired=pairs) if spread else None,
    )


def _cut(found: Estimate) -> Estimate:
    """Without the part of the interval where no difference of accuracies can be, beyond 100 points;
    it covers no less."""
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))


def _classes(matching: Matching, both: Both, names: Sequence[str]) -> list[ClassDifference]:
    """The differences of the classes: over seeds and images if there are two seeds, else over
    images alone."""
    labels, found = both[0][0].labels, []
    right = [np.array([p.is_right for p in side]) for side in both]
    for label in np.unique(labels):
        a, b = (side[:, labels == label] for side in right)
        if matching.how == pairing.SINGLE:
            estimate = images.single(a[0], b[0])
        else:
            estimate = images.crossed(a.astype(float), b.astype(float), paired=matching.pairs)
        found.append((int(label), float(a.mean()), float(b.mean()), a.shape[1], _cut(estimate)))
    adjusted = stats.holm([estimate.p for *_, estimate in found])
    return [
        ClassDifference(names[label], n, a, b, estimate, p)
        for (label, a, b, n, estimate), p in zip(found, adjusted, strict=True)
    ]


def _alone(matching: Matching, both: Both) -> list[Disagreement]:
    """On which images only one net of each pair is right; independent samples have no pairs."""
    if not matching.pairs:
        return []
    return [images.mcnemar(a.is_right, b.is_right) for a, b in zip(*both, strict=True)]


def _predictions(matching: Matching, split: str) -> Both | None:
    """The predictions of all runs; ``None`` unless every run has them, on the same images.

    Each fold validates on other images, so these cannot be crossed with seeds. Raises ``UserError``
    if the test images are not the same.
    """
    sides = [[run.predictions for run in c] for c in (matching.a, matching.b)]
    every = [found for side in sides for found in side if found]
    if len(every) < len(matching.a) + len(matching.b):
        return None
    if split == "test" and not all(every[0].same_test(found) for found in every):
        raise UserError("a and b: not the same test images (their labels or classes differ)")
    a, b = ([getattr(found, split) for found in side] for side in sides)
    labels: Mapping[bytes, None] = dict.fromkeys(p.labels.tobytes() for p in [*a, *b])
    folds = {run.value("data.fold") for run in [*matching.a, *matching.b]}
    return (a, b) if len(labels) == 1 and (split == "test" or len(folds) == 1) else None
