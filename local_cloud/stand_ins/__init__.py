"""Our own small servers: each does what the lessons rely on and refuses the rest by name."""
