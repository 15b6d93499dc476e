"""The ban backend `route`: blackhole and throw routes in a table of their own, and the ingress rule."""
