"""Finished runs as one: what it answers, what its folder is for others, what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax

import cifarlab
from cifarlab.base.errors import UserError
from cifarlab.campaign.reproduce import command_of
from cifarlab.data.synthetic import draw
from cifarlab.models.ensemble import Ensemble
from cifarlab.report import side_by_side
from cifarlab.report.compare.selection import check_comparable, finished_runs, labels, read_side
from cifarlab.report.compare.write import write_comparison
from cifarlab.report.page import write_run
from cifarlab.run.ensemble import mean_answer, write_ensemble
from cifarlab.store.checkpoint import load_run
from cifarlab.store.record import RESULT, RunRecord
from cifarlab.store.run import Run
from cifarlab.use.card import card
from cifarlab.use.export import export
from tests.conftest import launch, without_sums


@pytest.fixture(scope="module")
def members(cache: Path, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("members")
    launch(folder / "a", cache, "max_epochs=1")
    launch(folder / "b", cache, "max_epochs=1", "seed=1", "data.normalize=half", "optimizer.lr=.03")
    return [folder / "a", folder / "b"]


@pytest.fixture(scope="module")
def ensemble(members: list[Path], tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble") / "run"
    write_ensemble(finished_runs("runs", list(map(str, members))), folder, "both")
    return folder


def test_the_mean_of_probabilities() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 60.0]]), np.array([[0.0, 1.0], [0.0, -900.0]])
    expected = (softmax(logits[0], 1) + softmax(logits[1], 1)) / 2
    np.testing.assert_allclose(np.exp(mean_answer(logits)), expected)
    assert np.isfinite(mean_answer([logits[1], logits[1]])).all()


def test_members_see_their_own_statistics() -> None:
    nets = [torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2)) for _ in range(2)]
    statistics = [([0.1, 0.2, 0.3], [0.2, 0.3, 0.4]), ([0.5] * 3, [0.25] * 3)]
    pixels = torch.rand(3, 3, 4, 4)
    given = [(pixels - torch.tensor(m).view(3, 1, 1)) / torch.tensor(s).view(3, 1, 1)
             for m, s in statistics]  # fmt: skip
    expected = sum(net(x).softmax(1) for net, x in zip(nets, given, strict=True)) / 2
    net = Ensemble(nets, statistics, 2, 4)
    torch.testing.assert_close(net(given[0]).softmax(1), expected, rtol=1e-5, atol=1e-6)
    assert all(name.startswith("members.") for name in net.state_dict())


def test_it_is_a_run_of_its_own(ensemble: Path, members: list[Path]) -> None:
    record, parts = RunRecord.load(ensemble), [Run.finished(m) for m in members]
    answers = [part.answers.test for part in parts]
    mean = sum(softmax(a.logits, axis=1) for a in answers) / 2
    assert record.metrics["test"]["acc"] == (mean.argmax(1) == answers[0].labels).mean()
    loss = -np.log(mean[range(100), answers[0].labels]).mean()
    assert record.metrics["test"]["loss"] == pytest.approx(loss)
    assert set(record.metrics) == {"val", "test"} and record.test_reads == 1
    assert [m["run"] for m in record.members] == list(map(str, members))
    assert record.num_params == sum(part.result.num_params for part in parts)
    run = Run.read(ensemble)
    assert run.status == "completed" and np.isnan(run.measure("gap")) and not run.epochs
    assert run.value("model") == "ensemble" and run.value("max_epochs") == "1"
    assert run.value("optimizer.lr") == "-", "members differ in it"
    assert run.measure("train_acc") != run.measure("train_acc"), "NaN"


def test_it_predicts_as_its_members_do(ensemble: Path, members: list[Path]) -> None:
    pixels = draw(3, seed=1)[0]
    together = cifarlab.load(*members, device="cpu")
    np.testing.assert_allclose(
        cifarlab.load(ensemble, device="cpu")(pixels), together(pixels), rtol=1e-4, atol=1e-6
    )
    assert load_run(ensemble).weights == "of the members"


def test_reports_and_comparisons_take_it(ensemble: Path, members: list[Path], tmp_path) -> None:
    page = write_run(ensemble)
    assert "member" in page and "scripts/ensemble.py" in page and "epochs" not in page
    a, b = read_side("a", [str(ensemble)], []), read_side("b", [str(members[0])], [])
    check_comparable(a, b)
    compared = write_comparison(a, b, tmp_path, 0.5)
    assert "test acc" in compared and "train acc" not in compared
    runs = finished_runs("run", [str(ensemble), *map(str, members)])
    assert len(set(labels(runs))) == 3
    beside = side_by_side.write_comparison([ensemble, members[0]], tmp_path / "side")
    assert "0 of 0" not in beside and "nan" not in beside
    assert "python scripts/ensemble.py" in card(load_run(ensemble), ensemble / "x")
    with pytest.raises(UserError, match="an ensemble, which is not trained"):
        command_of(runs[0], dict, tmp_path)


def test_it_is_exported_and_teaches(ensemble: Path, run_here, tmp_path) -> None:
    assert export(load_run(ensemble), "safetensors", tmp_path).path.is_file()
    taught = run_here(tmp_path / "run", "loss=distillation", f"loss.teacher={ensemble}")
    assert RunRecord.load(taught).teacher["model"] == "ensemble"


def test_nets_of_one_channel(run_here, members: list[Path], tmp_path) -> None:
    grey = ["model=mlp", "max_epochs=1", "data.channels=1"]
    folders = [
        run_here(tmp_path / "a", *grey),
        run_here(tmp_path / "b", *grey, "seed=1", "data.normalize=half"),
    ]
    runs = [Run.finished(folder) for folder in folders]
    write_ensemble(runs, tmp_path / "run", "both")
    pixels = draw(3, seed=1)[0]
    together = cifarlab.load(*folders, device="cpu")
    np.testing.assert_allclose(
        cifarlab.load(tmp_path / "run", device="cpu")(pixels), together(pixels), rtol=1e-4
    )
    with pytest.raises(UserError, match=r"images of 32 px and 1 channel, .* 32 px and 3"):
        write_ensemble([Run.finished(members[0]), runs[0]], tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_refused(ensemble: Path, members: list[Path], tmp_path) -> None:
    a, b = (Run.finished(m) for m in members)

    def with_data(**changed: str) -> Run:
        return replace(b, record=replace(b.result, data=b.result.data | changed))

    lost = shutil.copytree(members[1], tmp_path / "lost")
    (without_sums(lost) / "predictions.npz").unlink()
    for runs, message in (
        ([a], "runs: needs two finished runs or more"),
        ([a, Run.finished(ensemble)], "is an ensemble; name its members"),
        ([a, with_data(split_hash="other")], "its split is not that of"),
        ([a, with_data(name="others")], "its data is not that of"),
        ([a, Run.finished(lost)], "predictions.npz: missing"),
    ):
        with pytest.raises(UserError, match=message):
            write_ensemble(runs, tmp_path / "none")
    assert not (tmp_path / "none").exists() and (ensemble / RESULT).is_file()
