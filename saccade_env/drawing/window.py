"""The window of ``render_mode="human"``, over pygame.

Frames are uint8 ``[height, width, 3]``. Pygame has one window a process: environments with windows
share it, and each shows its own frame when it steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import DependencyNotInstalled
from jaxtyping import UInt8

from saccade_env.drawing.canvas import Length

INSTALL = "pip install 'saccade-env[window]'"
_ROOM = 80  # pixels that the desktop's own bars take


class Window:
    """Opens with the first frame; a copy or pickle of it is a window that is not open yet.

    A user who closes it goes on without: nothing is drawn any more, nor waited for.

    Raises:
        DependencyNotInstalled: There is no pygame.
    """

    def __init__(self) -> None:
        _pygame()
        self._clock: Any = None  # set while it is open
        self._dismissed = False

    def __getstate__(self) -> dict[str, Any]:
        return {"_clock": None, "_dismissed": self._dismissed}

    def show(self, draw: Callable[[], UInt8[np.ndarray, "height width 3"]], fps: Length) -> None:
        """Draw a frame and show it when its time has come, ``fps`` in a second at most."""
        self.answer()
        if self._dismissed:
            return
        pygame = _pygame()
        frame = pygame.surfarray.make_surface(draw().swapaxes(0, 1))
        if self._clock is None or not pygame.display.get_init():
            pygame.display.init()  # not pygame.init(), which opens sound devices as well
            pygame.display.set_caption("saccade-env")
            self._clock = pygame.time.Clock()
        frame = _fitted(pygame, frame)
        screen = pygame.display.get_surface()
        if screen is None or screen.get_size() != frame.get_size():
            screen = pygame.display.set_mode(frame.get_size())
        screen.blit(frame, (0, 0))
        self._clock.tick(fps)
        pygame.display.flip()

    def answer(self) -> None:
        """Answer the desktop, which else takes the window for hung; keys and clicks are left."""
        pygame = _pygame()
        if self._clock is None or not pygame.display.get_init():
            return
        pygame.event.pump()
        pygame.event.clear(pygame.MOUSEMOTION)  # unread, they would fill the queue in time
        if pygame.event.get(pygame.QUIT):
            self.close()
            self._dismissed = True
            gym.logger.warn("the window was closed: the environment goes on without drawing")

    def close(self) -> None:
        """Close it; the next frame, if any, opens it again."""
        if self._clock is not None:
            _pygame().display.quit()
        self._clock, self._dismissed = None, False


def _fitted(pygame: Any, frame: Any) -> Any:
    """A frame as it is, or as large as the desktop allows."""
    desktop_width, desktop_height = pygame.display.get_desktop_sizes()[0]
    width, height = frame.get_size()
    scale = min(desktop_width / width, (desktop_height - _ROOM) / height)
    if scale >= 1:
        return frame
    return pygame.transform.smoothscale(frame, (int(width * scale), int(height * scale)))


def _pygame() -> Any:
    try:
        import pygame
    except ImportError as error:
        raise DependencyNotInstalled(
            f"render_mode='human' needs pygame, which is not installed: {INSTALL}"
        ) from error
    return pygame
