"""The zoo: from a run to a file and an entry, and from these to a run; what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import cifarlab
from cifarlab.base.errors import UserError
from cifarlab.data.synthetic import draw
from cifarlab.store.checkpoint import begin_from, build_net, load_run
from cifarlab.store.record import RunRecord, is_finished
from cifarlab.use import zoo
from tests.conftest import ROOT

pytest.importorskip("safetensors", reason="pip install -e '.[export]'")


@pytest.fixture(scope="module")
def published(trained: Path, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    url = (folder / "small.safetensors").as_uri()
    zoo.publish(load_run(trained), "small", folder, folder / "zoo.json", "MIT", url)
    return folder


def test_there_and_back(published: Path, trained: Path, tmp_path: Path) -> None:
    entry = zoo.read_manifest(published / "zoo.json")["small"]
    record = RunRecord.load(trained)
    assert entry["sha256"] == zoo.sha256(published / entry["file"])
    assert entry["val_acc"] == record.metrics["val"]["acc"] and entry["licence"] == "MIT"
    assert entry["command"].startswith("python train.py data=synthetic")
    assert "# tbmi26_cnn on synthetic" in (published / "small.md").read_text(encoding="utf-8")
    assert zoo.table({"small": entry})[1][:3] == ("small", "tbmi26_cnn", "synthetic")
    pixels = draw(3, seed=1)[0]
    expected = cifarlab.load(trained, device="cpu")(pixels)
    for out, source in ((tmp_path / "by_url", None), (tmp_path / "by_folder", str(published))):
        run = zoo.get("small", published / "zoo.json", out, source)
        np.testing.assert_array_equal(cifarlab.load(run, device="cpu")(pixels), expected)
        assert RunRecord.load(run) == record
    config = load_run(run).config
    net = build_net(config["model"], 10, 32)
    count = len(net.state_dict())
    assert begin_from(net, run) == f"{count} of {count} tensors of {run}"
    again = zoo.get("small", published / "zoo.json", out, "nowhere")
    assert again == run, "the file is there already, and right"


def test_a_net_of_one_channel(run_here, tmp_path: Path) -> None:
    run = run_here(tmp_path / "run", "model=mlp", "max_epochs=1", "data.channels=1")
    manifest, out = tmp_path / "zoo.json", tmp_path / "out"
    zoo.publish(load_run(run), "grey", tmp_path, manifest, "MIT", None)
    made = zoo.get("grey", manifest, out, str(tmp_path))
    pixels = draw(3, seed=1)[0]
    expected = cifarlab.load(run, device="cpu")(pixels)
    np.testing.assert_array_equal(cifarlab.load(made, device="cpu")(pixels), expected)


def test_another_file_is_not_taken(published: Path, tmp_path: Path) -> None:
    other = tmp_path / "source"
    shutil.copytree(published, other)
    content = bytearray((other / "small.safetensors").read_bytes())
    content[-1] ^= 1
    (other / "small.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="is not what the manifest says"):
        zoo.get("small", published / "zoo.json", tmp_path, str(other))
    assert not is_finished(tmp_path / "small") and not [*(tmp_path / "small").iterdir()]


def test_refused(published: Path, trained: Path, tmp_path: Path) -> None:
    manifest = json.loads((published / "zoo.json").read_text(encoding="utf-8"))
    entry = manifest["entries"]["small"]

    def changed(**fields: object) -> Path:
        path = tmp_path / "changed.json"
        entries = {"small": entry | fields}
        path.write_text(json.dumps({"schema": 1, "entries": entries}), encoding="utf-8")
        return path

    config = entry["net"]["config"]
    hostile = entry["net"] | {"config": config | {"model": {"_target_": "os.system"}}}
    wrong = entry["net"] | {"config": config | {"model": {**config["model"], "hidden": [7]}}}
    for number, (fields, message) in enumerate(
        [
            ({"net": hostile}, "not a class that a run may name"),
            ({"net": wrong}, "a checkpoint of another model"),
            ({"record": {"name": "x"}}, "small: damaged"),
            ({"url": None}, "its entry has no address; source="),
            ({"url": "ftp://x/y"}, "url=ftp://x/y: must begin with one of"),
        ]
    ):
        out = tmp_path / str(number)
        with pytest.raises(UserError, match=message):
            zoo.get("small", changed(**fields), out)
        assert not is_finished(out / "small")
    with pytest.raises(UserError, match=r"^url=http://\[::1/.*: not an address"):
        zoo.get("small", changed(), tmp_path / "away", source="http://[::1")
    with pytest.raises(UserError, match="get=smal: not in .*small"):
        zoo.get("smal", published / "zoo.json", tmp_path)
    with pytest.raises(UserError, match="it is empty"):
        zoo.get("small", tmp_path / "none.json", tmp_path)
    (tmp_path / "bad.json").write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match="not a manifest"):
        zoo.read_manifest(tmp_path / "bad.json")
    loaded = load_run(trained)
    with pytest.raises(UserError, match="must be letters, digits"):
        zoo.publish(loaded, "../x", tmp_path, tmp_path / "zoo.json", "MIT", None)
    with pytest.raises(UserError, match="is there already, with other weights"):
        zoo.publish(loaded, "small", tmp_path, changed(sha256="0" * 64), "MIT", None)


def test_the_manifest_of_the_repository_can_be_read() -> None:
    for name, entry in zoo.read_manifest(ROOT / "docs" / "zoo.json").items():
        assert entry["file"] == f"{name}.safetensors" and len(entry["sha256"]) == 64
