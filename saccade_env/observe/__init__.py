"""What may be seen of a picture: observers, and wrappers that show them."""
