"""Training of the face networks: detector, recogniser, dual encoder, judges."""
