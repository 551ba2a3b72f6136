"""The command `homeport`, and `python -m homeport`."""

import io
import sys


def main() -> None:
    """Run the command line. An interrupt that comes while it is still being imported ends it without a traceback."""
    try:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # what the terminal cannot show must not end the command
                stream.reconfigure(errors="backslashreplace")
        from homeport.cli.main import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
