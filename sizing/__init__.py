"""How many of each part a load needs, and what that costs a month: lesson 16."""
