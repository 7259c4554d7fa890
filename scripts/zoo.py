"""Nets of our own runs for others: ``python scripts/zoo.py get=<name>``."""

from pathlib import Path

from omegaconf import DictConfig

from cifarlab.base import cli
from cifarlab.base.compose import plain
from cifarlab.base.errors import UserError
from cifarlab.base.schema import Key


@cli.app(Path(__file__).parents[1] / "conf", "zoo")
def main(cfg: DictConfig) -> None:
    asked = plain(cfg)
    for key in ("publish", "get", "name", "source", "url"):
        Key(key, asked[key], str | None).check()
    if asked["publish"] and asked["get"]:
        raise UserError("publish and get: one of them")
    manifest = Path(asked["manifest"] or Path(__file__).parents[1] / "docs" / "zoo.json")
    out = Path(str(asked["out"]))
    with cli.quick_imports():
        from cifarlab.report.tables import markdown_table
        from cifarlab.store.checkpoint import load_run
        from cifarlab.use import zoo

    if asked["publish"]:
        if not asked["name"]:
            raise UserError("publish: needs name=<name>")
        zoo.check_name(asked["name"])
        loaded = load_run(asked["publish"])
        entry = zoo.publish(
            loaded, asked["name"], out, manifest, str(asked["licence"]), asked["url"]
        )
        print(f"{out / entry['file']}  {entry['bytes'] / 1e6:.1f} MB  sha256 {entry['sha256']}")
        print(f"entry {asked['name']} in {manifest}")
    elif asked["get"]:
        run = zoo.get(asked["get"], manifest, out, asked["source"])
        print(f"{run}\npython scripts/predict.py run={run} images=<pictures>")
    else:
        entries = zoo.read_manifest(manifest)
        print(markdown_table(zoo.table(entries)) if entries else f"{manifest}: no entries yet")


if __name__ == "__main__":
    main()
