"""A language model that is split: who has the text keeps it, and two workers have the layers between."""
