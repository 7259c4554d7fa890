"""A metric is added in one place: it is then in the record, the tables and the studies."""

from functools import cached_property

import numpy as np
import pytest

from cifarlab.report.page import write_report
from cifarlab.report.side_by_side import side_by_side
from cifarlab.run.runner import summary
from cifarlab.stats.answers import Predictions
from cifarlab.stats.quantities import METRICS, Metric
from cifarlab.store.run import Run


@pytest.fixture
def top3(monkeypatch) -> None:
    """As somebody would add it: a property with a value for each image, and a line in the list."""

    def in_top3(self: Predictions) -> np.ndarray:
        best = np.argsort(-self.logits, axis=1)[:, :3]
        return (best == self.labels[:, None]).any(axis=1)

    whole = cached_property(in_top3)
    whole.__set_name__(Predictions, "in_top3")
    monkeypatch.setattr(Predictions, "in_top3", whole, raising=False)
    monkeypatch.setitem(METRICS, "top3", Metric("top3", "%", "top-3 accuracy", scores="in_top3"))


def test_a_metric_of_ones_own(top3, run_here, tmp_path) -> None:
    run = Run.finished(run_here(tmp_path / "run", "tta=flip"))
    test = run.answers.test
    order = (-test.logits).argsort(axis=1)
    expected = np.mean([label in row[:3] for label, row in zip(test.labels, order, strict=True)])
    assert run.measure("test_top3") == pytest.approx(expected) and 0.2 < expected < 1
    assert run.result.tta["test"]["top3"] >= run.result.tta["test"]["acc"]
    assert "top-3 accuracy" in summary(run.result, run.folder)
    assert f"{expected:.2%}" in write_report(tmp_path / "run")
    assert ("test top-3 accuracy", f"{expected:.2%}") in side_by_side([run])


def test_a_record_that_is_older_than_a_metric(top3, trained) -> None:
    run = Run.finished(trained)
    assert np.isnan(run.measure("test_top3")) and run.measure("test_acc") > 0
    assert "| test  |" in write_report(trained)


def test_metrics_have_scores(trained) -> None:
    test = Run.finished(trained).answers.test
    for metric in METRICS.values():
        assert getattr(test, metric.scores).shape == test.labels.shape
