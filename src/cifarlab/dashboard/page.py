"""The dashboard: what is trained below a folder, as it is trained."""

import functools
import html
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from cifarlab.base.errors import UserError
from cifarlab.dashboard.watching import Seen, Watch, names
from cifarlab.figures.style import COLOURS, SPLITS
from cifarlab.report import evaluation
from cifarlab.report.document import Grid, Heading, Text, markdown, templates_of, to_html
from cifarlab.report.side_by_side import side_by_side, write_comparison
from cifarlab.report.sweep.page import overview
from cifarlab.report.sweep.results import collect, summarize
from cifarlab.store.record import CELLS
from cifarlab.store.run import FINISHED, Run
from cifarlab.use.predictor import Predictor, load
from cifarlab.use.web import Page, answer, heat, upload

_SECONDS = 2  # between two looks at the folders
_MOST_FOLDERS = 5  # of single runs
_MOST_CURVES = 6
_FEW = 10  # epochs, of which each has its mark on the axis
_MOST_ASKED = 3  # runs that are asked about an image
_GREY = "#4a4a4a"  # of COLOURS; hardly seen where the page is dark
_HOW = (
    "Tick runs to draw their curves. Of one that is finished the page then shows its mistakes, of "
    "several what they disagree on, and all of them answer to an image of yours."
)
_DRAWS = (
    "Each run is one draw: whether settings differ is asked over seeds, by `scripts/compare.py`. "
    "`scripts/report.py path=[<run>,<run>]` keeps the page below, with disagreements.csv."
)
_TICKS = """
element.addEventListener('change', ({target}) => {
  trigger('input', {run: target.value, on: target.checked});
});
"""
_FRAME = """
const show = () => {
  const frame = element.querySelector('iframe');
  if (!frame) return;
  const fit = () => {
    const page = frame.contentDocument && frame.contentDocument.body;
    if (page) frame.style.height = `${page.getBoundingClientRect().height + 64}px`;
  };
  frame.addEventListener('load', fit);
  new ResizeObserver(fit).observe(frame);
};
show();
watch('value', show);
"""
_FRAME_CSS = "iframe { width: 100%; border: 0; height: 60rem; }"
_TEMPLATES = templates_of("cifarlab.dashboard")
_PANELS = {"acc": "accuracy", "loss": "cross-entropy (nats)"}
_TONES = {"running": "live", "failed": "bad", "damaged": "bad"}
Line = tuple[int, float, str]  # epoch, value, what the line is of


def first_folders(there: Mapping[str, Path]) -> list[str]:
    """The names of the folders that are shown until others are chosen: the sweep in which something
    happened last, or, if that was no sweep, all latest folders that are none."""
    single = [name for name, folder in there.items() if not (folder / CELLS).is_file()]
    latest = list(there)[:1]
    return single[:_MOST_FOLDERS] if latest == single[:1] else latest


def runs_table(seen: Sequence[Seen], ticked: Sequence[str], root: Path) -> str:
    """The runs as an HTML table with a box to tick in each row. ticked: keys of runs."""
    rows = [
        {
            "key": each.key,
            "name": name,
            "ticked": each.key in ticked,
            "can_be_ticked": bool(each.epochs),
            "status": each.run.status,
            "tone": "good" if each.run.status in FINISHED else _TONES.get(each.run.status, "open"),
            "epoch": f"{each.last_epoch}/{each.max_epochs or '?'}" if each.max_epochs else "",
            "val": f"{each.val_acc:.2%}" if each.best or each.run.record else "",
            "test": f"{each.run.measure('test_acc'):.2%}" if each.run.record else "",
            "time": each.time,
            "reason": each.run.reason,
        }
        for each, name in zip(seen, names(seen), strict=True)
    ]
    return _TEMPLATES.get_template("runs.html.j2").render(rows=rows, root=root)


def curves(seen: Sequence[Seen], ticked: Sequence[str]) -> dict[str, list[Line]]:
    """The lines of the two panels, ``acc`` and ``loss``: of the ticked runs, else of the first.

    Of up to two runs training is drawn, too, else validation alone.
    """
    short = names(seen, values_only=True)
    with_epochs = [(each, name) for each, name in zip(seen, short, strict=True) if each.epochs]
    chosen = [(each, name) for each, name in with_epochs if each.key in ticked] or with_epochs
    chosen = chosen[:_MOST_CURVES]
    many = len(chosen) > 1
    splits = {"val": "validation", "train": "training"} if len(chosen) < 3 else {"val": ""}
    return {
        metric: [
            (int(row["epoch"]), row[f"{split}_{metric}"], f"{word} {name if many else ''}".strip())
            for each, name in chosen
            for split, word in splits.items()
            for row in each.epochs
        ]
        for metric in ("acc", "loss")
    }


def sweep_text(folder: Path) -> str:
    """What can be said of a sweep so far, as Markdown: the table of its settings, and whether the
    first is better than the others."""
    results = collect(folder)
    blocks = overview(results, summarize(results))
    return markdown(list(itertools.takewhile(lambda b: not isinstance(b, Heading), blocks)))


def runs_page(folders: Sequence[Path]) -> str:
    """An HTML page about a finished run, or about several side by side. Nothing is written into
    their folders. What speaks against it, such as a damaged file, is on the page."""
    try:
        if len(folders) == 1:
            run = Run.finished(folders[0])
            found = evaluation.evaluate(run.answers)
            sheet = evaluation.make_sheet(run, found)
            blocks = [Grid.of(side_by_side([run])), *evaluation.blocks(run, found, sheet)]
            return to_html(run.result.title, blocks)
        with tempfile.TemporaryDirectory() as out:
            write_comparison(folders, Path(out))
            return (Path(out) / "report.html").read_text(encoding="utf-8")
    except UserError as error:
        return to_html("Not to be shown", [Text(str(error), tone="warn")])


def dashboard(watch: Watch, device: str) -> Page:
    """The dashboard of the runs that ``watch`` finds; it looks again every two seconds.

    device: where nets answer, as for ``cifarlab.load``.
    """

    @functools.lru_cache(maxsize=_MOST_ASKED)
    def net(folder: str, written: float) -> Predictor:
        return load(folder, device=device)

    def page(gradio: Any) -> None:
        def look(chosen: list[str], ticked: list[str], shown: dict[str, Any]) -> list[Any]:
            """All that changed since ``shown``; gradio's ``skip`` for the rest."""
            there = watch.folders()
            chosen = [name for name in chosen if name in there]
            first = first_folders(there)
            is_new = set(there) != set(shown.get("folders", [[]])[0])
            if not chosen or (is_new and chosen == shown.get("first")):
                chosen = first
            try:
                seen, said = watch.runs(chosen), watch.standing(chosen)
            except UserError as error:
                seen, said = [], str(error)
            finished = [each.run for each in seen if each.run.record]
            now: dict[str, Any] = {
                "folders": (list(there), chosen),
                "first": first,
                "said": said,
                "table": runs_table(seen, ticked, watch.root),
                "curves": curves(seen, ticked),
                "results": [(str(run.folder), run.written) for run in finished],
                "asked": [
                    (str(run.folder), run.written) for run in finished if str(run.folder) in ticked
                ],
            }
            changed = {key for key, value in now.items() if shown.get(key) != value}
            return [
                gradio.Dropdown(choices=list(there), value=chosen)
                if "folders" in changed
                else gradio.skip(),
                said if "said" in changed else gradio.skip(),
                now["table"] if "table" in changed else gradio.skip(),
                now["curves"] if "curves" in changed else gradio.skip(),
                _settings(there, chosen, bool(finished))
                if changed & {"folders", "results"}
                else gradio.skip(),
                now["asked"],
                now,
            ]

        def tick(
            chosen: list[str],
            ticked: list[str],
            shown: dict[str, Any],
            event: gradio.EventData,
        ) -> list[Any]:
            others = [key for key in ticked if key != event.run]
            now = [*others, event.run] if event.on else others
            return [*look(chosen, now, shown), now]

        def detail(asked: list[tuple[str, float]]) -> list[Any]:
            folders = [Path(folder) for folder, _ in asked]
            text = html.escape(runs_page(folders)) if folders else ""
            frame = f'<iframe title="report" sandbox="allow-same-origin" srcdoc="{text}"></iframe>'
            return [
                gradio.Column(visible=bool(folders)),
                _DRAWS if len(folders) > 1 else "",
                frame if folders else "",
            ]

        def react(path: str | None, asked: list[tuple[str, float]]) -> list[Any]:
            try:
                found: list[Any] = [
                    (Path(run[0]).name, answer(net(*run), path)) for run in asked[:_MOST_ASKED]
                ]
            except UserError as error:
                raise gradio.Error(str(error), print_exception=False) from None
            found += [("", (None, [None]))] * (_MOST_ASKED - len(found))
            return [
                gradio.Label(value=classes, label=name, visible=classes is not None)
                for name, (classes, _) in found
            ] + [
                gradio.Image(value=heats[0], visible=heats[0] is not None)
                for _, (_, heats) in found
            ]

        gradio.Markdown(f"### Runs below {html.escape(str(watch.root))}\n{_HOW}")
        folders = gradio.Dropdown([], label="Folders", multiselect=True)
        said = gradio.Markdown(line_breaks=True)
        table = gradio.HTML(
            css_template=files(__package__)
            .joinpath("templates/runs.css")
            .read_text(encoding="utf-8"),
            js_on_load=_TICKS,
            apply_default_css=False,
            label="Runs",
        )
        lines = gradio.State({})

        @gradio.render(inputs=lines, show_progress="hidden")  # a plot that is there keeps its lines
        def plots(lines: dict[str, list[Line]]) -> None:
            with gradio.Row():
                for metric, drawn in lines.items():
                    if drawn:
                        _plot(gradio, drawn, metric)

        settings = gradio.Markdown()
        with gradio.Column(visible=False) as details:
            draws = gradio.Markdown()
            with gradio.Row():
                image = upload(gradio)
                labels = [
                    gradio.Label(num_top_classes=5, visible=False, min_width=200)
                    for _ in range(_MOST_ASKED)
                ]
            heats = [heat(gradio) for _ in labels]
            frame = gradio.HTML(css_template=_FRAME_CSS, js_on_load=_FRAME)
        ticked, asked, shown = gradio.State([]), gradio.State([]), gradio.State({})
        looked = [folders, said, table, lines, settings, asked, shown]
        one = {"concurrency_id": "look", "concurrency_limit": 1, "show_progress": "hidden"}
        inputs = [folders, ticked, shown]
        gradio.Timer(_SECONDS).tick(look, inputs, looked, **one)
        gradio.on(
            [folders.input, gradio.context.Context.root_block.load], look, inputs, looked, **one
        )
        table.input(tick, inputs, [*looked, ticked], trigger_mode="multiple", **one)
        asked.change(detail, asked, [details, draws, frame]).then(
            react, [image, asked], [*labels, *heats]
        )
        image.change(react, [image, asked], [*labels, *heats])

    return page


def _plot(gradio: Any, lines: Sequence[Line], metric: str) -> Any:
    """A panel with a line for each name; gradio needs pandas for it."""
    import pandas

    epochs = sorted({line[0] for line in lines})
    few = len(epochs) <= _FEW  # an axis of numbers would have fractions between them
    shown = [(str(line[0]) if few else line[0], *line[1:]) for line in lines]
    palette = itertools.cycle(colour for colour in COLOURS if colour != _GREY)
    of = list(dict.fromkeys(line[2] for line in lines))
    return gradio.LinePlot(
        pandas.DataFrame(shown, columns=["epoch", metric, "run"]),
        x="epoch",
        y=metric,
        color="run",
        title=_PANELS[metric],
        sort=[str(epoch) for epoch in epochs] if few else None,
        y_axis_format=".0%" if metric == "acc" else None,
        y_title=" ",
        color_title=" ",
        color_map={name: SPLITS.get(name) or next(palette) for name in of},
        height=320,
        min_width=320,
    )


def _settings(there: dict[str, Path], chosen: Sequence[str], any_finished: bool) -> str:
    """``sweep_text`` of the one folder that is chosen, if it is a sweep."""
    if len(chosen) != 1 or not any_finished or not (there[chosen[0]] / CELLS).is_file():
        return ""
    return sweep_text(there[chosen[0]])
