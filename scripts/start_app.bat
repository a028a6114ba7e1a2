@echo off
rem The old name: takes the old flags (--port, --host, --gpu N, --model_dir, --fp16, ...) and starts the launcher with them.
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0start_app.ps1" %*
exit /b %ERRORLEVEL%
