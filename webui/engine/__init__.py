"""Speech engines and the process that holds one."""
