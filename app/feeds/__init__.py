"""What each platform offers: connector, configuration, mapping, schedule, checkpoint and lease."""
