"""What a trained net knows: ``python scripts/knows.py what=<question> run=<run folder>``."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError, nearest
from cifarlab.base.kinds import Count, Inside, Positive, Seed
from cifarlab.base.schema import Key

OF_TWO = ("differences", "cka", "disagreements")
KINDS = {
    "images": Count,
    "alpha": Inside,
    "show": Count,
    "patch": Count,
    "stride": Count,
    "steps": Count,
    "span": Positive,
    "seed": Seed,
}


@cli.app(Path(__file__).parents[1] / "conf", "knows")
def main(cfg: DictConfig) -> None:
    what, paths = str(cfg.what), cli.several(cfg.run)
    if what not in QUESTIONS:
        raise UserError(f"what={what}: no such question; {nearest(what, QUESTIONS)}")
    if (cfg.other is not None) != (what in OF_TWO):
        raise UserError(
            f"what={what}: is about two runs; add other=<run folder>"
            if cfg.other is None
            else f"other={cfg.other}: what={what} is about one; leave it out"
        )
    if what != "audit" and len(paths) > 1:
        raise UserError(f"what={what}: takes one run=<run folder>, not {len(paths)}")
    for key, kind in KINDS.items():
        Key(key, cfg[key], kind).check()
    folders = [Path(path) for path in (*paths, *([str(cfg.other)] if cfg.other else []))]
    with cli.quick_imports():
        from cifarlab.report.knows.common import default_folder
    out = default_folder(what, folders) if cfg.out is None else Path(str(cfg.out))
    print(QUESTIONS[what](cfg, folders, out))


def conformal(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.conformal import write_conformal
    from cifarlab.store.run import Run

    return write_conformal(Run.finished(folders[0]), cfg.alpha, out)


def differences(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.differences import write_differences

    return write_differences(folders, out)


def embeddings(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.embeddings import write_embeddings
    from cifarlab.store.run import Run

    return write_embeddings(Run.finished(folders[0]), cfg.method, cfg.images, cfg.seed, out)


def similarity(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.similarity import write_similarity

    return write_similarity(folders, cfg.images, out)


def disagreements(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.disagreements import write_disagreements

    return write_disagreements(folders, cfg.images, cfg.show, cfg.patch, cfg.stride, out)


def landscape(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.landscape import write_landscape
    from cifarlab.store.run import Run

    run = Run.finished(folders[0])
    return write_landscape(run, cfg.images, cfg.steps, cfg.span, cfg.seed, out)


def audit(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.compare.selection import find_runs
    from cifarlab.report.knows.audit import write_audit

    found = [run for folder in folders for run in find_runs("run", str(folder))]
    runs = list({run.folder: run for run in found if run.record}.values())
    return write_audit(runs, cfg.show, out)


def data_map(cfg: DictConfig, folders: list[Path], out: Path) -> str:
    from cifarlab.report.knows.data_map import write_data_map
    from cifarlab.store.run import Run

    return write_data_map(Run.finished(folders[0]), cfg.show, out)


QUESTIONS: dict[str, Callable[[DictConfig, list[Path], Path], str]] = {
    "conformal": conformal,
    "differences": differences,
    "embeddings": embeddings,
    "cka": similarity,
    "disagreements": disagreements,
    "landscape": landscape,
    "audit": audit,
    "data_map": data_map,
}


if __name__ == "__main__":
    main()
