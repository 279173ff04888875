"""Which runs and experiments a preset has, with the policies and images at hand.

What cannot be run is said in the cast's notes, and nothing stands in its place.
"""

from __future__ import annotations

from itertools import product
from typing import Any

from saccade_env.geometry import grid_of
from saccade_env.images import ImageSource
from saccade_env.images.derived import Subset, sample
from saccade_env.paper.cast import Cast, with_parameters
from saccade_env.paper.experiments import Programme, Run
from saccade_env.paper.results import ATTENTION, FOVEA, RANDOM
from saccade_env.paper.settings import PRESETS, PaperSettings
from saccade_env.paper.sources import (
    PER_CLASS,
    balanced,
    class_sizes,
    resized,
)

RESOLUTIONS = (10, 8, 6)  # tokens a side of the map's input: the paper's 10×10, two of ours
SIZES = ((224, 384), (288, 384))  # UNISAL's, and the one that fits the paper's share of a crop
KINDS = ("layers", "resolutions")
Varied = dict[str, tuple[int, int]]  # policy → layer and resolution in pixels


def programme(settings: PaperSettings, cast: Cast, source: ImageSource) -> Programme:
    """Everything that the preset has, whatever figures are asked for."""
    built = Programme(settings, cast, source, {}, {})
    everything = sample(range(len(source)), settings.limit, settings.seed)
    main = source if len(everything) == len(source) else Subset(source, everything)
    _main(built, main)
    preset = PRESETS[settings.preset]
    of_maps = sample(everything, preset.map_images, settings.seed)
    of_both = sample(of_maps, preset.both_images, settings.seed)
    _layers(built, Subset(source, of_maps), Subset(source, of_both))
    _sizes(built, everything, preset.size_images)
    return built


def _main(built: Programme, source: ImageSource) -> None:
    cast, grid = built.cast, built.cast.judge().grid
    everyone = (*cast.roles.values(), *cast.extras)
    pair = tuple(cast.roles[role] for role in (ATTENTION, RANDOM) if role in cast.roles)
    few = everyone if PRESETS[built.settings.preset].thorough else (*pair, *cast.extras)
    for fovea, policies in ((3, everyone), (5, few or everyone)):
        built.add(Run(f"fovea {fovea}", policies, source, grid, fovea))
    with_maps = tuple(name for name in pair if hasattr(cast.policy_here(name), "maps"))
    if with_maps:
        built.add(Run("entropies", with_maps, source, grid, kind="entropies"))


def _layers(built: Programme, source: ImageSource, fewer: ImageSource) -> None:
    """Attention of every layer (figure 6), and then from small inputs, if the policy can."""
    cast, grid = built.cast, built.cast.judge().grid
    name = cast.roles.get(ATTENTION, "")
    if not (name and hasattr(cast.policy_here(name), "layer")):
        why = f"{name} has no layers to choose from" if name else "no policy follows attention"
        cast.notes.append(f"layers and resolutions are left out: {why}")
        return
    patch, whole = getattr(cast.policy_here(name), "patch_size", 0), max(cast.image_size)
    last = cast.policy_here(with_parameters(name, layer=-1)).layer
    layers = {with_parameters(name, layer=layer): (layer, whole) for layer in range(last + 1)}
    small = {
        with_parameters(name, layer=layer, resolution=side * patch): (layer, side * patch)
        for side, layer in product(RESOLUTIONS if patch else (), range(last + 1))
    }
    if not small:
        cast.notes.append(f"resolutions are left out: {name} has no maps from smaller inputs")
    above, best = ({n: v for n, v in maps.items() if v[0] == last} for maps in (small, layers))
    for fovea in (FOVEA, 5) if PRESETS[built.settings.preset].thorough else (FOVEA,):
        names = [f"{kind}{'' if fovea == FOVEA else f' fovea {fovea}'}" for kind in KINDS]
        every = Run(names[0], tuple(layers), source, grid, fovea)
        built.add(every, _rows(layers, patch, fovea), f"fovea {fovea}")
        if above:
            fewer_tokens = Run(names[1], tuple(above), source, grid, fovea)
            built.add(fewer_tokens, _rows({**best, **above}, patch, fovea), names[0])
    if small:  # figure 17
        rest = tuple(policy for policy in small if policy not in above)
        both = Run("layers and resolutions", rest, fewer, grid)
        built.add(both, _rows({**layers, **small}, patch), *KINDS)


def _sizes(built: Programme, everything: list[int], count: int | None) -> None:
    """UNISAL's image sizes, on ten images a class (figures 10 and 11)."""
    cast, settings = built.cast, built.settings
    even = balanced(built.source, everything, settings.seed)
    chosen = sample(even, count, settings.seed)
    policies = tuple(cast.roles.values())
    if not policies:
        cast.notes.append(
            "UNISAL's image sizes are left out: no policy plays a part of the paper's"
        )
        return
    if {"crops", "unisal 224x384"} & {*settings.experiments}:
        classes, least, most = class_sizes(built.source, chosen)
        cast.notes.append(
            f"UNISAL's image sizes: {len(chosen)} images of {classes} classes, {least} to {most} "
            f"of each (the paper: {PER_CLASS} of each of 1000)"
        )
    for size in SIZES:
        source = Subset(resized(built.source, size), chosen)
        name = f"unisal {size[0]}x{size[1]}"
        if not cast.judges(size):
            cast.notes.append(f"{name} is left out: the classifier is built for another size")
            continue
        built.add(Run(name, policies, source, cast.judge(size).grid))
    grid = grid_of(SIZES[-1], cast.cropper.patch_size)
    built.add(Run("crops", policies, source, grid, kind="crops"))


def _rows(varied: Varied, patch: int, fovea: int = FOVEA) -> list[dict[str, Any]]:
    """What is varied; ``tokens`` of the map's input, a side, where the policy tells."""
    return [
        {"policy": policy, "layer": layer, "resolution": resolution, "fovea": fovea}
        | ({"tokens": resolution // patch} if patch else {})
        for policy, (layer, resolution) in varied.items()
    ]
