import numpy as np
import pytest

from cifarlab.base.errors import UserError
from cifarlab.stats.answers import Predictions, confusion, precision, recall
from cifarlab.store import predictions

# answers 0, 0, 1, 2, 0, 1 at confidence by hand: two wrong, images 1 and 4
LABELS = np.array([0, 1, 1, 2, 2, 1])
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.6, 0.3, 0.1],
        [0.1, 0.8, 0.1],
        [0.2, 0.2, 0.6],
        [0.9, 0.05, 0.05],
        [0.2, 0.5, 0.3],
    ]
)
BY_HAND = Predictions(np.log(PROBABILITIES), LABELS)


def test_confusion_precision_and_recall_by_hand() -> None:
    counts = confusion(BY_HAND)
    assert counts.tolist() == [[1, 0, 0], [1, 2, 0], [1, 0, 1]], "row: truth, column: answer"
    np.testing.assert_allclose(precision(counts), [1 / 3, 1, 1])
    np.testing.assert_allclose(recall(counts), [1, 2 / 3, 1 / 2])
    never = np.array([[2, 0], [1, 0]])
    assert np.isnan(precision(never)[1]) and recall(never)[1] == 0


def test_the_most_confidently_wrong_come_first() -> None:
    assert BY_HAND.confidently_wrong(5).tolist() == [4, 1], "0.9, then 0.6"
    assert BY_HAND.confidently_wrong(1).tolist() == [4]
    assert BY_HAND.caption(4, "abc") == "a\n90.0%\nis c" and BY_HAND.caption(0, "abc") == "a\n70.0%"


def test_of_equal_confidence_the_first_comes_first() -> None:
    """Fifty wrong answers at 0.9 between fifty at 0.6."""
    probabilities = np.tile([[0.6, 0.4], [0.9, 0.1]], (50, 1))
    wrong = Predictions(np.log(probabilities), np.ones(100, dtype=int)).confidently_wrong(60)
    assert wrong.tolist() == [*range(1, 100, 2), *range(0, 20, 2)]


def test_the_loss_of_each_image_by_hand() -> None:
    truths = [0.7, 0.3, 0.8, 0.6, 0.05, 0.5]
    np.testing.assert_allclose(BY_HAND.loss, -np.log(truths))


def test_missing_and_damaged_files_are_told(tmp_path) -> None:
    with pytest.raises(UserError, match=r"predictions.npz: missing; a finished run has it"):
        predictions.load(tmp_path)
    (tmp_path / "predictions.npz").write_bytes(b"PK half a file")
    with pytest.raises(UserError, match="damaged"):
        predictions.load(tmp_path)


def test_names_of_classes_are_kept_and_may_be_missing(tmp_path) -> None:
    arrays = {f"{s}_logits": np.zeros((2, 3), np.float16) for s in ("val", "test")}
    arrays |= {f"{s}_labels": np.array([0, 2]) for s in ("val", "test")}
    arrays["val_indices"] = np.array([5, 7])
    np.savez(tmp_path / "predictions.npz", **arrays)
    assert predictions.load(tmp_path).classes == ("0", "1", "2")
    np.savez(tmp_path / "predictions.npz", **arrays, classes=np.array(["a", "b", "c"]))
    assert predictions.load(tmp_path).classes == ("a", "b", "c")
