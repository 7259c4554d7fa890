"""What is timed, and what is made of the times."""

import contextlib
import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torch import nn
from torchvision.transforms import v2

from cifarlab.base.errors import UserError
from cifarlab.bench import batched, images, page, processes, seeds, textbook, training
from cifarlab.bench.timing import Case, Timed, as_data, from_data, in_stretches, measure, worse
from cifarlab.store.checkpoint import build_net
from tests.conftest import ROOT, options, plain

SPAN = {"steps": 50, "warmup": 2}


@pytest.fixture
def config(cache: Path) -> dict:
    return plain(
        "data=synthetic", "data.num_train=4000", "data.num_test=100", f"data.cache_dir={cache}",
        "model=mlp", "model.hidden=[8]", "trainer=cpu", "aug=crop_flip",
    )  # fmt: skip


def test_ways_are_timed_in_turns() -> None:
    called = []
    ways = {name: lambda name=name: float(len(called.append(name) or called)) for name in "ab"}
    timed = measure(Case("x", "s", ways), 3)
    assert called == list("ababab")
    assert timed.values == {"a": [1.0, 3.0, 5.0], "b": [2.0, 4.0, 6.0]}


def test_ratios_are_by_round() -> None:
    timed = Timed("x", "s", {"ours": [1.0, 2.0, 9.0], "theirs": [2.0, 4.0, 3.0], "more": [1.0] * 3})
    assert timed.ratios == {"theirs": [0.5, 0.5, 3.0], "more": [1.0, 2.0, 9.0]}
    assert timed.cost(["theirs", "more"]) == 0.5 and timed.cost(["more"]) == 2.0
    assert timed.row().split("  ")[-2:] == [
        "by theirs: 0.500 (0.500 to 3.000)", "by more: 2.000 (1.000 to 9.000)"
    ]  # fmt: skip
    alone = Timed("y", "s", {"ours": [3.0, 1.0, 2.0]})
    assert (
        alone.ratios == {} and alone.cost(["theirs"]) == 2.0 and alone.row().endswith("  ours 2 s")
    )


def test_ten_percent_worse_is_told() -> None:
    before = [
        Timed("x", "s", {"ours": [1.0], "theirs": [2.0]}),
        Timed("gone", "s", {"ours": [1.0]}),
    ]
    assert from_data(as_data(before)) == before
    busier = [Timed("x", "s", {"ours": [5.0], "theirs": [10.0]})]
    assert list(worse(busier, before)) == [], "both are slower: the machine is"
    assert list(worse([Timed("x", "s", {"ours": [1.09], "theirs": [2.0]})], before)) == []
    (line,) = worse([Timed("x", "s", {"ours": [1.11], "theirs": [2.0]})], before)
    assert line == "x: 0.555, before 0.5"


def test_it_is_compared_beside_what_both_were_timed_with() -> None:
    """kornia may be missing here or there."""
    without = [Timed("x", "s", {"ours": [1.0], "theirs": [10.0]})]
    same = [Timed("x", "s", {"ours": [1.0], "kornia": [2.0], "theirs": [10.0]})]
    slower = [Timed("x", "s", {"ours": [2.0], "kornia": [2.0], "theirs": [10.0]})]
    assert list(worse(same, without)) == []
    assert list(worse(slower, without)) == ["x: 0.2, before 0.1"]
    assert list(worse([Timed("x", "s", {"ours": [2.0], "theirs": [10.0]})], same)) == [
        "x: 0.2, before 0.1"
    ]


def test_a_stretch_that_was_disturbed_does_not_count() -> None:
    assert in_stretches([0.0, 1.0, 2.0, 50.0, 51.0, 52.0], 10) == pytest.approx(0.1)


def test_training_is_timed(config: dict, tmp_path: Path) -> None:
    for case in (
        training.overhead(config, **SPAN),
        training.pipeline(config, tmp_path, workers=0, **SPAN),
        training.step(config, 2, 1),
        images.augmentation(config, 3, 1),
        images.evaluation(config),
    ):
        timed = measure(case, 1)
        assert all(values[0] > 0 for values in timed.values.values()), case.name
        assert timed.ratios


def test_what_an_image_costs_as_things_grow(config: dict, monkeypatch) -> None:
    """Other batches, widths where the net has some, parts of the training images."""
    monkeypatch.setattr(training, "BATCHES", (16,))
    monkeypatch.setattr(training, "WIDTHS", (0.5,))
    monkeypatch.setattr(training, "FRACTIONS", (0.02,))
    cases = [*training.scaling(config, 2, 1)]
    assert [case.name for case in cases] == ["mlp batch 16", "mlp 72 of 3,600 images"]
    for case in cases:
        assert all(values[0] > 0 for values in measure(case, 1).values.values()), case.name
    config["model"] = plain("model=resnet18", "model.widths=[8,8,16,16]")["model"]
    sizes, build = [], training.build_net

    def seen(*arguments: Any) -> nn.Module:
        net = build(*arguments)
        sizes.append(sum(p.numel() for p in net.parameters()))
        return net

    monkeypatch.setattr(training, "build_net", seen)
    (wider,) = (c for c in training.scaling(config, 2, 1) if "widths" in c.name)
    assert wider.name.endswith(" widths x 0.5")
    assert all(values[0] > 0 for values in measure(wider, 1).values.values())
    small, whole = sizes
    assert 3 < whole / small < 4.5


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_stacked_nets_step_as_each_by_itself(optimizer: str) -> None:
    chosen = instantiate(plain(f"optimizer={optimizer}", "optimizer.lr=0.01")["optimizer"])
    torch.manual_seed(0)
    # of a bias before batch norm the gradient is rounding, whose sign Adam follows
    normed = f"model.batchnorm={'true' if optimizer == 'sgd' else 'false'}"
    model = plain("model=tbmi26_cnn", normed, "dropout=0")["model"]
    nets = [build_net(model, 10, 32).train() for _ in range(3)]
    alone = copy.deepcopy(nets)
    images, labels = torch.randn(3, 16, 3, 32, 32), torch.randint(10, (3, 16))
    kept: list[dict] = []
    original = torch.func.stack_module_state

    def stack(models: list[nn.Module]) -> Any:
        kept[:] = found = original(models)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.func, "stack_module_state", stack)
        take = seeds.stacked(nets, chosen, contextlib.nullcontext())
    each = seeds.apart(alone, chosen, contextlib.nullcontext())
    for _ in range(2):
        take(images, labels)
        each(images, labels)
    weights, buffers = kept
    for index, net in enumerate(alone):
        for name, value in net.named_parameters():
            torch.testing.assert_close(weights[name][index], value, rtol=1e-3, atol=1e-4)
        for name, value in net.named_buffers():
            torch.testing.assert_close(buffers[name][index], value, rtol=1e-3, atol=1e-4)


def test_narrow_layers_stay_layers(config: dict, monkeypatch) -> None:
    monkeypatch.setattr(training, "WIDTHS", (0.25,))
    config["model"] = plain("model=resnet18", "model.widths=[1,2,2,4]")["model"]
    (narrow,) = (c for c in training.scaling(config, 2, 1) if "widths" in c.name)
    assert narrow.ways["so"]() > 0


def test_muon_is_not_stacked(config: dict) -> None:
    assert seeds.seeds(config, 1, 2, 1).name == "mlp 1 seed"
    config["optimizer"] = plain("optimizer=muon")["optimizer"]
    with pytest.raises(UserError, match="stacked weights are other matrices to muon"):
        seeds.seeds(config, 2, 2, 1)


def test_seeds_are_timed(config: dict) -> None:
    timed = measure(seeds.seeds(config, 2, 2, 1), 1)
    assert all(values[0] > 0 for values in timed.values.values())


def test_a_net_that_cannot_be_stacked(config: dict, monkeypatch) -> None:
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x[:, :10] * float(x.mean()))
    with pytest.raises(UserError, match=r"what=seeds: this net cannot be stacked \("):
        seeds.seeds(config, 2, 2, 1).ways["stacked"]()


def test_a_small_data_set_is_gone_through_again(config: dict) -> None:
    config["data"]["batch_size"] = 2000  # one batch an epoch
    assert measure(images.augmentation(config, 3, 1), 1).values["ours"][0] > 0


@pytest.mark.parametrize("aug", options("aug"))
def test_kornias_counterparts(aug: str) -> None:
    """Each makes images of the same shape; those that there are not are known."""
    operations = [*instantiate(plain(f"aug={aug}")["aug"], _convert_="all").values()]
    policy = batched.policy(operations, (0.5,) * 3, (0.25,) * 3)
    assert (policy is None) == (aug in {"augmix", "cutmix", "cutout", "erasing", "mixup", "none"})
    if policy is not None:
        torch.manual_seed(0)
        pixels = torch.rand(8, 3, 32, 32)
        made = policy(pixels)
        assert made.shape == pixels.shape and made.isfinite().all()
        assert abs(made.mean()) < 1 and made.min() < -1 < 1 < made.max(), "normalised"


def test_compiling_is_timed_apart(config: dict, tmp_path: Path) -> None:
    """Without compiling, for which there need not be a compiler."""
    steps, first = training.compiled(config, tmp_path, [False], **SPAN)
    assert measure(steps, 2).values["false"][0] > 0
    assert len(measure(first, 2).values["false"]) == 2


def test_an_epoch_must_be_long_enough(config: dict) -> None:
    with pytest.raises(UserError, match="must be below the 56 steps of an epoch"):
        training.overhead(config, 50, 6).ways["bare loop"]()
    with pytest.raises(UserError, match="steps=24: the clock is read every 25"):
        training.overhead(config, 24, 6).ways["bare loop"]()


def test_the_bare_loop_takes_the_steps_of_the_run(config: dict, monkeypatch) -> None:
    """The two ways of ``overhead`` train the same: their losses are equal."""
    from cifarlab.lit import ImageClassifier

    losses: list[float] = []
    original = ImageClassifier.compute_loss

    def keep(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = original(self, logits, labels)
        if self.training:
            losses.append(loss.item())
        return loss

    monkeypatch.setattr(ImageClassifier, "compute_loss", keep)
    case = training.overhead(config, 25, 0)
    case.ways["Trainer"]()
    through, losses[:] = losses[:25], []
    case.ways["bare loop"]()
    assert through == losses[:25] and len(set(through)) > 20


def test_what_is_compiled(config: dict, monkeypatch) -> None:
    """Both ways of ``overhead``, and ours of ``step``."""
    calls: list[torch.Tensor] = []

    class Counting:
        def __init__(self, mode: object) -> None:
            assert mode == "reduce-overhead"

        def __call__(self, net: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
            calls.append(inputs)
            return net(inputs)

    for module in ("bench.training", "run.build"):
        monkeypatch.setattr(f"cifarlab.{module}.Compiled", Counting)
    config["trainer"]["compile"] = "reduce-overhead"
    steps = 25
    for case, ours, other in (
        (training.overhead(config, steps, 0), steps + 1, steps),
        (training.step(config, 3, 1), 5, 0),
    ):
        found = []
        for once in case.ways.values():
            calls.clear()
            once()
            found.append(len(calls))
        assert found == [ours, other], case.ways.keys()


def test_counterparts_are_those_of_the_operations() -> None:
    from cifarlab.data.augment import Cutout, HFlip, RandomCrop

    crop, flip = textbook.transforms([RandomCrop(3), HFlip(0.25)])
    assert isinstance(crop, v2.RandomCrop) and crop.padding == [3] * 4 and flip.p == 0.25
    with pytest.raises(UserError, match="Cutout has no textbook counterpart"):
        textbook.transforms([Cutout()])


def test_processes_are_counted_whole(tmp_path: Path) -> None:
    work = "x = bytearray(200_000_000); sum(range(20_000_000))"
    used = processes.run([sys.executable, "-c", work], tmp_path)
    idle = processes.run([sys.executable, "-c", "import time; time.sleep(0.3)"], tmp_path)
    assert used.seconds > 5 * idle.seconds and used.mebibytes > idle.mebibytes + 150
    with pytest.raises(UserError, match="ended with 3, not 0"):
        processes.run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_the_page_is_that_of_its_files() -> None:
    """``python scripts/performance.py`` was not forgotten."""
    folder = ROOT / "docs" / "performance"
    kept = page.read(folder)
    assert len(kept) > 10
    text = (ROOT / "docs" / "performance.md").read_text()
    assert text == page.page(kept, page.words(folder))
    sections = page.words(folder)["sections"]
    assert {each.what for each in kept} <= set(sections)
    for each in kept:
        assert each.command in text and "/tmp" not in each.command


def test_a_table_of_the_page(tmp_path: Path) -> None:
    cases = [
        Timed("x", "ms", {"ours": [1.0, 2.0, 3.0], "theirs": [2.0, 2.0, 2.0]}),
        Timed("y", "ms", {"ours": [1234.5]}),
    ]
    hardware = {"name": "Chip", "threads": 1, "precision": "32-true"}
    kept = [page.Kept("step", hardware, {"torch": "2.15.0"}, ["what=step"], cases)]
    section = {"title": "T", "beside": "theirs", "words": "W\n"}
    text = page.page(kept, {"head": "H", "sections": {"step": section, "data": section}})
    assert text.splitlines() == [
        "H", "## T", "", "W", "", "```bash", "python scripts/benchmark.py what=step", "```", "",
        "Chip, 1 of its threads, 32-true, torch 2.15.0.", "",
        "| case | unit | ours | theirs | ratio to theirs | rounds |", "|---|---|---|---|---|---|",
        "| x | ms | 2 | 2 | 1.000 (0.500 to 1.500) | 3 |", "| y | ms | 1234 |  |  | 1 |",
    ]  # fmt: skip
    drawn = page.panels(kept, {"sections": {"step": section, "data": section}})
    assert drawn == {"T (ratio to theirs)": {"x": [0.5, 1.0, 1.5]}}
