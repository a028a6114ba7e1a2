# Loaded by start.ps1 and test.ps1: makes a virtual environment with locked packages, once.
# What counts as done is written last (installed.txt: this folder, the lock, pyproject.toml), so that an interrupted
# installation is taken up again, and a changed lock or a moved folder is noticed.

$ErrorActionPreference = "Stop"

function Stop-With([string] $Message) {
    [Console]::Error.WriteLine($Message)
    exit 1
}

# The first interpreter that can make an environment, as a command and its arguments.
function Find-Python {
    $candidates = @()
    if ($env:PYTHON) {
        $candidates += , @($env:PYTHON)
    } else {
        foreach ($version in "3.13", "3.12", "3.11", "3.10") { $candidates += , @("py", "-$version") }
        $candidates += , @("python3")
        $candidates += , @("python")
    }
    foreach ($candidate in $candidates) {
        if (-not (Get-Command $candidate[0] -ErrorAction SilentlyContinue)) { continue }
        $before = @($candidate | Select-Object -Skip 1)
        $check = "import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))"
        # A name may be the store's stub, which starts nothing and says so on standard error.
        $ErrorActionPreference = "Continue"
        & $candidate[0] @before -c $check 2>$null | Out-Null
        $good = $LASTEXITCODE -eq 0
        $ErrorActionPreference = "Stop"
        if ($good) { return , $candidate }
    }
    if ($env:PYTHON) { Stop-With "PYTHON=$env:PYTHON must be Python 3.10, 3.11, 3.12 or 3.13 with its venv module." }
    Stop-With "No Python 3.10 to 3.13 was found: install one from https://www.python.org/downloads/ or name one in the variable PYTHON."
}

function Get-Stamp([string] $Root, [string] $Lock) {
    return "folder $Root`n" + [IO.File]::ReadAllText($Lock) + [IO.File]::ReadAllText((Join-Path $Root "pyproject.toml"))
}

function Initialize-Environment([string] $Environment, [string] $Root, [string] $Lock) {
    $python = Join-Path $Environment "Scripts\python.exe"
    $done = Join-Path $Environment "installed.txt"
    $stamp = Get-Stamp $Root $Lock
    if ((Test-Path $python) -and (Test-Path $done) -and ([IO.File]::ReadAllText($done) -ceq $stamp)) { return }
    if (Test-Path $done) { Remove-Item $done }
    if (-not (Test-Path $python)) {
        $command = Find-Python
        $before = @($command | Select-Object -Skip 1)
        Write-Host "Making $Environment"
        & $command[0] @before -m venv --clear $Environment
        if ($LASTEXITCODE -ne 0) { Stop-With "Could not make ${Environment}: is the disk full or read-only?" }
    }
    Write-Host "Installing packages from $Lock (once; a few hundred MB)"
    $mirror = "Could not install the packages. If the package index cannot be reached from here, set PIP_INDEX_URL to a mirror, for example https://pypi.tuna.tsinghua.edu.cn/simple, and run this again."
    # --no-deps: the lock names every package, so pip has nothing to look for.
    & $python -m pip install --disable-pip-version-check --no-deps --require-hashes --use-pep517 -r $Lock
    if ($LASTEXITCODE -ne 0) { Stop-With $mirror }
    & $python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable $Root
    if ($LASTEXITCODE -ne 0) { Stop-With "Could not install the project itself from ${Root}: can the folder be written to?" }
    [IO.File]::WriteAllText($done, $stamp)
}
