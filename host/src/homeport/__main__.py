"""`python -m homeport`: the command line, where no script of that name is installed."""

from homeport.cli.main import main

if __name__ == "__main__":
    main()
