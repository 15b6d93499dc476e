"""Tests mirror the rooms of sidecar/."""
