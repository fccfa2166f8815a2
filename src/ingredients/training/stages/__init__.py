"""What the loop trains: the bases, the alignment and the router stage (section 3.3), their losses and noise."""
