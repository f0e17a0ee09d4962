"""The page of the compose file that shows what Alertmanager sends."""
