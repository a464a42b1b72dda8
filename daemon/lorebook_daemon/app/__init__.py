"""The daemon's HTTP edge: routes, token, engines, life cycle."""
