"""The same gateway and provider as the integration tests."""

from tests.integration.conftest import gateway, provider

__all__ = ["gateway", "provider"]
