"""Every command of the pages that trains, really run: on few drawn images, for two epochs."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cifarlab.store.record import RunRecord
from cifarlab.studies.rows import scaled
from hydra_plugins.cifarlab_sweeper.search import examples
from hydra_plugins.cifarlab_sweeper.search import text as as_text
from tests import programs
from tests.conftest import ROOT, plain
from tests.test_docs import _lab, commands  # noqa: F401  # the lab of who reads the pages

SMALL = [
    "data=synthetic", "data.num_train=80", "data.num_test=20", "batch_size=16", "trainer=cpu",
    "trainer.precision=32-true", "evaluation=false",
]  # fmt: skip
# What takes another run or a file, or is many runs, has tests of its own
OTHERS = (
    "resume=", "init_from=", "loss=distillation", "weights=", "model.weights=", "transfer=",
    "study=", "ablation=", "dry_run=", "fresh=", "experiment=transfer", "+trainer.max_steps=",
)  # fmt: skip
OF_SWEEPS = ("sweep=", "search=", "hydra/", "hydra.")
MINE = ("data=", "data.", "batch_size=", "trainer=", "trainer.", "evaluation=", "output_root=")


def small(command: list[str]) -> list[str]:
    """The command with the first of the values of every swept key, made small."""
    parser = OverridesParser.create()
    left_out = (*MINE, *OF_SWEEPS) if "-m" in command else MINE
    words = [word for word in command if word != "-m" and not word.startswith(left_out)]
    overrides = [parser.parse_override(word) for word in words]
    typed = [
        f"{o.get_key_element()}={examples(o)[0]}" if o.is_sweep_override() else as_text(o)
        for o in overrides
    ]
    config = plain(*typed, *SMALL)
    return [*typed, *SMALL, *scaled(config, min(1.0, 2 / config["max_epochs"]), [])]


def trains(command: list[str]) -> bool:
    return not any(word.startswith(OTHERS) for word in command)


@pytest.mark.parametrize("command", [c for c in commands() if trains(c)], ids=" ".join)
def test_commands_run(command: list[str], cache: Path, tmp_path: Path) -> None:
    typed = [*small(command), f"data.cache_dir={cache}", f"hydra.run.dir={tmp_path / 'run'}"]
    done = programs.run(ROOT / "train.py", *typed, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = RunRecord.load(tmp_path / "run")
    assert record.status in ("completed", "early_stopped", "target_reached"), record.status
