"""Learned agents, trained with Stable-Baselines3 (imported only here)."""

from saccade_env.agents.sb3_vec_env import SB3VecEnv

__all__ = ["SB3VecEnv"]
