"""zmban.toml and the environment: what Fail2Ban's files have no word for."""

from sidecar.settings.reading import Read, read
from sidecar.settings.schema import GoodSettings, KernelSettings, ServeSettings, Settings, TrustSettings

__all__ = ["GoodSettings", "KernelSettings", "Read", "ServeSettings", "Settings", "TrustSettings", "read"]
