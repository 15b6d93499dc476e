"""Where lines come from: log files, followed over rotation and restart; and what Docker knows of Zimbra."""
