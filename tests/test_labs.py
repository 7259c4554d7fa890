"""Code of the user's own: found wherever a run is used, and nobody else's."""

import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from PIL import Image

import cifarlab
from cifarlab.base import labs
from cifarlab.base.checks import check_config
from cifarlab.base.errors import UserError
from cifarlab.report.compare.selection import read_side
from cifarlab.store.checkpoint import load_run
from cifarlab.store.record import RunRecord, config_hash
from cifarlab.store.run import Run
from cifarlab.store.trust import check_trusted
from cifarlab.use.export import export
from scripts.new import NAME, TEMPLATE, make
from tests.conftest import plain
from tests.scripts.test_scripts import start

MARK = "it-ran"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a test imports of a lab is not there for the next one."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if name.partition(".")[0] in ("one_lab", "evil_lab"):
            del sys.modules[name]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab as it is made, on the user's list."""
    folder = tmp_path / "code" / "one_lab"
    assert make(folder) == "one_lab"
    monkeypatch.setenv(labs.VARIABLE, str(folder))
    return folder


def test_the_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is typed there, and once more; the list is the user's own."""
    monkeypatch.delenv(labs.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    done = start("new.py", "path=my_lab", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "experiment=my_lab" in done.stdout and (tmp_path / "my_lab" / "README.md").is_file()
    assert labs.list_file().read_text() == f"{(tmp_path / 'my_lab').resolve()}\n"
    taken = start("new.py", "path=elsewhere/my_lab", cwd=tmp_path)
    assert taken.returncode == 2 and "is a module or an option already" in taken.stderr


def evil(folder: Path, package: str = "evil_lab") -> Path:
    """A package that leaves a mark when it is imported."""
    (folder / package).mkdir(parents=True)
    code = f"open({str(folder / MARK)!r}, 'w', encoding='utf-8').close()\nclass Net: pass\n"
    (folder / package / "__init__.py").write_text(code)
    (folder / package / "net.py").write_text(code)
    return folder


def test_all_of_a_lab_is_found_again(
    lab: Path, train, cache: Path, tmp_path: Path, caplog, monkeypatch
) -> None:
    """A sweep, a prediction, a comparison and an export, of a lab as it is made."""
    done = train(
        *("-m", "experiment=one_lab", "seed=0,1", "max_epochs=1", "trainer=cpu", "sweep=s"),
        *("trainer.precision=32-true", "+trainer.limit_train_batches=3", "logger=none"),
        *(f"data.cache_dir={cache}", "data.source.count=200", "model.width=4"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = sorted((tmp_path / "outputs/sweeps/s").glob("[01]_*"))
    record = RunRecord.load(first)
    assert record.model == "one_lab" and record.data["name"] == "one_lab"
    assert record.metrics["test"]["among_first"] == 1
    assert record.code["places"] == {"one_lab": str(lab / "one_lab")}

    monkeypatch.chdir("/")
    Image.new("RGB", (40, 40)).save(tmp_path / "x.png")
    assert cifarlab.load(first).predict(tmp_path / "x.png").label in ("lying", "standing")
    assert export(load_run(first), "torch_export", tmp_path / "exported").path.is_file()
    assert len(read_side("a", [str(first), str(second)], []).runs) == 2
    assert "has changed" not in caplog.text
    (lab / "one_lab" / "net.py").write_text((lab / "one_lab" / "net.py").read_text() + "# more\n")
    with caplog.at_level(logging.WARNING):
        load_run(first)
    assert f"one_lab: {lab / 'one_lab'} has changed since the run began" in caplog.text


def test_the_hash_has_the_code_and_not_its_place(lab: Path, tmp_path: Path, monkeypatch) -> None:
    here = check_config(plain("model=one_lab"))
    assert config_hash(check_config(plain("model=mlp"))) == config_hash(plain("model=mlp"))
    elsewhere = shutil.copytree(lab, tmp_path / "moved" / "one_lab")
    monkeypatch.setenv(labs.VARIABLE, str(elsewhere))
    sys.path.remove(str(lab))
    there = check_config(plain("model=one_lab"))
    assert here["code"]["places"] != there["code"]["places"]
    assert config_hash(here) == config_hash(there)
    (elsewhere / "one_lab" / "loss.py").write_text("")
    assert config_hash(check_config(plain("model=one_lab"))) != config_hash(here)


def test_a_class_alone(lab: Path) -> None:
    config = check_config(
        plain(
            "model._target_=one_lab.net.MyNet",
            "+model.width=8",
            "loss._target_=one_lab.loss.MyLoss",
        )
    )
    assert config["model"] == {"_target_": "one_lab.net.MyNet", "width": 8}
    assert config["loss"] == {"_target_": "one_lab.loss.MyLoss"}
    assert config["name"] == config["choices"]["model"] == "MyNet"
    assert config["choices"]["loss"] == "MyLoss" and config["choices"]["optimizer"] == "sgd"
    data = check_config(plain("data.source._target_=one_lab.data.Stripes"))["data"]
    assert data["source"] == {"_target_": "one_lab.data.Stripes"} and data["name"] == "Stripes"
    other = check_config(plain("optimizer._target_=torch.optim.Adagrad", "optimizer.lr=0.3"))
    assert other["optimizer"] == {
        "_target_": "torch.optim.Adagrad", "_partial_": True, "lr": 0.3
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "model._target_=nothing.Net",
            "model._target_=nothing.Net: no module nothing is found; co",
        ),
        ("model._target_=one_lab.nat.MyNet", "no module one_lab.nat in "),
        ("model._target_=one_lab.net.MyNat", "one_lab.net has no MyNat; did you mean MyNet?"),
    ],
)
def test_a_class_that_is_not_there(typed: str, message: str, lab: Path) -> None:
    with pytest.raises(UserError) as raised:
        labs.locate(check_config(plain(typed)))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("model=one_lab +model.widht=8", "model.widht: no argument of one_lab.net.MyNet; did you"),
        ("optimizer._target_=torch.optim.Adagrad +optimizer.rl=1", "optimizer.rl: no argument of"),
        ("optimizer._target_=torch.optim.Adagrd", "no attribute 'Adagrd'; did you mean Adagrad?"),
        ("optimizer._target_=torch.optimm.Adam", "module 'torch' has no attribute 'optimm'; did"),
        ("metrics=one_lab +metrics.among_first.cuont=2", "metrics.among_first.cuont: no argument"),
        ("aug=one_lab +aug.invert.q=1", "aug.invert.q: no argument of one_lab.augment.Invert; "),
        ("callbacks=one_lab +callbacks.weight_norm.x=1", "callbacks.weight_norm.x: no argument"),
        ("data=one_lab +data.source.cuont=2", "data.source.cuont: no argument of one_lab.data.S"),
        ("model._target_=torch.nn.ReLU", "torch.nn.ReLU: must take num_classes, see docs/howto"),
    ],
)
def test_what_a_class_does_not_take_is_said_before_anything_is_read(
    typed: str, message: str, lab: Path
) -> None:
    with pytest.raises(UserError) as raised:
        labs.check_calls(check_config(plain(*typed.split())))
    assert message in str(raised.value)


def test_what_a_class_takes(lab: Path) -> None:
    (lab / "one_lab" / "net.py").write_text("class MyNet:\n    def __init__(self, **more): ...\n")
    for typed in (
        "model._target_=one_lab.net.MyNet +model.anything=1",
        "optimizer._target_=torch.optim.Adagrad +optimizer.lr_decay=0.1",
        "loss._target_=torch.nn.MultiMarginLoss +loss.p=2",
    ):
        labs.check_calls(check_config(plain(*typed.split())))


@pytest.mark.parametrize("group", ["aug", "callbacks", "metrics", "model"])
def test_an_option_of_a_lab_is_among_those_that_are_allowed(group: str, lab: Path, train) -> None:
    done = train(f"{group}=[one_lib]" if group in ("aug", "callbacks") else f"{group}=one_lib")
    assert done.returncode == 2
    assert f"{group}=one_lib: no such option; did you mean one_lab?" in done.stderr


def test_a_metric_is_refused_before_training(lab: Path, train, cache: Path, tmp_path: Path) -> None:
    typed = ("experiment=one_lab", "+metrics.acc._target_=one_lab.metric.AmongFirst")
    done = train(*typed, f"data.cache_dir={cache}", "data.source.count=200", "trainer=cpu")
    assert done.returncode == 2 and "metrics.acc: a name that is taken" in done.stderr
    assert "epoch" not in done.stdout


def test_an_error_in_the_users_code_is_shown_as_it_is(lab: Path) -> None:
    (lab / "one_lab" / "net.py").write_text("import no_such_module_here")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_here"):
        labs.locate({"_target_": "one_lab.net.MyNet"})
    (lab / "one_lab" / "loss.py").write_text("1 / 0")
    with pytest.raises(ZeroDivisionError):
        labs.locate({"_target_": "one_lab.loss.MyLoss"})


def test_a_strangers_folder_brings_no_code(
    trained: Path, tmp_path: Path, monkeypatch, capfd
) -> None:
    """Neither what lies in it, nor what it says, nor where the user stands makes a lab."""
    from tests.conftest import without_sums
    from tests.test_trust import into_checkpoint

    run = without_sums(shutil.copytree(trained, tmp_path / "run"))
    evil(run)
    into_checkpoint(run / "checkpoints" / "best.ckpt", {"_target_": "evil_lab.net.Net"})
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"] = {"_target_": "evil_lab.Net"}
    config["code"] = {"places": {"evil_lab": str(run / "evil_lab")}, "hashes": {"evil_lab": "0"}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir(run)
    monkeypatch.syspath_prepend(str(run))  # as a notebook that was started there has it
    with pytest.raises(UserError, match="evil_lab.net.Net: not a class that a run may name"):
        cifarlab.load(run)
    with pytest.raises(UserError, match="not a class that a run may name.*scripts/new.py"):
        check_trusted(config, run)
    assert Run.read(run).record and not (run / MARK).exists()


def test_the_users_lab_is_not_replaced_by_one_of_its_name(
    lab: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.syspath_prepend(str(evil(tmp_path / "stranger", "one_lab")))
    with pytest.raises(UserError, match="one_lab of your lab .* is hidden by"):
        check_trusted({"_target_": "one_lab.net.MyNet"}, tmp_path)
    assert not (tmp_path / "stranger" / MARK).exists()


@pytest.mark.parametrize(
    "target",
    [
        "one_lab.net.nn.Linear",
        "one_lab.data.np.load",
        "one_lab.data.Images",
        "one_lab.net.MyNet.load_state_dict",
        "one_lab.nothing.Net",
        "one_lab",
        "one_labx.net.MyNet",
    ],
)
def test_of_a_lab_only_what_it_defines(target: str, lab: Path, tmp_path: Path) -> None:
    check_trusted({"a": {"_target_": "one_lab.net.MyNet"}}, tmp_path)
    with pytest.raises(UserError):
        check_trusted({"_target_": target}, tmp_path)


def test_the_list(lab: Path, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(UserError, match="CIFARLAB_LABS is set"):
        labs.add(lab)
    monkeypatch.delenv(labs.VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    assert labs.labs() == []
    labs.add(lab)
    labs.add(lab)
    assert [each.folder for each in labs.labs()] == [lab]
    other = shutil.copytree(lab, tmp_path / "other")
    labs.add(other)
    with pytest.raises(
        UserError, match=r"one_lab.yaml: hides .*one_lab.yaml; give it another name"
    ):
        labs.check_options(TEMPLATE / "conf")
    labs.remove(lab)
    assert [each.folder for each in labs.labs()] == [other]
    with pytest.raises(UserError, match="not among your labs"):
        labs.remove(lab)


@pytest.mark.parametrize("name", ["torch", "Lab", "1lab", "baseline"])
def test_names_that_a_lab_cannot_have(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="take another name|no name for a package"):
        make(tmp_path / name)
    assert not (tmp_path / name).exists()


def test_the_template_has_its_name_everywhere(lab: Path) -> None:
    files = [path for path in lab.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert len(files) == 15
    assert not any(NAME in path.read_text() or NAME in str(path) for path in files)
