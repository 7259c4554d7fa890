"""A run's folder from a stranger calls nothing that a run has no business to call."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

import cifarlab
from cifarlab.base.errors import UserError
from cifarlab.report.page import write_report
from cifarlab.run.runner import _configure as configure
from cifarlab.store.checkpoint import BEST, LAST, load_run
from cifarlab.store.record import CONFIG
from cifarlab.store.trust import check_trusted, targets
from tests.conftest import CONF, ROOT, without_sums

MARK = "it-ran"
EVIL = [
    {"_target_": "torch.load", "f": MARK, "weights_only": False},
    {"_target_": "numpy.load", "file": MARK, "allow_pickle": True},
    {"_target_": "torch.hub.load", "repo_or_dir": ".", "model": "x", "source": "local"},
    {"_target_": "cifarlab.store.files.write_atomic", "path": MARK, "text": "x"},
    {"_target_": "os.system", "command": f"touch {MARK}"},
    {"_target_": "builtins.exec", "_args_": [f"open('{MARK}', 'w')"]},
    {"_target_": "hydra.utils.call", "config": {"_target_": "os.system", "command": "true"}},
    {"_target_": "pathlib.Path.touch", "self": MARK},
]


@pytest.fixture
def copy(trained: Path, tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return without_sums(shutil.copytree(trained, tmp_path / "run"))


def into_checkpoint(path: Path, part: dict) -> None:
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["cifarlab"]["config"]["model"]["activation"] = part
    torch.save(checkpoint, path)


def stored(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("part", EVIL, ids=lambda part: part["_target_"])
def test_a_checkpoint_calls_nothing(part: dict, copy: Path, tmp_path: Path) -> None:
    into_checkpoint(copy / BEST, part)
    for use in (load_run, lambda folder: cifarlab.load(folder)):
        with pytest.raises(UserError) as raised:
            use(copy)
        assert f"model.activation._target_={part['_target_']}" in str(raised.value)
        assert "\n" not in str(raised.value) and str(copy / BEST) in str(raised.value)
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("script", ["predict", "export", "visualize", "shifts"])
def test_programs_say_it_in_a_line(script: str, copy: Path, tmp_path: Path) -> None:
    from tests.scripts.test_scripts import start

    into_checkpoint(copy / BEST, EVIL[4])
    Image.new("RGB", (32, 32)).save(tmp_path / "x.png")
    more = ["images=x.png"] if script == "predict" else []
    done = start(f"{script}.py", "run=run", *more, cwd=tmp_path)
    assert done.returncode == 2 and "os.system" in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize("part", EVIL, ids=lambda part: part["_target_"])
@pytest.mark.parametrize("where", ["data.source", "callbacks.x", "logger", "trainer.x"])
def test_resuming_calls_nothing(part: dict, where: str, copy: Path, tmp_path: Path) -> None:
    config = stored(copy / CONFIG)
    node, (*above, last) = config, where.split(".")
    for key in above:
        node[key] = node.get(key) or {}
        node = node[key]
    node[last] = part
    (copy / CONFIG).write_text(yaml.safe_dump(config))
    with pytest.raises(UserError, match=rf"{where}._target_={part['_target_']}: not a class"):
        configure({"resume": str(copy)}, copy, longer=False)
    assert not (tmp_path / MARK).exists()


def test_resume_as_it_is_typed(copy: Path, train, tmp_path: Path) -> None:
    config = stored(copy / CONFIG)
    config["data"]["source"] = EVIL[4]
    (copy / CONFIG).write_text(yaml.safe_dump(config))
    (copy / "result.json").unlink()
    done = train("resume=run")
    assert done.returncode == 2 and "data.source._target_=os.system" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / MARK).exists()
    assert (copy / LAST).exists(), "nothing was discarded"


def test_a_report_calls_nothing(copy: Path, tmp_path: Path) -> None:
    config = stored(copy / CONFIG)
    config["data"]["source"] = EVIL[4]
    (copy / CONFIG).write_text(yaml.safe_dump(config))
    assert "os.system: not a class that a run may name" in write_report(copy)
    assert not (tmp_path / MARK).exists()


def test_interpolations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"name=\$\{oc.env:HOME\}: a stored"):
        check_trusted({"name": "${oc.env:HOME}"}, tmp_path)
    with pytest.raises(UserError, match="a.1._target_=3"):
        check_trusted({"a": [1, {"_target_": 3}]}, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "torch.nn.Module.load_state_dict",
        "torch.nn.functional.relu",
        "torch.nn.init.zeros_",
        "torch.nn.torch.load",
        "torch.optim.swa_utils.update_bn",
        "cifarlab.models.pretrained.torch.load",
        "cifarlab.models.convnet.nn.ReLU",
        "cifarlab.data.cache.cached",
        "cifarlab.data.archives.os.system",
        "cifarlab.data.nothing.Here",
        "cifarlab.lit.optim.torch",
        "cifarlab.callbacks.EpochRecorder",
        "cifarlab.store.lock.RunLock",
        "",
        "torch",
    ],
)
def test_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a class that a run may name"):
        check_trusted({"_target_": name}, tmp_path)


@pytest.mark.parametrize("name", ["torch.nn.GELU", "cifarlab.data.sources.CIFAR10"])
def test_accepted(name: str, tmp_path: Path) -> None:
    check_trusted({"a": [{"_target_": name}]}, tmp_path)


def test_all_that_our_configuration_names_is_allowed(tmp_path: Path) -> None:
    found = set()
    for path in CONF.rglob("*.yaml"):
        found |= targets(yaml.safe_load(path.read_text()))
    of_runs = {t for t in found if not t.startswith(("hydra_plugins.", "optuna."))}
    assert len(of_runs) > 40
    for target in of_runs:
        check_trusted({"_target_": target}, tmp_path)


def test_what_the_user_names_is_trusted(tmp_path: Path, monkeypatch) -> None:
    check_trusted({"_target_": "my.Net"}, tmp_path, named={"my.Net"})
    monkeypatch.setenv("CIFARLAB_TRUST", "mine,other.Net")
    check_trusted([{"_target_": "mine.nets.Net"}, {"_target_": "other.Net"}], tmp_path)
    with pytest.raises(UserError, match="CIFARLAB_TRUST=other.Bet"):
        check_trusted({"_target_": "other.Bet"}, tmp_path)
    with pytest.raises(UserError, match="miner.Net"):
        check_trusted({"_target_": "miner.Net"}, tmp_path)


@pytest.mark.parametrize("name", ["my.Net", "my_package.nets.make", "timm.models.ResNet"])
def test_trust_is_suggested_for_what_may_be_the_users_own(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"nothing of it was run; .*or CIFARLAB_TRUST={name}"):
        check_trusted({"_target_": name}, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *(part["_target_"] for part in EVIL),
        *("subprocess.Popen", "subprocess.run", "pickle.Unpickler", "shutil.rmtree", "exec", "Net"),
        *("torch.nn.Module.load_state_dict", "joblib.load", "numpy.fromfile"),
        *("cifarlab.store.lock.RunLock", "cifarlab.data.archives.os.system", "", "torch"),
    ],
)
def test_trust_is_not_suggested_for_what_is_not(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing of it was run$"):
        check_trusted({"_target_": name}, tmp_path)


def test_published_and_kept_configurations_pass() -> None:
    paths = [*ROOT.glob("docs/results/*/*/config.yaml"), *ROOT.glob("tests/kept/**/config.yaml")]
    assert len(paths) > 50
    for path in paths:
        check_trusted(stored(path), path)
