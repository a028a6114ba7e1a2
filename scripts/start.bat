@echo off
rem Starts the launcher: scripts\start.bat --port 7861
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0start.ps1" %*
exit /b %ERRORLEVEL%
