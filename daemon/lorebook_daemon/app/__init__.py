"""The daemon's HTTP edge: routes, token, queue, life cycle."""
