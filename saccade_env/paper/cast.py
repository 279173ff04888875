"""Who plays in the experiments: classifiers by image size, and the policies with their roles.

With DINO the parts are the paper's; without its weights others stand for them, and it is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from saccade_env import classifiers
from saccade_env.classifiers import AUTO, Classifier, weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.classifiers.dino.network import FILES
from saccade_env.classifiers.weights_table import TABLE, members
from saccade_env.paper.results import ATTENTION, DEEP, PAPERS
from saccade_env.paper.settings import PaperSettings
from saccade_env.registry import parse_spec

MakePolicy = Callable[..., Any]  # (name with parameters, grid) → policy
STANDS_FOR = {"focus-attention": ATTENTION, "focus-saliency": DEEP}
_ROLE_OF = {**{name: role for role, name in PAPERS.items()}, **STANDS_FOR}


@dataclass
class Cast:
    """Classifiers and policies, each built once.

    Attributes:
        roles: Role → policy.
        extras: Policies without a role, which take part in the main experiments.
        notes: What is missing or stands for something else, and why.
    """

    settings: PaperSettings
    make_policy: MakePolicy
    image_size: tuple[int, int]
    roles: dict[str, str] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _judges: dict[tuple[int, int], Classifier] = field(default_factory=dict)
    _policies: dict[tuple[str, tuple[int, int]], Any] = field(default_factory=dict)
    _cnn: CnnClassifier | None = None

    def judge(self, image_size: tuple[int, int] | None = None) -> Classifier:
        """The classifier for images of (height, width) pixels; by default the main experiment's."""
        size = image_size or self.image_size
        if size not in self._judges:
            self._judges[size] = self._built(size)
        return self._judges[size]

    def judges(self, image_size: tuple[int, int]) -> bool:
        """Whether there is a classifier for this size."""
        named = isinstance(self.settings.classifier, str) or callable(self.settings.classifier)
        return named or image_size == self.image_size

    def policy(self, name: str, grid: tuple[int, int]) -> Any:
        """A policy on a token grid."""
        key = name, (grid[0], grid[1])
        if key not in self._policies:
            self._policies[key] = self.make_policy(name, key[1])
        return self._policies[key]

    def policy_here(self, name: str) -> Any:
        """A policy on the main experiment's grid."""
        return self.policy(name, self.judge().grid)

    @property
    def cropper(self) -> CnnClassifier:
        """The network that judges single crops."""
        if self._cnn is None:
            self._cnn = self._built_cropper()
        return self._cnn

    @property
    def papers_networks(self) -> bool:
        """Whether everyone is who it is in the paper, with the published weights."""
        if self.roles != PAPERS:
            return False
        judge, backbone = self.judge(), TABLE[f"{FILES['dino_vits16']}-backbone"]
        shown = [
            (judge, *members("dino_vits16")), (self.cropper, *members("resnet50")),
            (self.policy_here(PAPERS[ATTENTION]), backbone),
            (self.policy_here(PAPERS[DEEP]), *members("unisal")),
        ]  # fmt: skip
        return getattr(judge, "mode", "recompute") == "recompute" and all(
            file.url in who.weights.source for who, *files in shown for file in files
        )

    def _built(self, size: tuple[int, int]) -> Classifier:
        asked, device = self.settings.classifier, self.settings.device
        if isinstance(asked, str):
            return classifiers.create(asked, device=device, image_size=size)
        return asked(size) if callable(asked) else asked

    def _built_cropper(self) -> Any:
        asked, device = self.settings.crop_classifier, self.settings.device
        if asked != AUTO:
            return classifiers.create(asked, device=device) if isinstance(asked, str) else asked
        if self._dino or weights.is_cached("resnet50"):
            try:
                return classifiers.create("resnet50", device=device)
            except weights.WeightsError as error:
                self.notes.append(f"single crops without ResNet-50, the paper's: {error}")
        return classifiers.create("efficientnet_lite0", device=device)

    @property
    def _dino(self) -> bool:
        return self.judge().name.startswith("dino")

    def choose(self) -> Cast:
        """Give the roles to the policies asked for, or to the paper's as far as they are here.

        Raises:
            ValueError: There is no such policy; the message suggests the nearest.
        """
        for name in self.settings.policies or ():
            self.policy_here(name)
            role = _ROLE_OF.get(parse_spec(name)[0])
            if role and role not in self.roles:
                self.roles[role] = name
            elif name not in (*self.roles.values(), *self.extras):
                self.extras.append(name)
        if self.settings.policies is None:
            for role, names in self._candidates().items():
                self._take_first(role, names)
        self.roles = {role: self.roles[role] for role in PAPERS if role in self.roles}
        return self

    def _candidates(self) -> dict[str, list[str]]:
        papers = {role: [name] for role, name in PAPERS.items()}
        name = self.judge().name
        if self._dino and name in FILES and name != "dino_vits16":
            papers[ATTENTION] = [f"dino:network={name}"]
        if self._dino:
            return {**papers, DEEP: ["unisal", "focus-saliency"]}
        cached = [weights.is_cached(group) for group in ("dino_vits16", "unisal")]
        own = (ATTENTION, "focus-attention", cached[0]), (DEEP, "focus-saliency", cached[1])
        return {**papers, **{role: [substitute] for role, substitute, here in own if not here}}

    def _take_first(self, role: str, names: list[str]) -> None:
        for name in names:
            try:
                self.policy_here(name)
            except (ImportError, weights.WeightsError) as error:
                self.notes.append(f"{name}, for {role}, is not to be had: {error}")
                continue
            self.roles[role] = name
            return


def with_parameters(name: str, **more: Any) -> str:
    """A policy's name with more parameters after the colon."""
    base, parameters = parse_spec(name)
    pairs = ",".join(f"{key}={_text(value)}" for key, value in {**parameters, **more}.items())
    return f"{base}:{pairs}" if pairs else base


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
