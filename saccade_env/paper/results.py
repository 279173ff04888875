"""What the paper's experiments found: plain tables, read by the parts that policies play.

A folder holds ``run.json`` (what was run), ``results.json`` (what the tables mean) and ``runs/``
with a folder of records a run. Whatever is missing is a :class:`NotRunError`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import FEWEST
from saccade_env.evaluation.metrics.tables import policies_of
from saccade_env.evaluation.records import MAP_ENTROPY
from saccade_env.evaluation.store import PARTS, RECORDS, read_whole
from saccade_env.files import read_object
from saccade_env.geometry import Grid
from saccade_env.registry import parse_spec

RESULTS, RUNS = "results.json", "runs"
# Parts that policies play in the paper; which policy plays each depends on the weights at hand.
ATTENTION, DEEP, CLASSICAL, RANDOM, CENTRE = (
    "attention", "deep saliency", "classical saliency", "random", "centre",
)  # fmt: skip
PAPERS = {ATTENTION: "dino", DEEP: "unisal", CLASSICAL: "gbvs", RANDOM: "random", CENTRE: "centre"}
ROLES = (ATTENTION, DEEP, CENTRE, CLASSICAL, RANDOM)  # best crop first, in the paper
PAIR = (ATTENTION, RANDOM)
FOVEA = 3  # tokens, of every experiment that names no other
MAIN, CROPS = "fovea 3", "crops"
SIZES = ("unisal 288x384", "unisal 224x384")  # the paper's share of a crop fits the first
SAMPLES = 2000  # of the bootstrap
_NAMES = {
    "dino": "DINO attention", "focus-attention": "Focus attention", "gbvs": "GBVS",
    "focus-saliency": "Focus saliency", "unisal": "UNISAL", "dino_vits16": "DINO ViT-S/16",
    "dino_vits8": "DINO ViT-S/8", "dino_vitb16": "DINO ViT-B/16", "dino_vitb8": "DINO ViT-B/8",
    "efficientnet_lite0": "EfficientNet-Lite0", "resnet50": "ResNet-50",
}  # fmt: skip
_RIGHT_IN_FULL = {  # top-1 accuracy of the linear heads, as published with the weights
    "dino_vits16": 0.770, "dino_vits8": 0.797, "dino_vitb16": 0.782, "dino_vitb8": 0.801,
}  # fmt: skip


class NotRunError(LookupError):
    """Something that a figure or a finding is made from is not in the results."""


@dataclass(frozen=True)
class Results:
    """Tables of all experiments that were run.

    Attributes:
        roles: Role → name of the policy in the records; a role that nothing plays is missing.
        records: Experiment → records (see :mod:`saccade_env.evaluation.records`), among them
            ``"fovea 3"`` (with the entropies of the maps), ``"fovea 5"``, ``"layers"``,
            ``"resolutions"``, ``"layers and resolutions"``, ``"unisal 224x384"``,
            ``"unisal 288x384"`` and ``"crops"`` (of a single saccade).
        settings: Experiment → one row a policy in its records: ``policy``, and of ``layer`` (from
            0), ``resolution`` (pixels of the map's input), ``tokens`` (of it, a side), ``fovea``
            what was varied.
        grids: Experiment → token grid (rows, cols).
        run: Classifier, weights, images, versions, seed, command, and ``paper_setting``: whether
            the networks are the paper's own.
        figures: Numbers of the figures that were asked for; empty means all.
    """

    roles: dict[str, str]
    records: dict[str, pd.DataFrame]
    settings: dict[str, pd.DataFrame] = field(default_factory=dict)
    grids: dict[str, tuple[int, int]] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    figures: tuple[int, ...] = ()


def load_results(out: str | Path) -> Results:
    """Tables of the experiments that are finished in a folder, so that figures can be redrawn.

    Raises:
        FileNotFoundError: The folder holds no results of the paper.
        OSError: A file is damaged, or not what its name says; the message names it.
    """
    folder = Path(out)
    if not (described := described_in(folder)):
        raise FileNotFoundError(f"{folder} holds no results of the paper ({RESULTS})")
    try:
        experiments = described["experiments"]
        tables = {name: _table(folder, each) for name, each in experiments.items()}
        there = {name: table for name, table in tables.items() if table is not None}
        return Results(
            roles=described["roles"],
            records=there,
            settings={name: pd.DataFrame(experiments[name]["settings"]) for name in there},
            grids={name: tuple(experiments[name]["grid"]) for name in there},
            run={**described["run"], "pictures": described["pictures"]},
            figures=tuple(described["figures"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise OSError(f"{folder / RESULTS} holds no results of the paper: {error!r}") from error


def described_in(folder: Path) -> dict[str, Any]:
    """What ``results.json`` holds; empty if it is not there.

    Raises:
        OSError: It is damaged; the message names it.
    """
    try:
        return read_object(folder / RESULTS)
    except FileNotFoundError:
        return {}


def _table(folder: Path, described: dict[str, Any]) -> pd.DataFrame | None:
    """Rows of an experiment's policies, on the images that all its runs have."""
    homes = [folder / RUNS / name for name in described["runs"]]
    if not all(map(_is_whole, homes)):
        return None
    parts = [read_whole(home / RECORDS) for home in homes]
    common = set.intersection(*(set(part["image"]) for part in parts))
    table = pd.concat(parts, ignore_index=True)
    policies = [row["policy"] for row in described["settings"]]
    own = table[table["policy"].isin(policies) & table["image"].isin(common)]
    return own.reset_index(drop=True)


def _is_whole(home: Path) -> bool:
    """Whether a run has come to its end; one killed there still has parts."""
    return (home / RECORDS).exists() and not any((home / PARTS).glob("*.parquet"))


def finished(home: Path) -> int:
    """How many images of a run are finished."""
    files = [home / RECORDS, *(home / PARTS).glob("*.parquet")]
    return len({image for path in files if path.exists() for image in read_whole(path)["image"]})


def records_of(results: Results, experiment: str) -> pd.DataFrame:
    """Records of an experiment.

    Raises:
        NotRunError: It was not run.
    """
    return results.records[runs_of(results, experiment)[0]]


def runs_of(results: Results, *experiments: str) -> list[str]:
    """Those of these experiments that were run.

    Raises:
        NotRunError: None was.
    """
    empty = pd.DataFrame()
    if there := [name for name in experiments if not results.records.get(name, empty).empty]:
        return there
    names = [f"“{name}”" for name in experiments]
    none = f"none of the experiments {', '.join(names)} was run"
    raise NotRunError(f"the experiment {names[0]} was not run" if len(names) == 1 else none)


def entropies_of(results: Results) -> pd.DataFrame:
    """Map entropy in bits of the main experiment: ``image``, ``policy``, ``entropy``.

    Raises:
        NotRunError: It was not computed.
    """
    records = results.records.get(MAIN, pd.DataFrame())
    if MAP_ENTROPY not in records:
        raise NotRunError("the entropies of the maps were not computed")
    first = records[(records["saccade"] == 1) & records[MAP_ENTROPY].notna()]
    table = first[["image", "policy", MAP_ENTROPY]].rename(columns={MAP_ENTROPY: "entropy"})
    return table.reset_index(drop=True)


def grid_of(results: Results, experiment: str) -> Grid:
    """(rows, cols) in tokens.

    Raises:
        NotRunError: The results do not tell.
    """
    if experiment not in results.grids:
        raise NotRunError(f"the token grid of “{experiment}” is not known")
    rows, cols = results.grids[experiment]
    return int(rows), int(cols)


def fovea_of(results: Results, experiment: str) -> int:
    """Side of the fovea in tokens."""
    settings = results.settings.get(experiment, pd.DataFrame())
    if "fovea" not in settings:
        return FOVEA
    known = settings["fovea"].dropna()
    return int(known.iloc[0]) if len(known) else FOVEA


def policy_of(results: Results, role: str, table: pd.DataFrame) -> str:
    """The policy that plays a role in records, or in another table with policies.

    Raises:
        NotRunError: None does.
    """
    if role not in results.roles:
        raise NotRunError(f"no policy plays the part “{role}”")
    policy = results.roles[role]
    if not (table["policy"] == policy).any():
        raise NotRunError(f"{policy}, which plays “{role}”, was not run in this experiment")
    return policy


def played(results: Results, table: pd.DataFrame) -> dict[str, str]:
    """Role → policy, of those that are in the table, in the order of :data:`ROLES`."""
    there = set(table["policy"])
    return {role: results.roles[role] for role in ROLES if results.roles.get(role) in there}


def pair_of(results: Results, table: pd.DataFrame) -> list[str]:
    """The policies that play attention and random, as far as they are in the table.

    Raises:
        NotRunError: Neither is.
    """
    own = [policy for role, policy in played(results, table).items() if role in PAIR]
    if not own:
        raise NotRunError(f"neither attention nor random was run in “{MAIN}”")
    return own


def of_policies(table: pd.DataFrame, *policies: str) -> pd.DataFrame:
    """Rows of these policies, on the images that all of them were run on."""
    own = table[table["policy"].isin(policies)]
    counts = own.groupby("image")["policy"].nunique()
    return own[own["image"].isin(counts.index[counts == len(set(policies))])]


def with_role(results: Results, experiment: str, role: str) -> tuple[pd.DataFrame, str]:
    """Records with a role's policy among them, taken from the main one of this fovea if need be.

    Raises:
        NotRunError: The experiment, or the policy in either, was not run.
    """
    records = records_of(results, experiment)
    if results.roles.get(role) not in set(records["policy"]):
        main = records_of(results, f"fovea {fovea_of(results, experiment)}")
        own = main[main["policy"] == policy_of(results, role, main)]
        records = pd.concat([records, own[own["image"].isin(records["image"])]], ignore_index=True)
    return records, results.roles[role]


def varied(results: Results, experiment: str, *columns: str) -> pd.DataFrame:
    """What was varied: ``policy`` and the columns as whole numbers, in order.

    Raises:
        NotRunError: The experiment was not run, or its settings are not in the results.
    """
    there = policies_of(records_of(results, experiment))
    settings = results.settings.get(experiment, pd.DataFrame())
    if not {"policy", *columns} <= set(settings):
        raise NotRunError(f"the settings of “{experiment}” do not tell the {' and '.join(columns)}")
    own = settings[["policy", *columns]].dropna()
    own = own[own["policy"].isin(there)].drop_duplicates("policy")
    return own.astype(dict.fromkeys(columns, int)).sort_values([*columns], ignore_index=True)


def suspicion(results: Results) -> str:
    """Why the paper's classifier cannot be what it claims to be; empty if nothing speaks so.

    Its publisher gives no hash, so that a file of its name may hold other weights.
    """
    main, name = results.records.get(MAIN), run_name(results.run, "classifier")
    if main is None or name not in _RIGHT_IN_FULL:
        return ""
    found = metrics.full_image(main)
    if found["labelled_images"] < FEWEST or found["accuracy"] > _RIGHT_IN_FULL[name] - 0.2:
        return ""
    return (
        f"{name_of(name)} is right on {percent(found['accuracy'])} of the full images here, and on "
        f"{percent(_RIGHT_IN_FULL[name])} of ImageNet’s as it was published: these are other "
        "weights, or other labels"
    )


def networks(results: Results) -> str:
    """With which networks figures were made, and which are the paper's where they are others."""
    names = [run_name(results.run, "classifier"), results.roles.get(ATTENTION, "")]
    made = "Networks: " + (" with ".join(name_of(name) for name in names if name) or "not named")
    if results.run.get("paper_setting") is True and not suspicion(results):
        return f"{made}, as in the paper."
    others = [] if names == ["dino_vits16", PAPERS[ATTENTION]] else [name_of("dino_vits16")]
    deep = results.roles.get(DEEP, PAPERS[DEEP])
    if deep != PAPERS[DEEP]:
        made += f" and {name_of(deep)}"
        others.append(name_of(PAPERS[DEEP]))
    if not others:
        return f"{made}; other networks or weights of this run are not the paper’s."
    return f"{made}; the paper uses {' and '.join(others)}."


def name_of(policy: str) -> str:
    """How a network or policy is called in text."""
    head, mark, rest = policy.partition(":")
    return _NAMES.get(head, head) + (f" ({rest})" if mark else "")


def run_name(run: Mapping[str, Any], key: str) -> str:
    """The name of what was run, of a plain text or of a card; empty if it is not told."""
    value = run.get(key) or ""
    if isinstance(value, Mapping):
        value = value.get("name") or value.get("source") or ""
    return str(value)


def percent(value: float, digits: int = 1) -> str:
    """A share from 0 to 1 as text."""
    return number(100 * value, digits) + (" %" if math.isfinite(value) else "")


def number(value: float, digits: int = 1) -> str:
    """A number as text; a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def with_parameters(name: str, **more: Any) -> str:
    """A policy's name with more parameters after the colon."""
    base, parameters = parse_spec(name)
    pairs = ",".join(f"{key}={_text(value)}" for key, value in {**parameters, **more}.items())
    return f"{base}:{pairs}" if pairs else base


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
