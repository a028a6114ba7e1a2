# Starts the launcher. The first run makes .venv with what it needs; later runs go straight on.
# Everything after the name goes to `launcher start`: scripts\start.ps1 --port 7861 --no-open
. (Join-Path $PSScriptRoot "environment.ps1")
$root = Split-Path $PSScriptRoot -Parent
$environment = Join-Path $root ".venv"
Initialize-Environment $environment $root (Join-Path $root "locks\start.txt")
& (Join-Path $environment "Scripts\tts-launcher.exe") start @args
exit $LASTEXITCODE
