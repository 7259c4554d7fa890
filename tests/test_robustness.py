"""Nets on corrupted images, made here or read from the published files; what is kept of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cifarlab.base.errors import UserError
from cifarlab.data.cifar import CIFAR10
from cifarlab.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from cifarlab.store.checkpoint import LoadedNet
from cifarlab.store.record import ROBUSTNESS
from cifarlab.store.robustness import Robustness, load
from cifarlab.store.run import Run
from cifarlab.use.own_images import own_images
from cifarlab.use.robustness import OwnImages, accuracy, chosen, is_complete, measure, on_new_test
from tests.report.folders import finished

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loaded(trained: Path) -> LoadedNet:
    from cifarlab.store.checkpoint import load_run

    return load_run(trained)


def test_what_is_asked_for() -> None:
    names, severities = chosen(None, None)
    assert is_complete(names, severities) and len(names) == 15
    names, severities = chosen(["fog", "noise"], ["5", "1"])
    assert names == ["gaussian_noise", "shot_noise", "impulse_noise", "fog"]
    assert severities == [1, 5] and not is_complete(names, severities)
    with pytest.raises(UserError, match="corruptions=wether: .*did you mean weather"):
        chosen(["wether"], None)
    with pytest.raises(UserError, match="severities=0: must be whole numbers from 1 to 5"):
        chosen(None, ["1", "0"])


def test_accuracy_of_a_net_that_knows_one_class() -> None:
    images, labels = torch.zeros(300, 3, 8, 8, dtype=torch.uint8), torch.arange(300) % 3

    def second(batch: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 1.0, 0.0]).expand(len(batch), 3)

    assert accuracy(second, OwnImages(images, labels).batches("contrast", 5)) == pytest.approx(
        1 / 3
    )


def test_a_run_is_measured(loaded: LoadedNet) -> None:
    """Clean it is as the record has it; corrupted as each image is by hand."""
    seen = []

    def progress(cells):
        for cell in cells:
            seen.append(cell)
            yield cell

    found = measure(loaded, ["contrast", "impulse_noise"], [2, 5], seed=3, progress=progress)
    assert seen == [(n, s) for n in ("contrast", "impulse_noise") for s in (2, 5)]
    assert found.clean == pytest.approx(loaded.record.metrics["test"]["acc"])
    assert (found.images, found.seed, found.severities) == (100, 3, [2, 5])
    images, labels = own_images(loaded, "test", None, CPU)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (loaded.mean, loaded.std))
    noisy = corrupt(images, "impulse_noise", 5, torch.arange(100), 3)
    with torch.inference_mode():
        answers = loaded.net((noisy / 255 - mean) / std).argmax(1)
    assert found.acc["impulse_noise"][1] == pytest.approx(float((answers == labels).float().mean()))
    few = measure(loaded, ["contrast"], [2], 10)
    right = accuracy(
        lambda batch: loaded.net((batch / 255 - mean) / std),
        OwnImages(images[:10], labels[:10]).batches("contrast", 2),
    )
    assert few.images == 10 and few.acc == {"contrast": [right]}


def published(folder: Path, loaded: LoadedNet) -> Path:
    """As CIFAR-10-C is laid out, of the run's own images."""
    images, labels = own_images(loaded, "test", None, CPU)
    each = [corrupt(images, "contrast", s, torch.arange(100)) for s in SEVERITIES]
    folder.mkdir()
    np.save(folder / "contrast.npy", torch.cat(each).permute(0, 2, 3, 1).numpy())
    np.save(folder / "labels.npy", labels.repeat(5).to(torch.uint8).numpy())
    return folder


def test_published_images_are_read(loaded: LoadedNet, tmp_path: Path) -> None:
    source = published(tmp_path / "c", loaded)
    found = measure(loaded, ["contrast"], [1, 3, 5], 40, source=source)
    assert found == measure(loaded, ["contrast"], [1, 3, 5], 40)
    with pytest.raises(UserError, match=r"fog\.npy: missing"):
        measure(loaded, ["fog"], [1], source=source)
    whole = (source / "contrast.npy").read_bytes()
    (source / "contrast.npy").write_bytes(whole[:-1])
    with pytest.raises(UserError, match=r"contrast\.npy: damaged .*declares 1.5 MB and has 1.5 MB"):
        measure(loaded, ["contrast"], [1], source=source)
    np.save(source / "contrast.npy", np.zeros((500, 32, 32), np.uint8))
    with pytest.raises(UserError, match="uint8 500x32x32, must be uint8 500x32x32x3"):
        measure(loaded, ["contrast"], [1], source=source)
    np.save(source / "contrast.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(UserError, match=r"contrast\.npy: damaged"):
        measure(loaded, ["contrast"], [1], source=source)
    np.save(source / "labels.npy", np.zeros(500, np.uint8))
    with pytest.raises(UserError, match="not the test images of the run"):
        measure(loaded, ["contrast"], [1], source=source)


def test_another_test_set(loaded: LoadedNet, tmp_path: Path) -> None:
    import dataclasses

    images, labels = own_images(loaded, "test", 50, CPU)
    path = tmp_path / "cifar10.1_v6_data.npy"
    np.save(path, images.permute(0, 2, 3, 1).numpy())
    with pytest.raises(UserError, match="has CIFAR-10's classes, and the net others"):
        on_new_test(loaded, path)
    ours = dataclasses.replace(loaded, classes=CIFAR10.classes)
    with pytest.raises(UserError, match=r"cifar10\.1_v6_labels\.npy: missing"):
        on_new_test(ours, path)
    np.save(tmp_path / "cifar10.1_v6_labels.npy", labels.to(torch.int32).numpy())
    assert on_new_test(ours, path) == (measure(loaded, ["contrast"], [1], 50).clean, 50)
    with pytest.raises(UserError, match="must be a ..._data.npy"):
        on_new_test(ours, tmp_path / "x.npy")


FOUND = Robustness({"fog": [0.8, 0.6], "snow": [0.5, 0.3]}, [1, 5], 0.9, 100, 0)


def test_means() -> None:
    assert FOUND.mean("fog") == pytest.approx(0.7)
    assert FOUND.corrupt_acc == pytest.approx(0.55) and FOUND.mce == pytest.approx(0.45)


def test_a_run_has_it_as_quantities(tmp_path: Path) -> None:
    folder = finished(tmp_path / "run", [], 0.8)
    assert str(Run.finished(folder).measure("mce")) == "nan"
    FOUND.save(folder)
    assert load(folder) == FOUND
    run = Run.finished(folder)
    assert run.measure("mce") == FOUND.mce and run.measure("corrupt_acc") == FOUND.corrupt_acc
    path = folder / ROBUSTNESS
    document = json.loads(path.read_text(encoding="utf-8"))
    (folder / "SHA256SUMS").unlink()
    for change in ({"clean": 2.0}, {"severities": [1]}, {"acc": {}}, {"more": 1}, {"acc": 3}):
        path.write_text(json.dumps(document | change), encoding="utf-8")
        with pytest.raises(UserError, match=r"robustness\.json: damaged .*delete it"):
            Run.finished(folder).measure("mce")
    path.write_text(json.dumps(document | {"schema": 0}), encoding="utf-8")
    assert Run.finished(folder).robustness is None, "of other corruptions: measured anew"


def test_the_file_has_the_corruptions_by_name(loaded: LoadedNet) -> None:
    assert {*measure(loaded, [*CORRUPTIONS], [1], 2).acc} == {*CORRUPTIONS}
