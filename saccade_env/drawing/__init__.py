"""Pictures of episodes: frames, canvas and film."""
