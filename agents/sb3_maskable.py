"""The policy for sb3-contrib's MaskablePPO; apart, as sb3-contrib is an extra."""

from __future__ import annotations

from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

from saccade_env.agents.sb3_policies import OnTokenGridActorCritic


class MaskableTokenGridPolicy(OnTokenGridActorCritic, MaskableActorCriticPolicy):
    """Chooses among the cells that are not inhibited; see :mod:`.sb3_policies`."""
