"""Find, price and delete everything that the lessons create: `kinds` has the table of all kinds of things."""
