"""Finished runs as one: ``python scripts/ensemble.py runs=[<run>,<run>]``."""

from datetime import datetime
from pathlib import Path
from statistics import mean

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.checks import check_folder, check_name


@cli.app(Path(__file__).parents[1] / "conf", "ensemble")
def main(cfg: DictConfig) -> None:
    name, root = check_name("name", cfg.name), check_folder("output_root", cfg.output_root)
    with cli.quick_imports():
        from cifarlab.report.compare.selection import finished_runs
        from cifarlab.report.tables import markdown_table
        from cifarlab.run.ensemble import write_ensemble

    runs = finished_runs("runs", cli.several(cfg.runs))
    folder = root / "runs" / name / f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}"
    record = write_ensemble(runs, folder, name)
    measured = {str(run.folder): run.result.metrics for run in runs}
    splits = ("val", "test")
    rows = [(of, *(f"{m[s]['acc']:.2%}" for s in splits)) for of, m in measured.items()]
    means = (f"{mean(m[s]['acc'] for m in measured.values()):.2%}" for s in splits)
    together = (f"{record.metrics[s]['acc']:.2%}" for s in splits)
    rows += [("mean of the members", *means), ("together", *together)]
    print(markdown_table([("", *splits), *rows]))
    print(f"\n{len(runs)} members, {record.num_params:,} parameters\n{folder}")


if __name__ == "__main__":
    main()
