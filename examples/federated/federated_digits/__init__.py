"""A Flower app whose clients send distilled images."""
