"""Work on many machines by Ray (extra ``ray``), which is imported when an engine is made."""

from saccade_env.scale.ray_engine import RayEngine

__all__ = ["RayEngine"]
