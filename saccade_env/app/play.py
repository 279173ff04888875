"""The second tab: a person looks, and is scored beside the policies; a small experiment."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gradio as gr

from saccade_env import core
from saccade_env.app import trial as trials
from saccade_env.app import widgets
from saccade_env.app.fixation_file import FixationFile
from saccade_env.app.score import Score, score
from saccade_env.app.settings import Settings
from saccade_env.app.studio import Studio
from saccade_env.app.trial import Trial, Visit
from saccade_env.card import THE_LABEL
from saccade_env.drawing.frame import class_name
from saccade_env.drawing.scanpaths import Run

KEPT_VISIT = 4 * 3600  # seconds after which a visitor is forgotten
_SHOWN = 4  # scanpaths beside each other
_HOW = """A picture is hidden. Choose where to look, by mouse, touch or keyboard: each saccade
reveals {fovea}×{fovea} tokens, and the classifier says what it believes. You have {saccades}
saccades{timer}, and may stop before; to look at the same place again costs one. The score is the
certainty, from 0 to 100, if the belief is right, else 0."""
_CONSENT = """Record where I look, for research. For every picture that ends while this is ticked,
its name, the places and times of your fixations, what the classifier said, and a name drawn at
random for this visit are written down; no picture, no address, nothing that says who you are."""
_LAST = "That was the last picture. Thank you!"
_RECORDED = "Your fixations were recorded."
_WAITS = "Your fixations could not be recorded yet: please tell whoever runs this page."
_ENDED = {"budget": "All saccades are used.", "stop": "You stopped.", "time": "The time is over."}


class Playing:
    """What the tab's buttons and the board do."""

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self._studio, self._timer = studio, settings.timer
        self._classifier = studio.classifiers[0]
        self.file = _file(studio, settings)
        self.order = trials.ordered(studio.source, settings.listed, settings.trials, settings.seed)

    @widgets.in_words
    def begin(self, visit: Visit) -> Iterator[Any]:
        """The next picture; what was scored before is taken away."""
        if visit.trial is not None and not visit.trial.ended:
            raise ValueError("Stop here first.")
        fresh = trials.begin(self._studio, visit, self._classifier, self._timer)
        yield [*self._shown(fresh), "", None]

    @widgets.in_words
    def look(self, visit: Visit, consents: bool, event: gr.EventData) -> Iterator[Any]:
        """One saccade."""
        told = [widgets.field(event, name) for name in ("row", "col", "seconds")]
        yield self._after(visit, trials.look(self._studio, _running(visit), *told), consents)

    @widgets.in_words
    def stop(self, visit: Visit, consents: bool) -> Iterator[Any]:
        """The end, since the person says so or the time is over."""
        yield self._after(visit, trials.stop(_running(visit)), consents)

    @widgets.in_words
    def compare(self, visit: Visit) -> Iterator[Any]:
        """Scores of all policies on the same picture, one after the other; then the scanpaths."""
        studio, trial = self._studio, visit.trial
        if trial is None or not trial.ended or not trial.saccades:
            return
        runs, whole = [trial.run], studio.whole(trial.asked, trial.run)
        yield _scores(studio, trial, runs, studio.names), gr.skip()
        for place, name in enumerate(studio.names):
            with suppress(ValueError):  # an oracle without a label, an agent for other tokens
                for run in studio.running(trial.asked, name):
                    last = run
                    yield gr.skip(), gr.skip()  # here it may be stopped
                runs.append(last)
            yield _scores(studio, trial, runs, studio.names[place + 1 :]), gr.skip()
        document = studio.scanpaths(trial.asked, _best(runs, trial.saccades), whole)
        yield gr.skip(), document

    def _after(self, visit: Visit, trial: Trial, consents: bool) -> list[Any]:
        """What is shown after a look or the end, which is written down if the person consents."""
        before, after = _running(visit), visit._replace(trial=trial)
        words = ""
        if trial.ended and not before.ended and trial.saccades and consents and self.file:
            words = _RECORDED
            try:
                self.file.add(trials.fixations(after))
            except OSError as error:
                warnings.warn(f"fixations wait to be written: {error}", stacklevel=2)
                words = _WAITS
        return self._shown(after, words)

    def _shown(self, visit: Visit, words: str = "") -> list[Any]:
        """Visitor, board, belief, status, the number of a trial that has ended, and buttons."""
        trial = visit.trial
        if trial is None:
            off = gr.update(interactive=False)
            return [visit, None, "", widgets.status(_LAST), gr.skip(), off, off]
        told = _ENDED.get(trial.ended, f"Picture {visit.done} of {len(visit.order)}.")
        over = visit.done if trial.ended else gr.skip()
        shown = (_board(visit, trial), _belief(self._studio, trial))
        more = visit.done < len(visit.order)
        words = words if more or not trial.ended else f"{words} {_LAST}".strip()
        return [
            visit, *shown, widgets.status(f"{told} {words}".strip()), over,
            gr.update(value="Next picture", interactive=bool(trial.ended) and more),
            gr.update(interactive=not trial.ended),
        ]  # fmt: skip


def tab(studio: Studio, settings: Settings) -> None:
    """Draw the tab."""
    usual, does = studio.config, Playing(studio, settings)
    # A function of its own: Gradio copies what it is given, and with a method all that it holds.
    visitor = gr.State(lambda: trials.visit(does.order), time_to_live=KEPT_VISIT)
    finished = gr.State(0)
    timer = f" and {settings.timer:g} seconds a picture" if settings.timer else ""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            gr.Markdown(_HOW.format(fovea=usual.fovea, saccades=usual.max_saccades, timer=timer))
            consent = gr.Checkbox(False, label=_CONSENT, visible=does.file is not None)
            with gr.Row():
                go = gr.Button("Begin", variant="primary", elem_id="play-go")
                halt = gr.Button("Stop here", elem_id="play-stop", interactive=False)
            said = widgets.html(widgets.status(f"Pictures that wait: {len(does.order)}."))
        with gr.Column(scale=2, min_width=300):
            with gr.Row():
                with gr.Column(scale=3, min_width=300):
                    board = widgets.board(elem_id="play-board")
                with gr.Column(scale=2, min_width=180):
                    belief = widgets.html("", elem_id="play-belief")
            scores = widgets.html("", elem_id="play-scores")
            shown = widgets.player('at="last"', elem_id="play-player")
    outputs = [visitor, board, belief, said, finished, go, halt]
    comparing = finished.change(does.compare, visitor, [scores, shown], **widgets.WORK)
    begins = {"cancels": comparing, **widgets.PEOPLE}
    go.click(does.begin, visitor, [*outputs, scores, shown], **begins)
    # Who is quick looks again before Gradio calls the last look done, which "once" would not hear.
    quick = {**widgets.PEOPLE, "trigger_mode": "multiple"}
    board.select(does.look, [visitor, consent], outputs, **quick)
    gr.on([board.stop, halt.click], does.stop, [visitor, consent], outputs, **quick)


def _file(studio: Studio, settings: Settings) -> FixationFile | None:
    """Where fixations go, with what this page is; None if nothing is recorded."""
    if settings.fixations is None:
        return None
    shown = {name: getattr(settings, name) for name in ("trials", "seed", "timer", "listed")}
    return FixationFile(settings.fixations, {**studio.card, **shown})


def _running(visit: Visit) -> Trial:
    if visit.trial is None:
        raise ValueError("Press Begin first.")
    return visit.trial


def _board(visit: Visit, trial: Trial) -> dict[str, Any]:
    """What the board shows: of the picture, only what was looked at leaves this machine."""
    state = trial.states[-1]
    left = trial.config.max_saccades - trial.saccades
    share = float(core.visible_share(state.revealed)[0])
    return {
        "trial": visit.done,
        "picture": widgets.picture(trials.seen(trial)),
        "grid": list(trial.config.grid),
        "fovea": trial.config.fovea,
        "revealed": state.revealed[0].flatten().nonzero()[:, 0].tolist(),
        "fixations": state.fixations[0, : trial.saccades].tolist(),
        "left": left,
        "seconds": trial.left,
        "over": bool(trial.ended),
        "alt": f"Picture {visit.done}, hidden but for {share:.0%}",
    }


def _belief(studio: Studio, trial: Trial) -> str:
    """The five classes the classifier finds most likely now, and how certain it is."""
    state, names = trial.states[-1], studio.class_names(trial.asked.classifier)
    shares, best = state.logits[0].softmax(-1).topk(5)
    rows = [
        [class_name(number, names), f"{share:.0%}"]
        for number, share in zip(best.tolist(), shares.tolist(), strict=True)
    ]
    caption = f"The classifier believes, with certainty {float(state.certainty[0]):.2f}"
    return widgets.table(caption, ["class", "probability"], rows)


def _best(runs: list[Run], after: int) -> list[Run]:
    """The person, the oracle, and those who did best beside them."""
    person, *others = runs
    ceilings = [run for run in others if run.sees == THE_LABEL]
    rivals = sorted(
        (run for run in others if run.sees != THE_LABEL),
        key=lambda run: -score(run, after).score,
    )
    return [person, *ceilings, *rivals][:_SHOWN]


def _scores(studio: Studio, trial: Trial, runs: list[Run], waiting: list[str]) -> str:
    names = studio.class_names(trial.asked.classifier)
    found = [score(run, trial.saccades) for run in runs]
    found = sorted(found, key=lambda one: -one.score)
    rows = [_row(one, names) for one in found] + [[name, "", "…", "", "", ""] for name in waiting]
    heads = ["who", "sees", "score", "right from", "believes", "certainty"]
    label = trial.asked.picture.label
    answer = "" if label is None else f"It is: {class_name(label, names)}. "
    made = f"{trial.saccades} saccade{'s' * (trial.saccades != 1)}"
    return widgets.table(f"{answer}After {made}", heads, rows)


def _row(one: Score, names: Any) -> list[str]:
    right = "" if one.right is None else str(one.first_right or "never")
    return [
        one.name, one.sees, f"{one.score:.0f}", right, class_name(one.prediction, names),
        f"{one.certainty:.2f}",
    ]  # fmt: skip
