"""Whether the paper's statements hold in the results."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial as _of

from saccade_env.paper.findings import maps, saccades
from saccade_env.paper.findings.claims import FEWEST, RULE, Claim, judge, verdict_of
from saccade_env.paper.page import Finding
from saccade_env.paper.results import ATTENTION, CENTRE, CLASSICAL, DEEP, RANDOM, Results

__all__ = ["CLAIMS", "FEWEST", "RULE", "Claim", "findings", "judge", "verdict_of"]

_A, _R, _D, _C, _M = (ATTENTION, RANDOM, DEEP, CLASSICAL, CENTRE)
_POINTS, _TOKENS = "points", "tokens"
_FOVEAS = tuple(f"fovea {side}" for side in (3, 5))
_CROPS = ((_A, _D), (_D, _M), (_M, _C), (_C, _R))  # neighbours in the paper's order

CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(
            f"attention-above-random-{name.replace(' ', '-')}",
            f"Accuracy under attention stays above random at every saccade ({name}).",
            3, _POINTS, _of(saccades.lead, experiment=name, first=_A, second=_R), (_A, _R),
        )
        for name in _FOVEAS
    ),
    Claim(
        "steep-rise", "Accuracy under attention rises steeply: most of its gain comes early.",
        3, _POINTS, saccades.steepness, (_A,),
    ),
    *(
        Claim(
            f"fewer-tokens-{name.replace(' ', '-')}",
            f"Attention reveals fewer tokens than random fixations ({name}).",
            3, _TOKENS, _of(saccades.fewer_tokens, experiment=name), (_A, _R),
        )
        for name in _FOVEAS
    ),
    Claim(
        "cumulative-above-full",
        "More images are right at least once along the saccades than in full (fovea 3).",
        4, _POINTS, saccades.beyond_full, (_A,),
    ),
    Claim(
        "changes-early", "Most changes between right and wrong come early.",
        4, "%", saccades.early_changes, (_A,), margin=50,
    ),
    Claim(
        "certainty-near-full", "Certainty under attention comes near that on the full image.",
        5, _POINTS, saccades.near_full, (_A,), "within", 10,
    ),
    Claim(
        "certainty-above-random",
        "Certainty under random fixations stays below that under attention at every saccade.",
        5, _POINTS, saccades.more_certain, (_A, _R),
    ),
    Claim(
        "certainty-jumps", "Certainty jumps at the saccade where an image is first right.",
        5, _POINTS, saccades.jump, (_A,),
    ),
    Claim(
        "early-most-certain", "Images that are right early are the most certain.",
        5, _POINTS, saccades.early_certain, (_A,),
    ),
    Claim(
        "layer-1-below-random", "The attention map of layer 1 does worse than random fixations.",
        6, _POINTS, _of(maps.layer_lead, layer=1), (_A, _R), "below",
    ),
    Claim(
        "layer-2-above-random", "The attention map of layer 2 does better than random fixations.",
        6, _POINTS, _of(maps.layer_lead, layer=2), (_A, _R),
    ),
    Claim(
        "rise-after-layer-3", "Accuracy rises sharply after layer 3.",
        6, _POINTS, _of(maps.rise_after, layer=3), (_A,),
    ),
    Claim(
        "10x10-close", "A map of 10×10 tokens does nearly as well as one of 14×14.",
        6, _POINTS, _of(maps.close_resolution, tokens=10), (_A,), "within", 5,
    ),
    Claim(
        "entropy-attention",
        "The more even the attention map, the slightly later an image is first right.",
        7, "rho", _of(saccades.relation, role=_A), (_A,),
    ),
    Claim(
        "entropy-random", "For random maps, the relation of entropy is the opposite.",
        7, "rho", _of(saccades.relation, role=_R), (_R,), "below",
    ),
    *(
        Claim(
            f"crop-{first}-above-{second}".replace(" ", "-"),
            f"On a single crop, {first} does better than {second}.",
            10, _POINTS, _of(maps.crop_lead, first=first, second=second), (first, second),
        )
        for first, second in _CROPS
    ),
    *(
        Claim(
            f"attention-above-{other}".replace(" ", "-"),
            f"Attention is above {other} at every saccade.",
            10, _POINTS, _of(maps.at_sizes, saccades.lead, first=_A, second=other), (_A, other),
        )
        for other in (_D, _C)
    ),
    Claim(
        "classical-starts-below", "Classical saliency starts below deep saliency.",
        10, _POINTS, _of(maps.at_sizes, saccades.lead_at, first=_C, second=_D, saccade=1),
        (_C, _D), "below",
    ),
    Claim(
        "classical-overtakes", "By the sixth saccade classical saliency has overtaken.",
        10, _POINTS, _of(maps.at_sizes, saccades.lead_at, first=_C, second=_D, saccade=6),
        (_C, _D),
    ),
    Claim(
        "start-alike", "Attention and deep saliency start alike: most first fixations agree.",
        11, "%", _of(maps.at_sizes, maps.alike_at_first, first=_A, second=_D), (_A, _D), margin=50,
    ),
    Claim(
        "then-diverge", "Attention and deep saliency then diverge.",
        11, _TOKENS, _of(maps.at_sizes, maps.diverge, first=_A, second=_D), (_A, _D),
    ),
    *(
        Claim(
            f"{role}-explores".replace(" ", "-"),
            f"Deep saliency stays confined, while {role} explores.",
            11, _TOKENS, _of(maps.at_sizes, maps.farther, first=role, second=_D), (role, _D),
        )
        for role in (_A, _C)
    ),
)  # fmt: skip


def findings(results: Results, only: Collection[int] | None = None) -> list[Finding]:
    """Every statement of the paper with its effect here, in the order of the figures.

    The verdicts follow :data:`RULE`.

    Args:
        results: Of the paper's experiments.
        only: Numbers of the figures whose statements are tested; None tests all.
    """
    return [judge(claim, results) for claim in CLAIMS if only is None or claim.figure in only]
