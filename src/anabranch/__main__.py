"""`python -m anabranch`, the same program as `anabranch`."""

from anabranch.cli import main

if __name__ == "__main__":
    main()
