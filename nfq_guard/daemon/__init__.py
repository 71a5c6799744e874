"""The running guard: a controller, its verdict workers, and what they share.

Owns processes, time and lasting state. Must never decide about a packet itself: that
is the engine's, and the engine stays free of all that lives here.
"""
