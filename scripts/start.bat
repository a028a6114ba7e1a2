@echo off
setlocal
rem Starts the launcher: scripts\start.bat --port 7861
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0start.ps1" %*
set CODE=%ERRORLEVEL%
rem After a double-click the window would close before anybody has read what went wrong.
if not %CODE%==0 echo %CMDCMDLINE% | findstr /i /c:"%~nx0" >nul && pause
exit /b %CODE%
