"""What a method of an API can stand in front of."""
