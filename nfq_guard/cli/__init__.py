"""The `nfq-guard` command: arguments in, text or JSON out, an exit code.

Owns spelling, help and presentation. Must never decide anything: every command is a
thin use of the packages below, and nothing imports this one.
"""

from nfq_guard.cli.main import main

__all__ = ["main"]
