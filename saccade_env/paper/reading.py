"""Reading results by the parts that policies play, whichever policies play them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import FEWEST
from saccade_env.evaluation.metrics.tables import policies_of
from saccade_env.geometry import Grid
from saccade_env.paper.results import ATTENTION, CENTRE, CLASSICAL, DEEP, FOVEA, RANDOM, Results

ROLES = (ATTENTION, DEEP, CENTRE, CLASSICAL, RANDOM)  # best crop first, in the paper
PAIR = (ATTENTION, RANDOM)
MAIN = "fovea 3"
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
    main = results.records.get(MAIN)
    if main is None or run_name(results.run, "classifier") not in _RIGHT_IN_FULL:
        return ""
    found, name = metrics.full_image(main), run_name(results.run, "classifier")
    if found["labelled_images"] < FEWEST or found["accuracy"] > _RIGHT_IN_FULL[name] - 0.2:
        return ""
    return (
        f"{name_of(name)} is right on {percent(found['accuracy'])} of the full images here, and on "
        f"{percent(_RIGHT_IN_FULL[name])} of ImageNet’s as it was published: these are other "
        "weights, or other labels"
    )


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
