"""The Responses dialect: what OpenAI's ``POST /v1/responses`` takes and gives."""
