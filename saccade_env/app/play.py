"""The second tab: a person looks, and is scored beside the policies; a small experiment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from saccade_env import core
from saccade_env.app import trial as trials
from saccade_env.app import widgets
from saccade_env.app.fixation_file import FixationFile
from saccade_env.app.settings import Settings
from saccade_env.app.studio import Studio
from saccade_env.app.trial import Score, Trial, Visit
from saccade_env.app.watch import QUEUE
from saccade_env.drawing.scanpaths import Run

CEILING = "the label"
_SHOWN = 4  # scanpaths beside each other
_HOW = """A picture is hidden. Choose where to look, by mouse, touch or keyboard: each look reveals
{fovea}×{fovea} tokens, and the classifier says what it believes. You have {saccades} looks{timer},
and may stop before. The score is the certainty, from 0 to 100, if the belief is right, else 0."""
_CONSENT = """Record where I look, for research. Written down are the picture's name, the places and
times of your looks, what the classifier said, and a name drawn at random for this visit; no
picture, no address, nothing that says who you are."""
_ENDED = {"budget": "All looks are used.", "stop": "You stopped.", "time": "The time is over."}


def tab(studio: Studio, settings: Settings) -> None:
    """Draw the tab."""
    file = FixationFile(settings.fixations) if settings.fixations else None
    usual, classifier = studio.config, studio.classifiers[0]
    order = trials.ordered(studio.source, settings.listed, settings.trials, settings.seed)
    visitor = gr.State(lambda: trials.visit(order), time_to_live=4 * 3600)
    finished = gr.State(0)
    timer = f" and {settings.timer:g} seconds a picture" if settings.timer else ""
    with gr.Row():
        with gr.Column(scale=1, min_width=300):
            gr.Markdown(_HOW.format(fovea=usual.fovea, saccades=usual.max_saccades, timer=timer))
            consent = gr.Checkbox(False, label=_CONSENT, visible=file is not None)
            with gr.Row():
                go = gr.Button("Begin", variant="primary", elem_id="play-go")
                halt = gr.Button("Stop here", elem_id="play-stop")
            said = widgets.html(
                widgets.status(f"{len(order)} pictures wait, in an order of their own.")
            )
            belief = widgets.html("", elem_id="play-belief")
        with gr.Column(scale=2, min_width=320):
            board = widgets.board(elem_id="play-board")
            scores = widgets.html("", elem_id="play-scores")
            shown = widgets.player('at="last"', elem_id="play-player")

    def state_of(visit: Visit, words: str = "") -> list[Any]:
        trial = visit.trial
        if trial is None:
            words = "That was the last picture. Thank you! Reload the page for another round."
            return [visit, None, "", widgets.status(words), gr.skip()]
        told = words or _ENDED.get(trial.ended, f"Picture {visit.done} of {len(visit.order)}.")
        over = visit.done if trial.ended else gr.skip()
        return [
            visit, _board(visit, trial), _belief(studio, trial), widgets.status(told), over,
        ]  # fmt: skip

    def end(visit: Visit, before: Trial, consents: bool) -> str:
        """Write a trial down that has just ended, if the person consents."""
        trial = visit.trial
        if trial is None or not trial.ended or before.ended:
            return ""
        if file is None or not consents or not trial.saccades:
            return _ENDED[trial.ended]
        file.add(trials.fixations(visit))
        return f"{_ENDED[trial.ended]} Your looks were recorded."

    @widgets.in_words
    def begin(visit: Visit) -> Iterator[Any]:
        fresh = trials.begin(studio, visit, classifier, settings.timer)
        yield [*state_of(fresh), "", None, gr.update(value="Next picture")]

    @widgets.in_words
    def look(visit: Visit, consents: bool, event: gr.EventData) -> Iterator[Any]:
        if visit.trial is None:
            raise ValueError("Press Begin first.")
        row, col = (widgets.field(event, name) for name in ("row", "col"))
        after = visit._replace(trial=trials.look(studio, visit.trial, row, col))
        yield state_of(after, end(after, visit.trial, consents))

    @widgets.in_words
    def stop(visit: Visit, consents: bool) -> Iterator[Any]:
        if visit.trial is None:
            raise ValueError("Press Begin first.")
        after = visit._replace(trial=trials.stop(visit.trial))
        yield state_of(after, end(after, visit.trial, consents))

    @widgets.in_words
    def compare(visit: Visit) -> Iterator[Any]:
        trial = visit.trial
        if trial is None or not trial.ended or not trial.saccades:
            return
        runs, whole = [trial.run], studio.whole(trial.asked, trial.run)
        yield _scores(studio, trial, runs, studio.names), gr.skip()
        for place, name in enumerate(studio.names):
            try:
                runs.append(studio.run(trial.asked, name))
            except ValueError:  # an oracle without a label, an agent for other tokens
                continue
            yield _scores(studio, trial, runs, studio.names[place + 1 :]), gr.skip()
        document = studio.scanpaths(trial.asked, _best(runs, trial.saccades), whole)
        yield _scores(studio, trial, runs, []), document

    outputs = [visitor, board, belief, said, finished]
    # A person must not wait for others' policies: a look is one forward.
    options: dict[str, Any] = {
        "show_progress": "hidden", "api_visibility": "private", "concurrency_limit": 1,
        "concurrency_id": "people",
    }  # fmt: skip
    comparing = finished.change(
        compare, visitor, [scores, shown], **{**options, "concurrency_id": QUEUE}
    )
    go.click(begin, visitor, [*outputs, scores, shown, go], cancels=comparing, **options)
    # Who is quick looks again before Gradio calls the last look done, which "once" would not hear.
    options["trigger_mode"] = "multiple"
    board.select(look, [visitor, consent], outputs, **options)
    gr.on([board.stop, halt.click], stop, [visitor, consent], outputs, **options)


def _board(visit: Visit, trial: Trial) -> dict[str, Any]:
    """What the board shows: of the picture, only what was looked at leaves this machine."""
    state = trial.states[-1]
    left = trial.config.max_saccades - trial.saccades
    share = float(core.visible_share(state.revealed)[0])
    return {
        "trial": visit.done,
        "picture": widgets.data_uri(trials.seen(trial)),
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
        [widgets.named(number, names), f"{share:.0%}"]
        for number, share in zip(best.tolist(), shares.tolist(), strict=True)
    ]
    caption = f"The classifier believes, with certainty {float(state.certainty[0]):.2f}"
    return widgets.table(caption, ["class", "probability"], rows)


def _best(runs: list[Run], after: int) -> list[Run]:
    """The person, the oracle, and those who did best beside them."""
    person, *others = runs
    ceilings = [run for run in others if run.sees == CEILING]
    rivals = sorted(
        (run for run in others if run.sees != CEILING),
        key=lambda run: -trials.score(run, after).score,
    )
    return [person, *ceilings, *rivals][:_SHOWN]


def _scores(studio: Studio, trial: Trial, runs: list[Run], waiting: list[str]) -> str:
    names = studio.class_names(trial.asked.classifier)
    found = [trials.score(run, trial.saccades) for run in runs]
    found = sorted(found, key=lambda one: -one.score)
    rows = [_row(one, names) for one in found] + [[name, "", "…", "", "", ""] for name in waiting]
    heads = ["who", "sees", "score", "right from", "believes", "certainty"]
    label = trial.asked.picture.label
    answer = "" if label is None else f"It is: {widgets.named(label, names)}. "
    looks = f"{trial.saccades} look{'s' * (trial.saccades != 1)}"
    return widgets.table(f"{answer}After {looks}", heads, rows)


def _row(one: Score, names: Any) -> list[str]:
    right = "" if one.right is None else str(one.first_right or "never")
    return [
        one.name, one.sees, f"{one.score:.0f}", right, widgets.named(one.prediction, names),
        f"{one.certainty:.2f}",
    ]  # fmt: skip
