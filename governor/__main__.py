"""``python -m governor``: the command line."""

from governor.cli import main

if __name__ == "__main__":
    main()
