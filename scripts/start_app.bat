@echo off
setlocal
rem The old name: takes the old flags (--port, --host, --gpu N, --model_dir, --fp16, ...) and starts the launcher with them.
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0start_app.ps1" %*
set CODE=%ERRORLEVEL%
rem After a double-click the window would close before anybody has read what went wrong.
if not %CODE%==0 echo %CMDCMDLINE% | findstr /i /c:"%~nx0" >nul && pause
exit /b %CODE%
