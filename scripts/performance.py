"""Write ``docs/performance.md`` and its figure from the files in ``docs/performance``:
``python scripts/performance.py``. A test tells when it was forgotten."""

import argparse
from pathlib import Path

from cifarlab.bench.page import page, panels, read, words
from cifarlab.figures import ratios

ROOT = Path(__file__).parents[1]
FOLDER, PAGE = ROOT / "docs" / "performance", ROOT / "docs" / "performance.md"


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    kept, text = read(FOLDER), words(FOLDER)
    PAGE.write_text(page(kept, text), encoding="utf-8")
    figure = ratios.draw(panels(kept, text), "ours / the other (logarithmic)")
    figure.savefig(FOLDER / "ratios.png", dpi=110)
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
