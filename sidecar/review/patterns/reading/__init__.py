"""What a hostile line looks like in each log, and its parts that vary."""
