"""The OpenAI-compatible routes: models, chat, completions, embeddings."""
