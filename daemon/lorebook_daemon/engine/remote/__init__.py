"""The engine elsewhere: any server that speaks OpenAI's API, reached over HTTP."""
