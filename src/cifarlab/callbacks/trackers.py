"""Loggers beside TensorBoard: CSV, Weights & Biases, MLflow, Trackio.

Each writes on this machine unless its configuration says otherwise, asks nothing, and reports
nothing about itself. Their packages are imported when a run begins, not before.
"""

import contextlib
import json
import logging
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from cifarlab.base import seams

Status = Literal["finished", "failed", "interrupted"]
_SQLITE = "sqlite:///"
_SWITCHES = {  # set where the environment has nothing else; read when a package is imported
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # of a server that does not answer: 6 s, not 4 minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a logger is told of a run before it is trained.

    folder: of the run.
    name: the last two parts of it: ``baseline/2026-11-28_14-34-03-987433``, ``<sweep>/<cell>``.
    group: the name of the run's sweep; ``None`` for a run by itself.
    config: of the run, flat: ``{"optimizer.lr": 0.05, ...}``, lists as JSON.
    tags, notes: those of the configuration.
    """

    folder: Path
    name: str
    group: str | None
    config: Mapping[str, Any]
    tags: tuple[str, ...]
    notes: str | None

    @classmethod
    def of(cls, config: Mapping[str, Any], folder: Path, *, is_cell: bool) -> "Told":
        """config: of the run, plain. is_cell: whether the run is one of a sweep."""
        return cls(
            folder=folder,
            name=f"{folder.parent.name}/{folder.name}",
            group=folder.parent.name if is_cell else None,
            config=flat({key: value for key, value in config.items() if key != "logger"}),
            tags=tuple(str(tag) for tag in config.get("tags") or ()),
            notes=config.get("notes"),
        )


class Tracker:
    """A logger that is told of a run, of its epochs and of its end by ``Tracking``, which catches
    whatever it raises."""

    def begin(self, run: Told, known: str | None) -> str | None:
        """Begin the run, or go on with the one that an earlier session began.

        Returns by what the logger knows the run. If that is another than ``known``, or ``None``, it
        has none of the run's epochs.

        known: what the last call for this run has returned.
        """
        raise NotImplementedError

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Note figures by their names. step: optimizer steps until then."""
        raise NotImplementedError

    def log_final(self, figures: Mapping[str, float], step: int) -> None:
        """Note what came out of the run: ``final/test_acc``, ..."""
        self.log(figures, step)

    def end(self, status: Status) -> None:
        """Write out everything. A run that was interrupted may go on later, with ``begin``."""


class CSV(Tracker):
    """Lightning's ``CSVLogger``: ``csv/metrics.csv`` and ``csv/hparams.yaml`` in the run's folder,
    written anew by each session."""

    def begin(self, run: Told, known: str | None) -> None:
        from lightning.pytorch.loggers import CSVLogger

        for name in ("metrics.csv", "hparams.yaml"):
            (run.folder / "csv" / name).unlink(missing_ok=True)
        self.logger = CSVLogger(run.folder, name="csv", version="", flush_logs_every_n_steps=1)
        self.logger.log_hyperparams(dict(run.config))
        self.logger.save()

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.logger.log_metrics(dict(figures), step)
        self.logger.save()


class Wandb(Tracker):
    """Lightning's ``WandbLogger``. Figures of the machine, output, code and git are not sent.

    Args:
        project: of Weights & Biases.
        mode: ``offline`` writes ``wandb/offline-run-*`` in the run's folder, for ``wandb sync``;
            ``online`` sends as it is trained.
    """

    def __init__(
        self, project: str = "cifarlab", mode: Literal["offline", "online"] = "offline"
    ) -> None:
        self.project, self.mode = project, mode

    def begin(self, run: Told, known: str | None) -> str:
        _switch_off()
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        settings = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
            x_disable_stats=True,
            x_save_requirements=False,
            init_timeout=20,
            finish_timeout=60,  # for what is still to be sent; by default for ever
            finish_timeout_raises=True,
        )
        self.logger = WandbLogger(
            name=run.name,
            save_dir=run.folder,
            id=known or uuid.uuid4().hex[:8],
            project=self.project,
            mode=self.mode,
            group=run.group,
            tags=run.tags,
            notes=run.notes,
            settings=settings,
        )
        self.logger.log_hyperparams(dict(run.config))
        return str(self.logger.experiment.id)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.logger.log_metrics(figures, step)

    def log_final(self, figures: Mapping[str, float], step: int) -> None:
        self.logger.experiment.summary.update(dict(figures))

    def end(self, status: Status) -> None:
        codes: dict[Status, int] = {"finished": 0, "failed": 1, "interrupted": 130}
        self.logger.experiment.finish(exit_code=codes[status])


class MLflow(Tracker):
    """Lightning's ``MLFlowLogger``. A sweep is an experiment of its own, ``<project>/<sweep>``.

    Args:
        uri: of the store: ``sqlite:///<file>``, or ``http://...`` of a server.
        project: the experiment of runs by themselves.
    """

    def __init__(self, uri: str, project: str = "cifarlab") -> None:
        self.uri, self.project = uri, project

    def begin(self, run: Told, known: str | None) -> str:
        _switch_off()
        from lightning.pytorch.loggers import MLFlowLogger
        from mlflow.exceptions import MlflowException
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        experiment = f"{self.project}/{run.group}" if run.group else self.project
        with self._alone():
            client = MlflowClient(self.uri)
            if client.get_experiment_by_name(experiment) is None:
                client.create_experiment(experiment)
        try:
            known = known and client.get_run(known).info.run_id
        except MlflowException:  # of another store
            known = None
        tags = {"tags": ", ".join(run.tags), "mlflow.note.content": run.notes, "sweep": run.group}
        self.logger = MLFlowLogger(
            experiment_name=experiment,
            run_name=run.name,
            tracking_uri=self.uri,
            tags={key: value for key, value in tags.items() if value},
            run_id=known,
        )
        identity = str(self.logger.run_id)
        if known is None:  # what it has of the configuration cannot be changed
            self.logger.log_hyperparams(dict(run.config))
        client.update_run(identity, status="RUNNING")
        return identity

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self.logger.log_metrics(figures, step)

    def end(self, status: Status) -> None:
        names: dict[Status, str] = {
            "finished": "FINISHED",
            "failed": "FAILED",
            "interrupted": "KILLED",
        }
        self.logger.experiment.set_terminated(self.logger.run_id, names[status])

    def _alone(self) -> FileLock | contextlib.nullcontext[None]:
        """While no other run of ours makes the tables of a store or the experiment."""
        if not self.uri.startswith(_SQLITE):
            return contextlib.nullcontext()
        folder = Path(self.uri.removeprefix(_SQLITE)).parent
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock")


class Trackio(Tracker):
    """Trackio's own functions. A run that failed or was interrupted gets an alert that says so.

    Args:
        dir: where trackio keeps what it is told, in this process for good.
        project: of trackio.
    """

    def __init__(self, dir: str, project: str = "cifarlab") -> None:
        self.dir, self.project = Path(dir), project

    def begin(self, run: Told, known: str | None) -> str:
        os.environ.setdefault("TRACKIO_DIR", str(self.dir.absolute()))
        _switch_off()
        import trackio

        seams.keep_trackio_local()
        self.run = trackio.init(
            self.project,
            name=run.name,
            group=run.group,
            config=dict(run.config),
            resume="allow" if known else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return str(self.run.id)

    def log(self, figures: Mapping[str, float], step: int) -> None:
        seams.log_to_trackio(self.run, figures, step)

    def end(self, status: Status) -> None:
        import trackio

        if status != "finished":
            bad = status == "failed"
            level = trackio.AlertLevel.ERROR if bad else trackio.AlertLevel.INFO
            self.run.alert(status, level=level)
        trackio.finish()


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"optimizer": {"lr": 0.1}}`` as ``{"optimizer.lr": 0.1}``, lists as JSON."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}.")
        else:
            found[path] = json.dumps(value) if isinstance(value, list) else value
    return found


def _switch_off() -> None:
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
