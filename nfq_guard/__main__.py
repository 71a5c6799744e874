"""`python -m nfq_guard`: the same as the `nfq-guard` command."""

from nfq_guard.cli import main

if __name__ == "__main__":
    main()
