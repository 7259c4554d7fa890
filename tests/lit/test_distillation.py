"""Distillation: the loss by hand, the teacher's images, what is kept of it, and what is refused."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from cifarlab.base.weights import digest
from cifarlab.lit.distillation import Distillation, Teacher
from cifarlab.report.page import write_run
from cifarlab.store.checkpoint import BEST, LAST, load_run, read_checkpoint
from cifarlab.store.record import RunRecord
from cifarlab.store.run import Run
from tests.conftest import launch, plain, without_sums

LOGITS = torch.tensor([[2.0, 0.0, 1.0], [0.0, 1.0, -1.0]])
SAID = torch.tensor([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0]])
LABELS = torch.tensor([0, 1])
DISTIL = ["loss=distillation", "loss.temperature=2"]


def taught(alpha: float, temperature: float = 2.0) -> Distillation:
    loss = Distillation("somewhere", temperature, alpha)
    loss.teacher = Teacher(nn.Flatten(), ([0.0], [1.0]), ([0.0], [1.0]))
    loss.look(SAID.view(2, 3, 1, 1))
    return loss


def test_by_hand() -> None:
    p, q = (SAID / 2).softmax(1), (LOGITS / 2).softmax(1)
    apart = (p * (p / q).log()).sum(1).mean()
    labelled = -LOGITS.log_softmax(1)[range(2), LABELS].mean()
    torch.testing.assert_close(taught(1.0)(LOGITS, LABELS), 4 * apart)
    torch.testing.assert_close(taught(0.0)(LOGITS, LABELS), labelled)
    torch.testing.assert_close(taught(0.3)(LOGITS, LABELS), 0.7 * labelled + 0.3 * 4 * apart)
    torch.testing.assert_close(taught(0.9).eval()(LOGITS, LABELS), labelled, msg="validation")


def test_a_teacher_sees_its_own_statistics_and_is_of_no_module() -> None:
    images = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    mean, std = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1), torch.tensor([0.5, 0.4, 0.3])
    std = std.view(3, 1, 1)
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 2)).train()
    teacher = Teacher(
        net, (mean.flatten().tolist(), std.flatten().tolist()), ([0.5] * 3, [0.25] * 3)
    )
    answer = teacher(((images - mean) / std).float())
    torch.testing.assert_close(answer, net(((images - 0.5) / 0.25).float()))
    assert not answer.requires_grad and not any(p.requires_grad for p in net.parameters())
    loss = Distillation("somewhere")
    loss.teacher = teacher
    loss.train()
    assert not net.training and not loss.state_dict() and not list(loss.parameters())
    assert copy.deepcopy(loss).teacher is teacher, "an average of weights has no second one"


@pytest.fixture(scope="module")
def student(trained: Path, cache, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("student") / "run"
    launch(folder, cache, *DISTIL, f"loss.teacher={trained}", "data.normalize=half", "aug=[hflip]")
    return folder


def test_a_student_keeps_who_taught_it_and_nothing_else(student, trained, run_here, tmp_path):
    record, teacher = RunRecord.load(student), load_run(trained)
    assert record.teacher == {
        "run": str(trained),
        "model": "tbmi26_cnn",
        "config_hash": teacher.record.config_hash,
        "val_acc": teacher.record.metrics["val"]["acc"],
        "weights_sha256": digest(teacher.net.state_dict()),
    }
    checkpoint = read_checkpoint(student / LAST)
    assert {name.partition(".")[0] for name in checkpoint["state_dict"]} == {"net"}
    assert load_run(student).record.num_params == record.num_params, "needs no teacher"
    assert f"teacher | {trained} (tbmi26_cnn, weights" in " ".join(write_run(student).split())
    plainly = run_here(tmp_path / "plain", "data.normalize=half", "aug=[hflip]")
    mine, theirs = (Run.finished(f).epochs for f in (student, plainly))
    assert mine[0]["train_loss"] != theirs[0]["train_loss"]
    nothing = [*DISTIL, "loss.alpha=0", f"loss.teacher={trained}"]
    same = run_here(tmp_path / "same", *nothing, "data.normalize=half", "aug=[hflip]")
    for one, other in zip(Run.finished(same).epochs, theirs, strict=True):
        assert one["val_loss"] == pytest.approx(other["val_loss"], rel=1e-5)
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-5)


def test_resumed_with_this_teacher_and_no_other(trained, run_here, tmp_path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(trained, teacher)
    whole = run_here(tmp_path / "whole", *DISTIL, f"loss.teacher={teacher}", "max_epochs=3")
    part = run_here(tmp_path / "part", *DISTIL, f"loss.teacher={teacher}", "max_epochs=2")
    longer = [f"resume={part}", "max_epochs=3"]
    changed = read_checkpoint(without_sums(teacher) / BEST)
    kept = {name: value.clone() for name, value in changed["state_dict"].items()}
    first = next(name for name in kept if name.startswith("net."))
    changed["state_dict"][first] += 1
    torch.save(changed, teacher / BEST)
    with pytest.raises(UserError, match=r"loss.teacher=.*: its weights are .* the run began with"):
        launch(part, tmp_path, *longer, tiny=False)
    torch.save(changed | {"state_dict": kept}, teacher / BEST)
    launch(part, tmp_path, *longer, tiny=False)
    assert RunRecord.load(part).metrics == RunRecord.load(whole).metrics


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("loss.temperature=0", "loss.temperature=0: must be a number in (0"),
        ("loss.alpha=1.5", "loss.alpha=1.5: must be a number in [0, 1]"),
        ("seed=0", "loss.teacher=null: must be the folder of a finished run"),
        ("loss.teacher=x callbacks=progressive", "its teacher takes images of one size"),
        ("loss.teacher=x label_smoothing=0.1", "label_smoothing=0.1: is of loss=cross_entropy"),
        (
            "loss.teacher=x model=vgg11_bn transfer=frozen transfer.cache_features=true",
            "its teacher needs images",
        ),
    ],
)
def test_refused_before_anything_is_read(typed: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        check_config(plain("loss=distillation", *typed.split()))
    assert message in str(raised.value)


def test_a_teacher_that_does_not_fit_is_one_line(trained, run_here, tmp_path, caplog) -> None:
    with pytest.raises(UserError, match=r"loss.teacher=nowhere: nowhere: no finished run here"):
        run_here(tmp_path / "a", *DISTIL, "loss.teacher=nowhere")
    few = f"data.classes=[{','.join(load_run(trained).classes[:2])}]"
    with pytest.raises(UserError, match=r"knows 10 classes, .* the student's data have 2 classes"):
        run_here(tmp_path / "b", *DISTIL, f"loss.teacher={trained}", few)
    with caplog.at_level("WARNING", "cifarlab"):
        run_here(tmp_path / "c", *DISTIL, f"loss.teacher={trained}", "data.split_seed=1")
    assert "of the student's validation images and may have learned" in caplog.text
