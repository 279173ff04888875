"""`saccade-env app`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade_env.cli.console import note
from saccade_env.cli.making import check_classifier, find, find_agents, find_policies, open_images
from saccade_env.cli.options import (
    POLICY,
    Device,
    Fovea,
    Images,
    Labels,
    Saccades,
)
from saccade_env.cli.root import app


@app.command(name="app")
def page(
    images: Images = None,
    labels: Labels = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Policy that may be chosen; repeat for several. {POLICY} Default: all policies "
            "and shipped agents that can run without a download, and the oracle.",
            show_default=False,
        ),
    ] = None,
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="Classifier that may be chosen, the usual one first; repeat for several. "
            "Default: 'auto', and all that work without a download.",
            show_default=False,
        ),
    ] = None,
    fovea: Fovea = 3,
    saccades: Saccades = 10,
    fixations: Annotated[
        Path | None,
        typer.Option(
            help="CSV file to which the fixations of people who consent are added; "
            "'saccade-env human' reads it.",
        ),
    ] = Path("saccade-runs/fixations.csv"),
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Offer people to record where they look.")
    ] = True,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--list",
            help="File with the ids of the pictures to look at, one a line, as in the records. "
            "Default: all of the images.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pictures a person looks at, at most. Default: all.", show_default=False
        ),
    ] = None,
    timer: Annotated[
        float | None,
        typer.Option(help="Seconds a picture may take. Default: no limit.", show_default=False),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0,
            max=2**32 - 1,
            help="Draws the order of the pictures in Play, and the random policy's saccades.",
        ),
    ] = 0,
    tab: Annotated[
        list[str] | None,
        typer.Option(
            help="Tab to show: watch, play or explain; repeat for several. An experiment shows "
            "play alone. Default: all.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is open to the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 7860,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="SACCADE_APP_PASSWORD",
            help="Ask visitors for it. Others on this machine do not see $SACCADE_APP_PASSWORD.",
            show_default=False,
        ),
    ] = None,
    device: Device = "cpu",
) -> None:
    """Open a page to watch scanpaths, to look for yourself, and to see what a saccade rests on.

    It is for this machine alone unless --host says otherwise, and asks no other machine for
    anything. Ctrl-C closes it.
    """
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError('the page needs gradio: pip install "saccade-env[app]"') from error
    from tqdm.auto import tqdm

    from saccade_env.app.fixation_file import check_fixation_file
    from saccade_env.app.serve import check_port, serve
    from saccade_env.app.settings import TABS, Settings
    from saccade_env.app.studio import ORACLE, Studio, offered
    from saccade_env.app.trial import ordered
    from saccade_env.config import SaccadeConfig

    lines = listed.read_text(encoding="utf-8").splitlines() if listed else None
    settings = Settings(
        tabs=tuple(tab) if tab else TABS,
        host=host,
        port=port,
        password=password,
        fixations=fixations if record else None,
        listed=None if lines is None else [line.strip() for line in lines if line.strip()],
        trials=trials,
        seed=seed,
        timer=timer,
    )
    if not settings.is_local and password is None:
        note(
            f"--host {host} without --password: everybody who can reach this machine can open the "
            "page, look at its images, and keep its processor busy"
        )
    for name in classifier or []:
        check_classifier(name)
    if settings.fixations:
        check_fixation_file(settings.fixations)
    check_port(host, port)
    found = find_policies(policy, seed, device)
    config = SaccadeConfig(fovea=fovea, max_saccades=saccades)
    source = open_images(images, labels)
    ordered(source, settings.listed, trials, seed)
    studio = Studio(source, offered(classifier), found, config, device)
    if not policy:
        studio.offer(find_agents(studio.opened(studio.classifiers[0]).judge, seed, device))
        studio.offer({ORACLE: find(ORACLE, seed, device)})
    for name in studio.classifiers:
        studio.opened(name)
    for name in tqdm(studio.names, desc="loading", unit="policy", disable=None):
        studio.warm_up(name)
    opened, address = serve(studio, settings, block=False)
    typer.echo(f"the page is open at {address} (Ctrl-C closes it)")
    if settings.fixations:
        typer.echo(f"fixations of people who consent are added to {settings.fixations}")
    try:
        opened.block_thread()
    finally:
        studio.close()
        opened.close(verbose=False)
