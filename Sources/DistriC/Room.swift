// DistriC
