#!/usr/bin/env bash
# The old name: takes the old flags (--port, --host, --gpu N, --model_dir, --fp16, ...) and starts the launcher with them.
set -euo pipefail
folder=${BASH_SOURCE[0]%/*}
[ "$folder" != "${BASH_SOURCE[0]}" ] || folder=.
root=$(cd "$folder/.." && pwd -P)
# shellcheck source=scripts/environment.sh
. "$root/scripts/environment.sh"

prepare_environment "$root/.venv" "$root" "$root/locks/start.txt"
exec "$root/.venv/bin/python" "$root/.venv/bin/tts-launcher" start-app "$@"
