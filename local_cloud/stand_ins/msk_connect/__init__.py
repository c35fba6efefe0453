"""MSK Connect: its calls, carried out by the real Connect worker."""
