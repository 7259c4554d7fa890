"""``python train.py -m hydra/sweeper=optuna``: values chosen by Optuna, cell by cell."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep
from hydra.core.utils import JobReturn

from cifarlab.base.config import RunConfig
from cifarlab.base.errors import UserError
from cifarlab.base.kinds import Count
from cifarlab.base.schema import Key
from cifarlab.store.record import config_hash
from hydra_plugins.cifarlab_sweeper.grid import GridSweeper, plan, sweep_name, values_of
from hydra_plugins.cifarlab_sweeper.study import swept_study

# What a search must not choose: its best would be the luckiest, not a better one
_LUCK = ("seed", "data.split_seed", "data.fold", "data.folds", "data.split", "data.val_size")


class SearchSweeper(GridSweeper):
    """Searches for the best validation accuracy; the same command, typed again, goes on with it.

    The swept values make the space: ``a,b,c`` and ``choice()`` are options, ``interval(low, high)``
    is any number in between, ``range(start, stop, step)`` one of a list; ``tag(log, interval())``
    is on a logarithmic scale, ``int(interval())`` a whole number. The folder holds ``n_trials``
    cells; a larger number adds cells. With another space, or another default of what is not
    searched, the search is another study of Optuna's in the same folder.

    Args:
        n_trials: how many cells the search has, with those of earlier calls.
        sampler, pruner: Optuna's, with ``_target_``; each cell makes its own.
        params: values by key, in the grammar of overrides; ``search=...`` sets them. What is typed
            replaces them; a single value is not searched but set.
        study: this sweeper sets it for its cells.
    """

    def __init__(
        self,
        n_trials: int,
        sampler: Mapping[str, Any],
        pruner: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,
        study: str | None = None,
    ) -> None:
        super().__init__()
        Key("hydra.sweeper.n_trials", n_trials, Count).check()
        self.n_trials, self.params = n_trials, params or {}

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        from cifarlab.sweep.search import begin_study  # Optuna takes half a second to import

        assert self.config is not None
        typed = self._parse(arguments)
        if swept_study(self.config, typed):
            raise UserError("hydra/sweeper=optuna: searches no study; leave study and ablation out")
        overrides = self._with_params(typed)
        swept = {key: o for key, o in overrides.items() if o.is_sweep_override()}
        if not swept:
            raise UserError(
                "hydra/sweeper=optuna: nothing to search; add search=[optimizer,dropout]"
            )
        space = {key: distribution(override) for key, override in swept.items()}
        fixed = [text(o) for key, o in overrides.items() if key not in swept]
        config = self._check(fixed, swept)
        described = {key: repr(distribution) for key, distribution in space.items()}
        study = config_hash(config | {"search space": described})[:8]
        folder = self._settle(f"search__{sweep_name(typed)}")
        cells = {f"{i:03}_{study}": fixed for i in range(self.n_trials)}
        if self.config.dry_run:
            return self._tell(folder, cells)
        plan(folder, cells, fresh=self.config.fresh)  # refuses what another process trains
        begin_study(folder, study, space, fresh=self.config.fresh)
        self.more = [f"hydra.sweeper.study='{study}'"]
        return self._run(folder, cells)

    def _with_params(self, typed: dict[str, Override]) -> dict[str, Override]:
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        lines = [f"{key}={value}" for key, value in self.params.items()]
        given = {o.get_key_element(): o for o in parser.parse_overrides(lines)}
        overrides = given | typed
        for key, override in overrides.items():
            if key in _LUCK and override.is_sweep_override():
                raise UserError(
                    f"{override.input_line}: a search would choose the luckiest; repeat its best "
                    f"with several afterwards"
                )
            if key == "search" and override.is_sweep_override():
                raise UserError(f"{override.input_line}: several spaces are a list, search=[a,b]")
        return overrides

    def _check(self, fixed: list[str], swept: Mapping[str, Override]) -> RunConfig:
        """Compose and check every option, with the first one of all other keys; returns the
        configuration that has only first ones."""
        options = {key: examples(override) for key, override in swept.items()}
        first = {key: values[0] for key, values in options.items()}
        for key, values in options.items():
            for value in values[1:]:
                self._compose([*fixed, *(f"{k}={v}" for k, v in (first | {key: value}).items())])
        return self._compose([*fixed, *(f"{key}={value}" for key, value in first.items())])


def distribution(override: Override) -> Any:
    """Optuna's distribution for a swept override.

    Raises ``UserError`` if it is empty or impossible.
    """
    from optuna import distributions

    if override.is_discrete_sweep():
        values_of(override)
    value = override.value()
    tags = value.tags if isinstance(value, Sweep) else set()
    log = "log" in tags
    if tags - {"log"}:
        raise UserError(f"{override.input_line}: the only tag is log: tag(log,interval(low,high))")
    try:
        if isinstance(value, IntervalSweep):
            low, high = value.start, value.end
            assert low is not None and high is not None
            if isinstance(low, int) and isinstance(high, int):  # cast by int()
                return distributions.IntDistribution(low, high, log=log)
            return distributions.FloatDistribution(float(low), float(high), log=log)
        if isinstance(value, RangeSweep):
            numbers = list(value.range())
            low, high, step = numbers[0], numbers[-1], value.step
            if isinstance(low, int) and isinstance(step, int):
                return distributions.IntDistribution(low, high, step=step)
            return distributions.FloatDistribution(float(low), float(high), step=float(step))
        return distributions.CategoricalDistribution(list(override.sweep_string_iterator()))
    except (ValueError, IndexError) as error:
        raise UserError(f"{override.input_line}: {error}") from error


def examples(override: Override) -> list[str]:
    """The values of a swept override to check: all options, or the two ends of a range."""
    if override.is_choice_sweep():
        return list(override.sweep_string_iterator())
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    numbers = list(override.sweep_string_iterator())
    return [numbers[0], numbers[-1]]


def text(override: Override) -> str:
    """An override that is not swept, as one would type it."""
    if override.is_delete():
        return override.get_key_element()
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"
