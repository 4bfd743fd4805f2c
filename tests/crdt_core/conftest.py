"""How much is tried: the default fits every run; `--hypothesis-profile=deep` searches long."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("core", deadline=None, max_examples=40, suppress_health_check=_SLOW, print_blob=True)
settings.register_profile("deep", settings.get_profile("core"), max_examples=3000)
settings.load_profile("core")
