"""``python -m launcher``: the same as the console script ``tts-launcher``.

Invariant: whoever takes a Python that lacks the packages, or is too old for them, reads a sentence.
"""

import sys

if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - whoever calls it so has not installed it
        sys.exit(
            f"Error: This is Python {sys.version.split()[0]}; 3.10 to 3.13 is needed, and scripts/start finds one."
        )
    try:
        from launcher.cli.app import main
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit(
            "Error: The launcher's packages are not installed for this Python. Run scripts/start, or "
            "use .venv/bin/tts-launcher."
        )
    sys.exit(main())
