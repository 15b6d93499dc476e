"""Sources of lines: log files, followed over rotation and restart; and the Zimbra containers in Docker."""
