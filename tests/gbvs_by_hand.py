"""GBVS once more, from the paper's equations: double precision, one map at a time, no shortcut.

Both Markov chains are solved as linear systems, filters are correlated by SciPy, and interpolation
is two matrices. What the paper leaves open is as ``saccade_env.policies.gbvs`` says.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

Array = np.ndarray


def gbvs_by_hand(picture: Array, map_size: tuple[int, int]) -> Array:
    """Saliency [height, width] of an RGB picture [3, height, width], 0 to 255."""
    place = np.argwhere(np.ones(map_size)).astype(float)
    apart = ((place[:, None] - place) ** 2).sum(-1)
    side = sum(map_size) / 2
    near, nearer = (np.exp(-apart / (2 * (share * side) ** 2)) for share in (0.15, 0.06))
    total = np.zeros(len(place))
    for feature in feature_maps(picture / 255):
        cells = resized(feature, map_size).ravel()
        activation = stationary(np.abs(np.subtract.outer(cells, cells)) * near)
        total += stationary(activation[:, None] * nearer)
    scaled = (total - total.min()) / (total.max() - total.min())
    return np.maximum(resized(scaled.reshape(map_size), picture.shape[1:]), 0)


def feature_maps(rgb: Array) -> list[Array]:
    """Two colours, intensity and four orientations at three levels of the pyramid."""
    taps, found = np.array([1, 4, 6, 4, 1]) / 16, []
    for level in range(5):
        if level:
            blurred = [ndimage.correlate(p, np.outer(taps, taps), mode="mirror") for p in rgb]
            rgb = np.array([plane[::2, ::2] for plane in blurred])
        if level >= 2:
            red, green, blue = rgb
            light = rgb.max(0)
            yellow = np.minimum(red, green)
            found += [np.abs(blue - yellow) / light, np.abs(red - green) / light, light]
            found += [oriented(light, angle) for angle in (0, 45, 90, 135)]
    return found


def oriented(light: Array, degrees: float) -> Array:
    """What an even and an odd Gabor filter answer, added up."""
    y, x = np.mgrid[-13:14, -13:14]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    along, across = x * cos + y * sin, y * cos + x * sin  # across: the reference's, not turned
    envelope = np.exp(-(along**2) / (2 * 2**2) - across**2 / (2 * 4**2))
    answers = []
    for wave in (np.cos(2 * along), np.sin(2 * along)):
        gabor = envelope * wave - (envelope * wave).mean()
        gabor /= np.sqrt((gabor**2).sum())
        answers.append(np.abs(ndimage.correlate(light, gabor, mode="nearest")))
    return sum(answers)


def stationary(weights: Array) -> Array:
    """Where a walker is in the long run who goes from j to i by weights[i, j]."""
    chain = weights / weights.sum(0) - np.eye(len(weights))
    chain[-1] = 1  # one equation is spare: the shares add up to one
    # By torch, which has one thread in tests, where NumPy's wait for each other.
    system = (torch.from_numpy(chain), torch.eye(len(weights), dtype=torch.float64)[-1])
    return torch.linalg.solve(*system).numpy()


def resized(plane: Array, size: tuple[int, ...]) -> Array:
    """By Keys's cubic convolution with a = -0.75; the border is repeated."""
    rows, cols = (bicubic(*lengths) for lengths in zip(plane.shape, size, strict=True))
    return rows @ plane @ cols.T


def bicubic(before: int, after: int) -> Array:
    """Matrix [after, before] that interpolates along one side."""
    matrix = np.zeros((after, before))
    for row in range(after):
        centre = (row + 0.5) * before / after - 0.5
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            matrix[row, np.clip(tap, 0, before - 1)] += cubic(abs(centre - tap))
    return matrix


def cubic(x: float, a: float = -0.75) -> float:
    """Keys's kernel, 1981, equation 4."""
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4)
