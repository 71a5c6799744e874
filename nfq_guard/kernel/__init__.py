"""The kernel's share of the work, as text: which packets to ask about, which to let pass.

Owns what table `inet nfq_guard` says. Must never load it: adapters/nft.py does.
"""
