"""Ban backends, which make the kernel refuse banned networks: boundary in backend.py, list in registry.py."""
