"""Any network of timm's: transformers drop hidden tokens, others see them painted neutral.

Grid, patch size, normalisation, crop and interpolation are those of timm's own configuration.
That a network can be run on some of its tokens is tried, not assumed: with all of them revealed
it has to give what timm's own forward gives.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import nn

from saccade_env.classifiers import weights
from saccade_env.classifiers.base import Classifier, Weights
from saccade_env.classifiers.cnn import CnnClassifier
from saccade_env.classifiers.vit.classifier import VitClassifier
from saccade_env.classifiers.vit.heads import TimmHead
from saccade_env.classifiers.vit.network import TokenNetwork
from saccade_env.classifiers.vit.packing import run_blocks
from saccade_env.errors import nearest, unknown_name
from saccade_env.images.preprocess import Preprocess
from saccade_env.registry import keywords_of

_ATTENDS = "what fits: vit_…, vit_…_dinov2, vit_…_dinov3, deit_…, eva02_…"
_FITS = f"{_ATTENDS}, convnext_…, resnet…"
_TOLERANCE = 1e-4
_OVER_CHANNELS = {
    f"timm.layers.{name}" for name in ("split_attn", "selective_kernel", "eca", "cbam")
}


def load(
    model: str = "",
    pretrained: bool = True,
    num_classes: int | None = None,
    seed: int = 0,
    *,
    device: str | torch.device = "cpu",
    **keywords: Annotated[Any, VitClassifier, CnnClassifier],
) -> Classifier:
    """Build a classifier of a network of timm's.

    Args:
        model: timm's name, such as ``deit_tiny_patch16_224`` or ``vit_small_patch16_224.augreg``.
        pretrained: Fetch its weights from the Hub, or take them from its cache; else they are
            random, by ``seed``.
        num_classes: Of a new, random head; by default the network's own.
        seed: Draws random weights.
        device: Where it runs.
        **keywords: To :class:`VitClassifier` or :class:`CnnClassifier`, as the network is.

    Raises:
        ValueError: There is no such network, it has no classes, or cannot drop tokens; the message
            says why, and what fits instead. Or there is no such parameter.
        WeightsError: The weights cannot be had.
    """
    if not (num_classes or settings(model)["num_classes"]):
        raise ValueError(
            f"timm's {model!r} comes without classes: it can guide (attention:{model}), and judge "
            "with a random head alone (num_classes=1000)"
        )
    found = _load(model, pretrained, num_classes, seed, torch.empty(0, device=device).device)
    name = f"timm:{model}" + ",pretrained=false" * (not pretrained)
    kind = VitClassifier if isinstance(found, TokenNetwork) else CnnClassifier
    known = [key for key, p in keywords_of(kind).items() if p.kind is not p.KEYWORD_ONLY]
    for key in {*keywords} - {*known, "image_size"}:
        raise unknown_name("parameter", key, known, of=f"classifier {name!r}")
    if isinstance(found, TokenNetwork):
        return VitClassifier(found, TimmHead(found), name=name, origin=found.weights, **keywords)
    grey, contrast = (
        (255 * r, 255 * g, 255 * b) for r, g, b in (settings(model)[key] for key in ("mean", "std"))
    )
    given = {"device": device, "num_classes": found[0].num_classes, **keywords}
    return CnnClassifier(name, found[0], grey, contrast, found[1], **given)


def load_network(
    model: str,
    pretrained: bool = True,
    num_classes: int | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> TokenNetwork:
    """A transformer alone; one for all who ask for the same in this process.

    Args are those of :func:`load`, which raises the same.
    """
    found = _load(model, pretrained, num_classes, seed, torch.empty(0, device=device).device)
    if not isinstance(found, TokenNetwork):
        raise ValueError(f"timm's {model!r} convolves, and attends to nothing; {_ATTENDS}")
    return found


@lru_cache(maxsize=4)
@torch.inference_mode(False)  # whoever asks first: the network stays an ordinary one
def _load(
    model: str, pretrained: bool, num_classes: int | None, seed: int, device: torch.device
) -> TokenNetwork | tuple[Any, Weights]:
    """A transformer that is known to run on some of its tokens, or a convolutional network."""
    network, origin = build(model, pretrained, num_classes, seed)
    if is_convolutional(network):
        return network, origin
    _refuse(network, model)
    tokens = TokenNetwork(
        network, device, origin, *(settings(model)[key] for key in ("mean", "std"))
    )
    _adapt(tokens, model)
    return tokens


def preprocess(model: str, image_size: tuple[int, int] | None = None) -> Preprocess:
    """Size, crop and interpolation of timm's own configuration of a network.

    Args:
        model: timm's name.
        image_size: Another (height, width) in pixels, with the crop in proportion.
    """
    found = settings(model)
    size, interpolation = image_size or tuple(found["input_size"][1:]), found["interpolation"]
    if found["crop_mode"] == "squash":
        return Preprocess(size, mode="squash", interpolation=interpolation)
    resize = max(int(min(size) / found["crop_pct"]), min(size))
    return Preprocess(size, resize, interpolation=interpolation)


def settings(model: str) -> dict[str, Any]:
    """Timm's configuration: input_size, mean, std, crop_pct, crop_mode, interpolation, num_classes.

    Raises:
        ValueError: There is no such network; the message suggests the nearest.
    """
    import timm
    from timm.data import resolve_data_config

    base = model.partition(".")[0]
    if not timm.is_model(base):
        raise ValueError(f"timm has no network {base!r}.{nearest(base, timm.list_models())}")
    try:
        config = timm.get_pretrained_cfg(model)
    except RuntimeError:
        tags = [name for name in timm.list_pretrained() if name.partition(".")[0] == base]
        there = ", ".join(tags[:9]) or f"{base}, without a tag"
        raise ValueError(f"timm has no weights {model!r}. Known: {there}.") from None
    if config is None or not config.to_dict():
        raise ValueError(
            f"timm has {base!r} under another name now.{nearest(base, timm.list_models())}"
        )
    found = resolve_data_config(pretrained_cfg=config.to_dict())
    found["num_classes"] = config.num_classes
    if found["interpolation"] not in ("bicubic", "bilinear"):
        found["interpolation"] = "bicubic"
    return found


def build(model: str, pretrained: bool, num_classes: int | None, seed: int) -> tuple[Any, Weights]:
    """The network, and where its weights came from.

    Raises:
        ValueError: There is no such network.
        WeightsError: The weights cannot be had.
    """
    import timm
    from timm.models import is_model_in_modules

    settings(model)  # says which name is meant
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes must be ≥ 1; got {num_classes}")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be ≥ 0 and < 2⁶³; got {seed}")
    keywords: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
    if is_model_in_modules(model.partition(".")[0], ["vision_transformer", "eva", "deit"]):
        keywords["dynamic_img_size"] = True
    if pretrained:
        file = _fetched(model)
        keywords["pretrained_cfg_overlay"] = {"file": str(file), "custom_load": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = timm.create_model(model, pretrained=pretrained, **keywords)
    if not pretrained:
        return network, Weights(f"random, seed {seed}", "-")
    origin, digest = f"Hugging Face: {_repository(model)}", weights.sha256(file)
    if num_classes not in (None, settings(model)["num_classes"]):
        origin, digest = f"{origin}, with a random head, seed {seed}", f"{digest} + seed {seed}"
    return network, Weights(origin, digest)


def _repository(model: str) -> str:
    import timm

    config = timm.get_pretrained_cfg(model)
    return str(config.hf_hub_id or "") if config else ""


def _fetched(model: str) -> Path:
    """The network's safetensors, from the Hub or its cache; nothing that would be unpickled.

    Raises:
        WeightsError: They cannot be had.
    """
    import huggingface_hub

    repository, random = _repository(model), f"timm:{model},pretrained=false"
    if not repository:
        raise weights.WeightsError(f"timm has no weights of {model!r}: {random} takes random ones")
    try:
        only = weights.is_offline()
        file = huggingface_hub.hf_hub_download(
            repository, "model.safetensors", local_files_only=only
        )
        return Path(file)
    except Exception as error:  # the Hub's own, and whatever the network raises
        raise weights.WeightsError(
            f"cannot get model.safetensors of {repository} ({type(error).__name__}: {error}); "
            f"connect to the network, or take random weights: {random}"
        ) from error


def is_convolutional(network: nn.Module) -> bool:
    """Whether a network convolves, and attends to nothing; attention over channels is none."""
    modules = list(network.modules())
    kinds = {type(module).__name__ for module in modules
             if type(module).__module__ not in _OVER_CHANNELS}  # fmt: skip
    mixes = any(re.search("Atte?n|Mhsa|MHSA|GPSA|MlpMixer|MixerBlock", kind) for kind in kinds)
    attends = mixes or any(hasattr(module, "fused_attn") for module in modules)
    return any(isinstance(module, nn.Conv2d) for module in modules) and not attends


def _refuse(network: Any, model: str) -> None:
    """Refuse a transformer whose tokens are not of a patch each, or not attended to by all."""
    from timm.layers import PatchEmbed
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    reason = ""
    if not isinstance(network, VisionTransformer | Eva):
        reason = (
            f"its kind, {type(network).__name__}, has windows, a hierarchy, relative position "
            "biases or another attention, which is defined on the whole grid alone"
        )
    elif not isinstance(network.patch_embed, PatchEmbed):
        reason = "its tokens are made by convolutions over their neighbours, hidden or not"
    elif getattr(network.attn_pool, "pos_embed", None) is not None:
        reason = "its pooling has positions of its own"
    if reason:
        raise ValueError(f"hidden tokens of timm's {model!r} cannot be dropped: {reason}; {_FITS}")


@torch.no_grad()
def _adapt(network: TokenNetwork, model: str) -> None:
    """Let layers run on packed tokens, and refuse a network that then gives something else.

    Raises:
        ValueError: It does something else with its tokens than what is known here.
    """
    backbone, grid = network.backbone, (3, 4)
    size = tuple(length * network.patch_size for length in grid)
    pixels = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0)).to(network.device)
    features = backbone.forward_features(pixels)
    for module in backbone.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = True
        if hasattr(module, "num_prefix_tokens") and module is not backbone:
            module.num_prefix_tokens = 0  # the prefix is rotated by nothing, wherever it stands
    everything, known = torch.ones(1, *grid, dtype=torch.bool), torch.zeros(1, dtype=torch.long)
    seen = run_blocks(network, network.tokens(pixels), everything, known, None)
    pairs = [(backbone.norm(seen.table), features)]
    try:
        if backbone.num_classes:
            head = TimmHead(network)
            pairs.append((head.logits(head.features(seen)), backbone.forward_head(features)))
    except ValueError as error:
        raise ValueError(f"timm's {model!r} cannot be used: {error}; {_FITS}") from error
    worst = max(float((found - expected).abs().max()) for found, expected in pairs)
    if not worst < _TOLERANCE * max(1.0, float(features.abs().max())):
        raise ValueError(
            f"timm's {model!r} on all its tokens gives something else here than in timm (by "
            f"{worst:.1e}), so it does something else with them than is known; {_FITS}"
        )
