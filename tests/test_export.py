"""Exported files do what the net does, without cifarlab."""

import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from cifarlab.base.checks import check_export
from cifarlab.base.errors import UserError
from cifarlab.base.options import EXPORT_FORMATS
from cifarlab.data.synthetic import CLASSES, draw
from cifarlab.store.checkpoint import LoadedNet, build_net, load_run
from cifarlab.use.card import card, command
from cifarlab.use.export import FORMATS, VerificationError, export
from cifarlab.use.predictor import PixelsToLogits, Predictor
from tests.conftest import plain

SMALL = {  # additions, concatenations, resizing; all of conf/model was tried by hand
    "tbmi26_resnet": [],
    "densenet": ["model.depth=10", "model.growth=4"],
    "torchvision": ["model.name=resnet18", "model.resize=48"],
}


@pytest.fixture(scope="module")
def run(trained: Path) -> LoadedNet:
    return load_run(trained)


@pytest.fixture(autouse=True)
def no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch writes a log line with a stack for every operation wherever a handler takes it, and
    pytest's does: exporting then takes ten times as long."""
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "propagate", False)


def needs(format: str) -> None:
    for package in EXPORT_FORMATS[format]:
        pytest.importorskip(package, reason="pip install -e '.[export]'")


@pytest.mark.parametrize("format", FORMATS)
def test_a_run(run: LoadedNet, format: str, tmp_path: Path) -> None:
    """Used as by somebody who has only the files."""
    needs(format)
    exported = export(run, format, tmp_path / "there")
    images, _ = draw(50, seed=2)
    pixels = images.transpose(0, 3, 1, 2)
    about = json.loads(exported.description.read_text())
    if format == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
        (logits,) = session.run(None, {"pixels": pixels})
        kept = session.get_modelmeta().custom_metadata_map
        assert {key: json.loads(value) for key, value in kept.items()}.items() <= about.items()
        assert session.get_inputs()[0].shape == about["input"]["shape"] == ["batch", 3, 32, 32]
        with pytest.raises(Exception, match="Unexpected input data type"):
            session.run(None, {"pixels": pixels.astype(np.float32) / 255})
    elif format == "safetensors":
        from safetensors import safe_open
        from safetensors.torch import load_file

        with safe_open(exported.path, "pt") as file:
            kept = file.metadata()
        assert {key: json.loads(value) for key, value in kept.items()}.items() <= about.items()
        net = PixelsToLogits(build_net(run.config["model"], 10, 32), run.mean, run.std).eval()
        net.net.load_state_dict(load_file(exported.path))
        logits = net(torch.from_numpy(pixels)).detach().numpy()
    else:
        extra = {"cifarlab.json": ""}
        program = torch.export.load(exported.path, extra_files=extra)
        logits = program.module()(torch.from_numpy(pixels)).detach().numpy()
        assert json.loads(extra["cifarlab.json"]).items() <= about.items()
    assert tuple(about["classes"]) == CLASSES
    labels = [about["classes"][i] for i in logits.argmax(axis=1)]
    assert labels == [p.label for p in Predictor([run], "cpu").predict(images)]
    assert about["max_abs_difference"] == exported.difference < 1e-4
    files = {f"model.{FORMATS[format].suffix}", f"model.{FORMATS[format].suffix}.json", "README.md"}
    assert {path.name for path in (tmp_path / "there").iterdir()} == files


def test_the_card_has_the_numbers_of_the_record(run: LoadedNet, tmp_path: Path) -> None:
    """And metadata that the Hub can read."""
    text = card(run, tmp_path / "model.onnx")
    _, front, body = text.split("---\n", 2)
    about = yaml.safe_load(front)
    (result,) = about["model-index"][0]["results"]
    shown = {metric["name"]: metric["value"] for metric in result["metrics"]}
    acc = {split: values["acc"] for split, values in run.record.metrics.items()}
    assert shown == {f"{s} accuracy": round(acc[s], 4) for s in ("val", "test")}
    assert f"| test | {run.record.data['num_test']:,} | {acc['test']:.2%} |" in body
    assert all(name in body for name in CLASSES) and "model.onnx" in body
    assert f"seed {run.record.seed}" in body and "python train.py" in body
    assert "output_root" not in body, "where it was trained is nobody's business"


@pytest.mark.parametrize(
    "monitor, members, best",
    [
        ({}, [], "lowest\nvalidation loss (epoch "),
        ({"monitor": "val/acc"}, [], "highest\nvalidation accuracy (epoch "),
        ({"monitor": "val/acc"}, [{}, {}], "highest\nvalidation accuracy (of each of the 2"),
        ({}, [{}, {}], "best\nepoch (of each of the 2"),
    ],
)
def test_the_card_says_which_epoch_is_the_best(
    monitor: dict, members: list, best: str, run: LoadedNet, tmp_path: Path
) -> None:
    assert run.run is not None
    config = {key: value for key, value in run.config.items() if key != "monitor"} | monitor
    result = dataclasses.replace(run.record, members=members)
    there = dataclasses.replace(run, config=config, run=dataclasses.replace(run.run, record=result))
    assert f"The weights are those of the {best}" in card(there, tmp_path / "model.onnx")


def test_the_card_has_every_format_that_was_exported(run: LoadedNet, tmp_path: Path) -> None:
    for format in ("safetensors", "torch_export", "safetensors"):
        export(run, format, tmp_path)
    suffixes = [FORMATS[name].suffix for name in FORMATS if name in ("safetensors", "torch_export")]
    shown = ", ".join(f"`model.{suffix}`" for suffix in suffixes)
    assert f"\n{shown}: " in (tmp_path / "README.md").read_text()


def test_the_command_of_the_card_names_no_folder_of_the_authors_machine(run: LoadedNet) -> None:
    typed = ["data.root=/home/me/birds", "data=image_folder", "max_epochs=2"]
    record = dataclasses.replace(run.record, overrides=typed)
    expected = "python train.py data.root=<folder of the data> data=image_folder max_epochs=2"
    assert command(record) == expected
    record = dataclasses.replace(record, overrides=["data.root=data/birds"])
    assert command(record) == "python train.py data.root=data/birds"


def test_the_card_names_a_few_of_many_classes(run: LoadedNet, tmp_path: Path) -> None:
    """And shows their names as they are, which a folder may have given them."""
    loaded = dataclasses.replace(run, classes=("a <b>/c", *(f"class {i}" for i in range(999))))
    text = card(loaded, tmp_path / "model.onnx")
    assert "It tells 1000 classes apart: a &lt;b&gt;/c, class 0, " in text
    assert "class 18, … and 980 more;\nthe file's metadata, `classes`, has all" in text
    assert "class 19" not in text and max(map(len, text.splitlines())) < 400


@pytest.mark.parametrize("format", FORMATS)
def test_others_may_read_the_file(run: LoadedNet, format: str, tmp_path: Path) -> None:
    needs(format)
    assert export(run, format, tmp_path).path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("model", SMALL)
def test_other_architectures(run: LoadedNet, model: str, tmp_path: Path) -> None:
    needs("onnx")
    torch.manual_seed(0)
    net = build_net(plain(f"model={model}", *SMALL[model])["model"], num_classes=10, image_size=32)
    exported = export(dataclasses.replace(run, net=net.eval()), "onnx", tmp_path)
    assert exported.difference < 1e-5 * max(1, exported.scale) and exported.scale > 0


class TwoFaced(nn.Module):
    """Not the same when it is exported."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = images.mean(dim=(2, 3)).repeat(1, 4)[:, :10]
        return logits * 1.01 if torch.compiler.is_exporting() else logits


def test_what_does_not_verify_leaves_no_file(run: LoadedNet, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match="differ by up to .* from the net's"):
        export(dataclasses.replace(run, net=TwoFaced()), "torch_export", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_had(run: LoadedNet, tmp_path: Path, monkeypatch) -> None:
    assert FORMATS.keys() == EXPORT_FORMATS.keys()
    with pytest.raises(UserError, match="format=tflite: must be one of onnx, torch_e"):
        export(run, "tflite", tmp_path)
    monkeypatch.setitem(EXPORT_FORMATS, "onnx", ("onnx", "no_such_package"))
    with pytest.raises(UserError, match=r"no_such_package is not installed: .*\[export\]"):
        check_export("onnx")
