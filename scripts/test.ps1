# Checks everything: linters, types, tests. Makes .venv-test on the first run.
# With arguments it runs pytest alone: scripts\test.ps1 -k channel
. (Join-Path $PSScriptRoot "environment.ps1")
$root = Split-Path $PSScriptRoot -Parent
$environment = Join-Path $root ".venv-test"
Initialize-Environment $environment $root (Join-Path $root "locks\test.txt")
$python = Join-Path $environment "Scripts\python.exe"
Set-Location $root
$ErrorActionPreference = "Continue"
if ($args.Count -gt 0) {
    & $python -m pytest @args
    exit $LASTEXITCODE
}
# The builds of torch for Windows on the Python package index are CPU builds.
& $python -c "import torch" 2>$null
if ($LASTEXITCODE -ne 0) { & $python -m pip install --quiet "torch>=2.8,<2.14" }
$failed = @()
& $python -m ruff check .
if ($LASTEXITCODE -ne 0) { $failed += "ruff check" }
& $python -m ruff format --check .
if ($LASTEXITCODE -ne 0) { $failed += "ruff format" }
& $python -m mypy
if ($LASTEXITCODE -ne 0) { $failed += "mypy" }
& $python -m pytest
if ($LASTEXITCODE -ne 0) { $failed += "pytest" }
if ($failed.Count -gt 0) { Stop-With "Failed: $($failed -join ', ')" }
