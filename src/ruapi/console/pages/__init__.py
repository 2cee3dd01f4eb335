"""The pages of the console, one module a section; each has its routes in ``ROUTES``."""

from __future__ import annotations

from ruapi.console.gate import Page
from ruapi.console.pages import (
    admin_audit,
    admin_channels,
    admin_codes,
    admin_health,
    admin_models,
    admin_settings,
    admin_users,
    billing,
    docs,
    first_run,
    logs,
    models,
    overview,
    playground,
    security,
    sign_in,
    token_secrets,
    tokens,
)

PAGES: tuple[Page, ...] = (
    *sign_in.ROUTES,
    *first_run.ROUTES,
    *billing.ROUTES,
    *security.ROUTES,
    *docs.ROUTES,
    *admin_users.ROUTES,
    *admin_channels.ROUTES,
    *admin_models.ROUTES,
    *admin_codes.ROUTES,
    *admin_audit.ROUTES,
    *admin_health.ROUTES,
    *admin_settings.ROUTES,
    *logs.ROUTES,
    *models.ROUTES,
    *overview.ROUTES,
    *playground.ROUTES,
    *token_secrets.ROUTES,  # before tokens: /tokens/new is no token's id
    *tokens.ROUTES,
)
