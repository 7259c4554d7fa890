"""The studies' open rows, their order, the queue that trains them, and what it tells."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Gt, Interval, doc

from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count
from cifarlab.base.schema import Key
from cifarlab.campaign.cost import Costs, Machine
from cifarlab.campaign.queue import Estimate, Queue, estimates, threads
from cifarlab.campaign.rows import Compose, Item, Waiting, open_items
from cifarlab.report.study.publish import gather, write_page
from cifarlab.report.study.results import ROW
from cifarlab.report.tables import markdown_table
from cifarlab.store.files import SUMS, written_whole
from cifarlab.store.lock import RunLock
from cifarlab.store.record import NEUTRAL_KEYS, RESULT, RunRecord, config_hash, is_finished
from cifarlab.store.run import Run
from cifarlab.store.sweep import Sweep
from cifarlab.studies.rows import key_of
from cifarlab.studies.schema import Study, of_config, parse_study

log = logging.getLogger("cifarlab")

# what the campaign itself says of every run: another value, and it would not find what it trained
_OWN = ("study", "seed", "sweep", "output_root", "resume", "fresh", "dry_run")
TRAINING_IMAGES = 50_000  # of CIFAR-10, before the split
_KINDS = {
    "hours": Annotated[float, Gt(0), doc("a number above 0")],
    "jobs": Count,
    "nice": Annotated[int, Interval(ge=0, le=19)],
    "device": Annotated[Literal["cpu", "gpu"], doc("cpu or gpu")],
    "dry_run": bool,
    "publish": bool,
}


class Campaign:
    """Trains the open rows of studies, as ``conf/campaign.yaml`` describes it.

    Args:
        options: that configuration, plain.
        names: of the studies.
        compose: makes a plain configuration of ``train.py`` from overrides.
        command: that starts ``train.py``.
        known: all studies that there are, for the page of what is published.

    Raises ``UserError`` for wrong options and for a device that this machine does not have.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        names: Sequence[str],
        compose: Compose,
        command: Sequence[str],
        known: Sequence[Study] = (),
    ) -> None:
        check_options(options)
        self.options, self.compose, self.command = options, compose, command
        self.known = known
        self.sweeps = Path(options["output_root"]) / "sweeps"
        self.published = Path(options["out"])
        self.seeds: list[int] = options["seeds"]
        self.jobs: int = options["jobs"]
        self.is_gpu = options["device"] == "gpu"
        self.typed: list[str] = options["overrides"]
        self.changes = [item for item in self.typed if key_of(item) not in NEUTRAL_KEYS]
        configs = {name: compose([f"study={name}"])["study"] for name in names}
        self.studies = [parse_study(of_config(name, found)) for name, found in configs.items()]
        self.folders = {study.id: self._folder(study.id) for study in self.studies}
        self.machine = self._machine()

    def run(self) -> None:
        """Show the plan, train until the time is up, and show what is left.

        Raises ``SystemExit``: 1 if a row failed, 128 and the signal's number if one stopped it.
        """
        log.info("reading %d studies and the runs that there are", len(self.studies))
        items, waiting = self._open()
        ordered = self._ordered(items)
        log.info("%s", self._plan(ordered, waiting))
        if self.options["dry_run"] or not ordered:
            return
        self._take_up_published(items)
        queue = Queue(
            self._command,
            Path(self.options["output_root"]) / "campaign",
            jobs=self.jobs,
            seconds=3600 * self.options["hours"],
            gpus=_gpus() if self.is_gpu else 0,
            nice=self.options["nice"],
        )
        queue.run([estimate.item for estimate in ordered], self._finished)
        self._publish()
        log.info("%s", self._left(queue))
        if queue.stopped is not None:
            raise SystemExit(128 + queue.stopped)
        if queue.failed:
            raise SystemExit(1)

    def _command(self, item: Item) -> list[str]:
        """The command of a sweep over the seeds of an item."""
        seeds = ",".join(map(str, item.seeds))
        own = [f"study={item.study}", f"study.only=[{item.row}]", f"seed={seeds}"]
        own += ["logger=none", f"output_root={self.options['output_root']}"]
        own += [f"sweep={self.folders[item.study].name}"] if self.changes else []
        return [*self.command, "-m", *own, *self.typed]

    def _folder(self, study: str) -> Path:
        """The folder of a study's sweep; another one if the runs differ from the study."""
        if not self.changes:
            return self.sweeps / study
        return self.sweeps / f"{study}__{config_hash({'overrides': self.changes})[:8]}"

    def _machine(self) -> Machine:
        from cifarlab.base.hardware import describe, find_device
        from cifarlab.run.build import precision

        trainer = self.compose(self.typed)["trainer"]
        if not self.is_gpu:
            trainer |= {"accelerator": "cpu"}
        device = find_device(trainer["accelerator"])
        if self.is_gpu and device.type == "cpu":
            raise UserError("device=gpu: there is none on this machine; device=cpu")
        described = describe(device, 1, precision(trainer["precision"], device))
        count = 0 if device.type == "cuda" else threads(self.jobs)
        return Machine(device.type, described["name"], described["precision"], count)

    def _take_up_published(self, items: Sequence[Item]) -> None:
        """Put published runs beside the sweep's own, so that they are not trained again.

        Neither those that cannot be read nor those of another recipe than the row has now, which is
        among the open ``items``: a sweep would take them for its own. A cell that is being trained
        is left alone.
        """
        open_ = {
            (*row, seed)
            for item in items
            for row in ((item.study, item.row), *item.twins)
            for seed in item.seeds
        }
        for study, folder in self.folders.items():
            for path in sorted((self.published / folder.name).glob("*/")):
                goal = folder / path.name
                if is_finished(goal) or not is_finished(path):
                    continue
                run = Run.read(path)
                if not run.record or not run.config:
                    continue
                if (study, run.value(ROW), run.record.seed) in open_:
                    continue
                lock = RunLock(goal)
                if lock.acquire():
                    try:
                        (goal / SUMS).unlink(missing_ok=True)  # of an interrupted one
                        all_but = shutil.ignore_patterns(RESULT)
                        shutil.copytree(path, goal, ignore=all_but, dirs_exist_ok=True)
                        with written_whole(goal / RESULT) as file:  # last: then it is finished
                            file.write((path / RESULT).read_bytes())
                    finally:
                        lock.release()

    def _open(self) -> tuple[list[Item], list[Waiting]]:
        def runs(study: Study) -> list[Run]:
            folder = self.folders[study.id]
            places = (folder, self.published / folder.name)
            return [cell for place in places if place.is_dir() for cell in Sweep.read(place).runs]

        return open_items(self.studies, runs, self.seeds, self.typed, self.compose)

    def _records(self) -> list[RunRecord]:
        """The records of all finished runs, published ones included, each once."""
        found = {}
        for above in (self.published, self.sweeps):
            for path in sorted(above.glob("*/*/result.json")):
                try:
                    found[path.parent.parent.name, path.parent.name] = RunRecord.load(path.parent)
                except UserError as error:
                    log.warning("%s", error)
        return list(found.values())

    def _ordered(self, items: Sequence[Item]) -> list[Estimate]:
        self.costs = Costs(self._records(), self.machine)
        return estimates(items, self.costs, _macs, TRAINING_IMAGES)

    def _finished(self, item: Item, waiting: Sequence[Item]) -> list[Item]:
        log.info("%s: ended", item.name)
        self._publish()
        first = [other for other in waiting if (other.study, other.row) in item.twins]
        rest = [other for other in waiting if other not in first]
        return [*first, *(estimate.item for estimate in self._ordered(rest))]

    def _publish(self) -> None:
        if not self.options["publish"] or not any(self.sweeps.glob(f"*/*/{RESULT}")):
            return
        names = {folder.name for folder in self.folders.values()}
        try:
            if new := gather(self.sweeps, self.published, names):
                page = write_page(self.published, self.known)
                log.info("%d new runs in %s, see %s", new, self.published, page)
        except (UserError, OSError) as error:  # such as a full disk: what is trained is kept
            log.warning("not published: %s", error)

    def _plan(self, ordered: Sequence[Estimate], waiting: Sequence[Waiting]) -> str:
        budget, at = self.options["hours"], 0.0
        rows = []
        for estimate in ordered:
            hours = estimate.seconds / 3600
            at += hours / self.jobs
            item = estimate.item
            also = ", ".join("/".join(twin) for twin in item.twins)
            rows.append(
                [
                    item.name + (f" (also {also})" if also else ""),
                    ",".join(map(str, item.seeds)),
                    f"{item.worth:g}",
                    f"{hours:.2f}",
                    f"{estimate.rate:.1f}",
                    f"{at:.2f}",
                    ""
                    if at <= budget
                    else "in part"
                    if at - hours / self.jobs < budget
                    else "later",
                ]
            )
        header = [
            "row",
            "seeds",
            "worth",
            "hours",
            "worth / hour",
            "done after h",
            f"hours={budget:g}",
        ]
        lines = [markdown_table([header, *rows])] if rows else ["nothing is open"]
        lines += [f"not here: {w.study}/{w.row}: needs {w.reason}" for w in waiting]
        return "\n".join(["", *lines, self._basis()])

    def _basis(self) -> str:
        m = self.machine
        on = f"{m.name}, {m.precision}" + (f", {m.threads} threads a run" if m.threads else "")
        if self.costs.is_measured:
            return f"hours: from the speeds of runs on {on}"
        return f"hours: from the speeds of runs on other machines; none yet on {on}"

    def _left(self, queue: Queue) -> str:
        items, _ = self._open()
        ordered = self._ordered(items)
        runs = sum(len(estimate.item.seeds) for estimate in ordered)
        hours = sum(estimate.seconds for estimate in ordered) / 3600 / self.jobs
        told = f"left: {runs} runs of {len(ordered)} rows, about {hours:.1f} h; {self._basis()}"
        if queue.failed:
            told += f"\nfailed: {', '.join(item.name for item in queue.failed)}"
        for item in queue.ended:
            if item.name in {other.name for other in items}:
                told += (
                    f"\n{item.name}: ended, and is still open: another process trains it, or in "
                    f"its place are finished runs of another version; see {queue.log_of(item)}"
                )
        return f"{told}\ntype the same command again to go on" if ordered else "nothing is left"


def _macs(item: Item) -> int:
    """The multiply-accumulates for an image of 32x32 pixels, from the net itself."""
    return _count_macs(json.dumps(item.config["model"]))


@cache
def _count_macs(model: str) -> int:
    """0 for a net that cannot be built: its rows will fail, and they alone."""
    from cifarlab.inspection import count_macs
    from cifarlab.store.checkpoint import build_net

    try:
        return count_macs(build_net(json.loads(model), 10, 32, pretrained=False), 32)
    except Exception as error:  # of code that may be the user's
        why = " ".join(str(error).split())
        log.warning("cost unknown, the net cannot be built: %s (%s)", model, why)
        return 0


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def check_options(options: Mapping[str, Any]) -> None:
    """Raise ``UserError`` for options of the wrong kind."""
    for key, kind in _KINDS.items():
        Key(key, options[key], kind).check()
    seeds = options["seeds"]
    good = isinstance(seeds, list) and seeds and len(set(seeds)) == len(seeds)
    if not good or not all(
        isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds
    ):
        raise UserError(f"seeds={seeds}: must be a list of different whole numbers, [0,1,2]")
    Key("studies", options["studies"], list[str] | None).check()
    if options["studies"] == []:
        raise UserError("studies=[]: must name a study; null: all")
    if not isinstance(options["overrides"], list):
        raise UserError(f"overrides={options['overrides']}: must be a list, overrides=[...]")
    for item in options["overrides"]:
        if not isinstance(item, str) or "=" not in item:
            raise UserError(f"overrides={item}: must be <key>=<value>")
        if key_of(item).partition(".")[0] in _OWN:
            raise UserError(f"overrides={item}: the campaign sets this itself; leave it out")
