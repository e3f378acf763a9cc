"""A split language model: the text stays in its process, and two workers have the layers between embedding and decoder."""
