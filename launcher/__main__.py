"""``python -m launcher``: the same as the console script ``tts-launcher``."""

import sys

from launcher.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
