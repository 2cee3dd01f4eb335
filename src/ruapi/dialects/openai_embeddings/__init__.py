"""OpenAI Embeddings (https://platform.openai.com/docs/api-reference/embeddings): passed through and metered."""
