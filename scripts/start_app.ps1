# The old name: takes the old flags (--port, --host, --gpu N, --model_dir, --fp16, ...) and starts the launcher with them.
. (Join-Path $PSScriptRoot "environment.ps1")
$root = Split-Path $PSScriptRoot -Parent
$environment = Join-Path $root ".venv"
Initialize-Environment $environment $root (Join-Path $root "locks\start.txt")
& (Join-Path $environment "Scripts\tts-launcher.exe") start-app @args
exit $LASTEXITCODE
