"""nfq-guard: Calico v3 host policy for Linux hosts, decided in user space."""

__version__ = "0.1.0"
