"""Two configurations compared: ``python scripts/compare.py a=<runs> b=<runs>``."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from cifarlab.base import cli
from cifarlab.base.errors import UserError


@cli.app(Path(__file__).parents[1] / "conf", "compare")
def main(cfg: DictConfig) -> None:
    if not isinstance(cfg.width, int | float) or not 0 < cfg.width < 1:
        raise UserError(
            f"width={cfg.width}: must be a fraction between 0 and 1; 0.005 is half a point"
        )
    from cifarlab.report.compare.selection import read_side
    from cifarlab.report.compare.write import folder_name, write_comparison

    where = listed(cfg.where)
    a = read_side("a", listed(cfg.a), [*where, *listed(cfg.where_a)])
    b = read_side("b", listed(cfg.b) or listed(cfg.a), [*where, *listed(cfg.where_b)])
    folder = Path(cfg.out or Path("outputs") / "comparisons" / folder_name(a, b))
    print(write_comparison(a, b, folder, cfg.width))


def listed(value: Any) -> list[str]:
    """One value or several, as a list."""
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, ListConfig) else [str(value)]


if __name__ == "__main__":
    main()
