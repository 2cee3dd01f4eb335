"""ruapi: a self-hosted, prepaid LLM API gateway."""
