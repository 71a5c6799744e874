"""The benchmark behind scripts/bench: what a host firewall costs, measured on real packets.

Owns everything that is measured and how it is told. Must never touch a namespace or process that it has not made.
"""
