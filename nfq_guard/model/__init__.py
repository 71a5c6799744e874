"""The nouns every layer shares: addresses, flows, decisions, problems, host facts.

Owns plain values only. Must never import another package of nfq_guard, do I/O,
read a clock or log.
"""
