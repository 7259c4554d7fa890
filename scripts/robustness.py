"""How right nets are on corrupted images: ``python scripts/robustness.py run=<runs>``."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.kinds import Count, Seed
from cifarlab.base.reading import named_path
from cifarlab.base.schema import Key


@cli.app(Path(__file__).parents[1] / "conf", "robustness")
def main(cfg: DictConfig) -> None:
    Key("images", cfg.images, Count | None).check()
    Key("seed", cfg.seed, Seed).check()
    source = None if cfg.source is None else named_path("source", cfg.source)
    from cifarlab.report.compare.selection import finished_runs, labels

    runs = finished_runs("run", cli.several(cfg.run))
    with cli.quick_imports():
        from cifarlab.report.robustness import write_new_test, write_robustness
        from cifarlab.store.checkpoint import load_run
        from cifarlab.use.robustness import chosen, on_new_test
    asked = [None if key is None else cli.several(key) for key in (cfg.corruptions, cfg.severities)]
    names, severities = chosen(*asked)
    if source is not None and source.suffix == ".npy":
        new = [on_new_test(load_run(run.folder), source) for run in runs]
        print(write_new_test(labels(runs), runs, new, source, Path(cfg.out)))
        return
    found = [measured(run, names, severities, cfg, source) for run in runs]
    print(write_robustness(labels(runs), runs, found, Path(cfg.out), source))


def measured(
    run: Any, names: Sequence[str], severities: Sequence[int], cfg: DictConfig, source: Path | None
) -> Any:
    """Of one run; all corruptions of all its test images are kept in its folder, and taken from
    there the next time."""
    from tqdm import tqdm

    from cifarlab.store.checkpoint import load_run
    from cifarlab.use.robustness import is_complete, measure

    log = logging.getLogger("cifarlab")
    is_whole = is_complete(names, severities) and source is None and cfg.images is None
    if is_whole and run.robustness and run.robustness.seed == cfg.seed:
        log.info("%s: measured before", run.folder)
        return run.robustness

    def progress(cells: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
        with tqdm([*cells], desc=run.name, disable=None, leave=False) as bar:
            for name, severity in bar:
                bar.set_postfix_str(f"{name} {severity}")
                yield name, severity

    found = measure(load_run(run.folder), names, severities, cfg.images, cfg.seed, source, progress)
    log.info(
        "%s: %.2f %% of %s corrupted images right",
        run.folder,
        100 * found.corrupt_acc,
        f"{found.images:,}",
    )
    if is_whole:
        try:
            found.save(run.folder)
        except OSError as error:
            log.warning("not kept in %s: %s", run.folder, error.strerror or error)
    return found


if __name__ == "__main__":
    main()
