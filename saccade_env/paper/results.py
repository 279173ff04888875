"""What the paper's experiments found: plain tables, asked by the parts that policies play.

A folder holds ``run.json`` (what was run), ``results.json`` (what the tables mean) and ``runs/``
with a folder of records a run. Whatever is missing is a :class:`NotRunError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from saccade_env.evaluation import metrics
from saccade_env.evaluation.metrics.intervals import FEWEST
from saccade_env.evaluation.metrics.tables import policies_of
from saccade_env.evaluation.part_file import read_whole
from saccade_env.evaluation.records import MAP_ENTROPY
from saccade_env.evaluation.store import PARTS, RECORDS, kept_in
from saccade_env.files import read_object
from saccade_env.geometry import Grid
from saccade_env.registry import MODEL, parse_spec

RESULTS, FINDINGS, RUNS = "results.json", "findings.json", "runs"
_PICTURE = ("figure", "svg", "png", "alt")  # what is known of a picture that was drawn
PICTURE_FILES = ("svg", "png", "scanpaths")  # the last is what plays, where there are saccades
# Parts that policies play in the paper; which policy plays each depends on the weights at hand.
ATTENTION, DEEP, CLASSICAL, RANDOM, CENTRE = (
    "attention", "deep saliency", "classical saliency", "random", "centre",
)  # fmt: skip
PAPERS = {ATTENTION: "dino", DEEP: "unisal", CLASSICAL: "gbvs", RANDOM: "random", CENTRE: "centre"}
ROLES = (ATTENTION, DEEP, CENTRE, CLASSICAL, RANDOM)  # best crop first, in the paper
PAIR = (ATTENTION, RANDOM)
FOVEA = 3  # tokens, of every experiment that names no other
MAIN, CROPS = "fovea 3", "crops"
COMBINED = "layers and resolutions"
SIZES = ("unisal 288x384", "unisal 224x384")  # the paper's share of a crop fits the first
SAMPLES = 2000  # of the bootstrap
_NAMES = {
    "dino": "DINO attention", "attention": "Attention", "focus-attention": "Focus attention",
    "gbvs": "GBVS", "focus-saliency": "Focus saliency", "unisal": "UNISAL",
    "dino_vits16": "DINO ViT-S/16",
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
    """Tables of all experiments that were run, and what figures and findings ask of them.

    Questions about what is not there raise a :class:`NotRunError`.

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
        run: Classifier, weights, images, versions, seed, command, ``flops`` (see
            :class:`saccade_env.paper.cost.Flops`), and ``paper_setting``: whether the networks are
            the paper's own.
        figures: Numbers of the figures that were asked for; empty means all.
        folder: Where they were read.
    """

    roles: dict[str, str]
    records: dict[str, pd.DataFrame]
    settings: dict[str, pd.DataFrame] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    figures: tuple[int, ...] = ()
    folder: Path = Path()

    def of(self, experiment: str) -> pd.DataFrame:
        """Records of an experiment."""
        return self.records[self.which(experiment)[0]]

    def which(self, *experiments: str) -> list[str]:
        """Those of these experiments that were run; at least one."""
        if there := [name for name in experiments if name in self.records]:
            return there
        names = [f"“{name}”" for name in experiments]
        none = f"none of the experiments {', '.join(names)} was run"
        raise NotRunError(f"the experiment {names[0]} was not run" if len(names) == 1 else none)

    def entropies(self) -> pd.DataFrame:
        """Map entropy in bits of the main experiment: ``image``, ``policy``, ``entropy``."""
        records = self.of(MAIN)
        if MAP_ENTROPY not in records:
            raise NotRunError("the entropies of the maps were not computed")
        first = records[(records["saccade"] == 1) & records[MAP_ENTROPY].notna()]
        table = first[["image", "policy", MAP_ENTROPY]].rename(columns={MAP_ENTROPY: "entropy"})
        return table.reset_index(drop=True)

    def fovea(self, experiment: str) -> int:
        """Side of the fovea in tokens."""
        settings = self.settings.get(experiment, pd.DataFrame())
        return int(settings["fovea"].iloc[0]) if "fovea" in settings else FOVEA

    def policy(self, role: str, table: pd.DataFrame) -> str:
        """The policy that plays a role in records, or in another table with policies."""
        if role not in self.roles:
            raise NotRunError(f"no policy plays the part “{role}”")
        policy = self.roles[role]
        if not (table["policy"] == policy).any():
            raise NotRunError(f"{policy}, which plays “{role}”, was not run in this experiment")
        return policy

    def played(self, table: pd.DataFrame, roles: Sequence[str] = ROLES) -> dict[str, str]:
        """Role → policy, of those that are in the table, in the order of the roles."""
        there = set(table["policy"])
        return {role: self.roles[role] for role in roles if self.roles.get(role) in there}

    def pair(self, table: pd.DataFrame) -> list[str]:
        """The policies that play attention and random, as far as they are in the table."""
        if own := [*self.played(table, PAIR).values()]:
            return own
        raise NotRunError(f"neither attention nor random was run in “{MAIN}”")

    def with_role(self, experiment: str, role: str) -> tuple[pd.DataFrame, str]:
        """Records with a role's policy among them, taken from the main ones if need be."""
        records = self.of(experiment)
        if self.roles.get(role) not in set(records["policy"]):
            main = self.of(f"fovea {self.fovea(experiment)}")
            own = main[main["policy"] == self.policy(role, main)]
            own = own[own["image"].isin(records["image"])]
            records = pd.concat([records, own], ignore_index=True)
        return records, self.roles[role]

    def varied(self, experiment: str, *columns: str) -> pd.DataFrame:
        """What was varied: ``policy`` and the columns as whole numbers, in order."""
        there = policies_of(self.of(experiment))
        settings = self.settings.get(experiment, pd.DataFrame())
        if not {"policy", *columns} <= set(settings):
            wanted = " and ".join(columns)
            raise NotRunError(f"the settings of “{experiment}” do not tell the {wanted}")
        own = settings[["policy", *columns]].dropna()
        own = own[own["policy"].isin(there)].drop_duplicates("policy")
        return own.astype(dict.fromkeys(columns, int)).sort_values([*columns], ignore_index=True)

    def name(self, key: str) -> str:
        """The name of a network of the run; empty if it is not told."""
        return str(self.run.get(key, {}).get("name", ""))

    def suspicion(self) -> str:
        """Why the paper's classifier cannot be what it claims to be; empty if nothing speaks so.

        Its publisher gives no hash, so that a file of its name may hold other weights.
        """
        main, name = self.records.get(MAIN), self.name("classifier")
        if main is None or name not in _RIGHT_IN_FULL:
            return ""
        found = metrics.full_image(main)
        if found["labelled_images"] < FEWEST or found["accuracy"] > _RIGHT_IN_FULL[name] - 0.2:
            return ""
        return (
            f"{name_of(name)} is right on {percent(found['accuracy'])} of the full images here, "
            f"and on {percent(_RIGHT_IN_FULL[name])} of ImageNet’s as it was published: these are "
            "other weights, or other labels"
        )

    def networks(self) -> str:
        """With which networks figures were made, and which are the paper's where others are."""
        names = [self.name("classifier"), self.roles.get(ATTENTION, "")]
        made = "Networks: " + (
            " with ".join(name_of(name) for name in names if name) or "not named"
        )
        if self.run.get("paper_setting") is True and not self.suspicion():
            return f"{made}, as in the paper."
        others = [] if names == ["dino_vits16", PAPERS[ATTENTION]] else [name_of("dino_vits16")]
        deep = self.roles.get(DEEP, PAPERS[DEEP])
        if deep != PAPERS[DEEP]:
            made += f" and {name_of(deep)}"
            others.append(name_of(PAPERS[DEEP]))
        if not others:
            return f"{made}; other networks or weights of this run are not the paper’s."
        return f"{made}; the paper uses {' and '.join(others)}."


def load_results(out: str | Path) -> Results:
    """Tables of the experiments that are finished in a folder, so that figures can be redrawn.

    Raises:
        FileNotFoundError: The folder holds no results of the paper.
        OSError: A file is damaged, or not what its name says; the message names it.
    """
    folder = Path(out)
    if not (described := described_in(folder)):
        raise FileNotFoundError(f"{folder} holds no results of the paper ({RESULTS})")
    with _named(folder / RESULTS):
        experiments = described["experiments"]
        tables = {name: _table(folder, each) for name, each in experiments.items()}
        there = {name: table for name, table in tables.items() if len(table)}
        return Results(
            roles=described["roles"],
            records=there,
            settings={name: pd.DataFrame(experiments[name]["settings"]) for name in there},
            grids={name: tuple(experiments[name]["grid"]) for name in there},
            run={**described["run"], "pictures": described["pictures"]},
            figures=tuple(described["figures"]),
            folder=folder,
        )


def described_in(folder: Path) -> dict[str, Any]:
    """What ``results.json`` holds; empty if it is not there.

    Raises:
        OSError: It is damaged, or not what its name says; the message names it.
    """
    try:
        found = read_object(folder / RESULTS)
    except FileNotFoundError:
        return {}
    with _named(folder / RESULTS):
        figures = [int(number) for number in found["figures"]]
        pictures = [
            {key: drawn[key] for key in _PICTURE}
            | {key: drawn[key] for key in PICTURE_FILES if key in drawn}
            for drawn in found["pictures"]
        ]
    return {**found, "figures": figures, "pictures": pictures}


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OSError(
            f"{path} does not hold what this package writes there ({error!r}); move it away, and "
            "the same command makes it again"
        ) from error


def _table(folder: Path, described: dict[str, Any]) -> pd.DataFrame:
    """Rows of an experiment's policies, on the images that all its runs have."""
    homes = [folder / RUNS / name for name in described["runs"]]
    if not all(map(_is_whole, homes)):
        return pd.DataFrame()
    parts = [read_whole(home / RECORDS) for home in homes]
    common = set.intersection(*(set(part["image"]) for part in parts))
    table = pd.concat(parts, ignore_index=True)
    policies = [row["policy"] for row in described["settings"]]
    own = table[table["policy"].isin(policies) & table["image"].isin(common)]
    return own.reset_index(drop=True)


def _is_whole(home: Path) -> bool:
    """Whether a run has come to its end; one killed there still has parts."""
    return (home / RECORDS).exists() and not any((home / PARTS).glob("*.parquet"))


def finished(home: Path) -> set[str]:
    """The images of a run that are finished."""
    return {image for path in kept_in(home) for image in read_whole(path)["image"]}


def of_policies(table: pd.DataFrame, *policies: str) -> pd.DataFrame:
    """Rows of these policies, on the images that all of them were run on."""
    own = table[table["policy"].isin(policies)]
    counts = own.groupby("image")["policy"].nunique()
    return own[own["image"].isin(counts.index[counts == len(set(policies))])]


def name_of(policy: str) -> str:
    """How a network or policy is called in text."""
    head, mark, rest = policy.partition(":")
    return _NAMES.get(head, head) + (f" ({rest})" if mark else "")


def percent(value: float, digits: int = 1) -> str:
    """A share from 0 to 1 as text."""
    return number(100 * value, digits) + (" %" if math.isfinite(value) else "")


def number(value: float, digits: int = 1) -> str:
    """A number as text; a dash where there is none."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def with_parameters(name: str, **more: Any) -> str:
    """A policy's name with more parameters after the colon."""
    base, parameters = parse_spec(name)
    model = [parameters.pop(MODEL)] if MODEL in parameters else []
    named = (f"{key}={_text(value)}" for key, value in {**parameters, **more}.items())
    pairs = ",".join([*model, *named])
    return f"{base}:{pairs}" if pairs else base


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
