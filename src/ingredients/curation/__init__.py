"""From raw videos to a data set of people: a chain of steps, each of which keeps a clip or says why not (4.1, 3.3)."""
