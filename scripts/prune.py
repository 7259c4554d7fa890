"""What a net is right on without its smallest weights: ``python scripts/prune.py run=<run>``."""

import json
from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.compose import plain


@cli.app(Path(__file__).parents[1] / "conf", "prune")
def main(cfg: DictConfig) -> None:
    asked = plain(cfg)
    given, chosen = asked["amount"], asked["chosen"]
    amounts = given if isinstance(given, list) else [given]
    with cli.quick_imports():
        import torch

        from cifarlab.report.smaller import write_pruning
        from cifarlab.store.checkpoint import load_run
        from cifarlab.store.files import write_atomic, written_whole
        from cifarlab.use.prune import check_amounts, measure, pruned, right_on

    check_amounts(amounts, chosen)
    loaded, out = load_run(str(asked["run"])), Path(str(asked["out"]))
    rows = [(p.amount, p.zeros, p.weights, p.right) for p in measure(loaded, amounts)]
    test = None
    if chosen is not None:
        net = pruned(loaded, chosen)
        out.mkdir(parents=True, exist_ok=True)
        with written_whole(out / "pruned.pt") as file:
            torch.save(net.state_dict(), file)
        noted = out / "pruned.json"
        reads = read_before(noted, loaded.record.test_reads) + 1
        about = {"run": str(asked["run"]), "amount": chosen, "test_reads": reads}
        # noted before it is read: a crash in between counts as a reading
        write_atomic(noted, json.dumps(about, indent=1) + "\n")
        before, after = (right_on(loaded, each, "test") for each in (pruned(loaded, 0.0), net))
        about |= {"test_acc_as_trained": float(before.mean()), "test_acc": float(after.mean())}
        write_atomic(noted, json.dumps(about, indent=1) + "\n")
        test = chosen, before, after, reads
    print(write_pruning(loaded.title, rows, test, out))
    if chosen is not None:
        print(out / "pruned.pt")


def read_before(path: Path, otherwise: int) -> int:
    """How often the test set was read for this net before."""
    try:
        return int(json.loads(path.read_text(encoding="utf-8"))["test_reads"])
    except (OSError, ValueError, KeyError, TypeError):
        return otherwise


if __name__ == "__main__":
    main()
