"""Cases, of who is to be seen doing what, and benchmarks made of them (4.1); drawn ones, or a user's."""
