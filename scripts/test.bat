@echo off
rem Checks everything; with arguments it runs pytest alone: scripts\test.bat -k channel
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0test.ps1" %*
exit /b %ERRORLEVEL%
