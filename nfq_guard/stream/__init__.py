"""Verdicts as they are told to whoever watches: records of a ring, and what they mean.

Owns the form of a record and of an event. Must never judge, and never hold up who does.
"""
