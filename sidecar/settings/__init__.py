"""zmban.toml and its environment variables: settings for which Fail2Ban has no option."""

from sidecar.settings.layers import Read, read
from sidecar.settings.schema import (
    ClusterSettings,
    DomainSettings,
    GoodSettings,
    KernelSettings,
    NotifySettings,
    ServeSettings,
    Settings,
    TrustSettings,
)

__all__ = [
    "ClusterSettings",
    "DomainSettings",
    "GoodSettings",
    "KernelSettings",
    "NotifySettings",
    "Read",
    "ServeSettings",
    "Settings",
    "TrustSettings",
    "read",
]
