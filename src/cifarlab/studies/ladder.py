"""Ladders: the same ingredients added one at a time, and each left out of the whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from cifarlab.base.errors import UserError

MODES = ("cumulative", "leave_one_out", "both")
_KEYS = frozenset({"title", "source", "about", "base", "ingredients", "mode", "assumptions"})


def expand(name: str, plain: Mapping[str, Any]) -> dict[str, Any]:
    """The study that ``conf/ablation/<name>.yaml`` stands for, as a study's file would have it.

    An ingredient is a list of overrides that are added to those of the base. If two ingredients set
    the same key, the later one counts. In the mode ``cumulative``, the first row is ``base``, and
    each further row has one ingredient more, up to ``all``. In the mode ``leave_one_out`` there are
    ``all`` and a row ``without_<ingredient>`` for each ingredient. ``both`` has both.

    Raises ``UserError`` for an unknown mode, an unknown key and a ladder without ingredients.
    """
    where = f"ablation {name}"
    if unknown := set(plain) - _KEYS:
        raise UserError(f"{where}: {', '.join(sorted(unknown))}: no such key; {sorted(_KEYS)}")
    mode, ingredients = plain.get("mode", "both"), plain.get("ingredients") or {}
    if mode not in MODES:
        raise UserError(f"ablation.mode={mode}: must be one of {', '.join(MODES)}")
    if not ingredients:
        raise UserError(f"{where}: ingredients is empty")
    rows: list[dict[str, Any]] = []
    steps: list[dict[str, Any]] = []
    names = list(ingredients)
    if mode != "leave_one_out":
        rows.append({"id": "base", "overrides": []})
        for count, ingredient in enumerate(names, start=1):
            last = count == len(names)
            row: dict[str, Any] = {"id": "all" if last else f"plus_{ingredient}"}
            rows.append(row | {"overrides": _all(ingredients, names[:count])})
            steps.append(_step(row["id"], rows[-2]["id"], ingredient, removed=False))
    else:
        rows.append({"id": "all", "overrides": _all(ingredients, names)})
    if mode != "cumulative":
        for ingredient in names:
            rest = [other for other in names if other != ingredient]
            row = {"id": f"without_{ingredient}", "overrides": _all(ingredients, rest)}
            steps.append(_step(row["id"], "all", ingredient, removed=True))
            if rest == names[:-1] and mode == "both":  # the last rung but one is there already
                steps[-1]["row"] = f"plus_{rest[-1]}" if rest else "base"
            else:
                rows.append(row)
    return {
        "id": name,
        "title": plain.get("title") or name,
        "source": plain.get("source") or "ours",
        "about": plain.get("about") or "",
        "common": {"overrides": list(plain.get("base") or [])},
        "rows": rows,
        "assumptions": list(plain.get("assumptions") or []),
        "ladder": steps,
    }


def _all(ingredients: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[str]:
    return [override for name in names for override in ingredients[name]]


def _step(row: str, against: str, ingredient: str, *, removed: bool) -> dict[str, Any]:
    return {"row": row, "against": against, "ingredient": ingredient, "removed": removed}
